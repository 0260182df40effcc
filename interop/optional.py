"""Packages that only some functions need."""

import importlib
from types import ModuleType

from dnnlib.errors import UserError


def needed(*names: str, extra: str) -> ModuleType:
    """Import modules, and return the last one. Raises UserError, which says how to install it, when one is missing."""
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"this needs the package {name}; pip install 'steergan[{extra}]', or {name}") from error
    return module
