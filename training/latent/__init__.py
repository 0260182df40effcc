"""Edits in the space of styles that files carry."""
