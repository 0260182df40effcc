"""Sub-commands of edit.py, a file each, found when they are called."""
