"""Figures that look inside G and D, as the papers print them; visualize.py is their command line."""
