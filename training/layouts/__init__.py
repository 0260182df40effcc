"""Where things are: layouts, their samplers, files and edits."""
