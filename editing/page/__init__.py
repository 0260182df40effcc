"""The page: one HTML file, plain ES modules, a style sheet. Served from memory, exported with another back end."""
