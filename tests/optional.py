"""Packages that some tests take and not every machine has."""

import importlib.util


def is_installed(package: str) -> bool:
    """Whether a package can be imported, as far as that is known without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
