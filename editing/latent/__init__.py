"""Edits of latents: by found directions, or towards anything that a function of the picture measures."""
