"""A package by name: another project installs its own `tests`, which would come first otherwise."""
