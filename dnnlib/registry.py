"""Things that a run chooses by name, where others can add theirs: registries, and the plugins that enter them."""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from dnnlib.errors import UserError
from dnnlib.parsing import nearest

T = TypeVar("T")
PLUGINS = "STEERGAN_PLUGINS"  # modules to load, with commas between; processes that are launched inherit it


def _path(thing: Any) -> tuple[str, str]:
    """Where a class or function is defined: it may be imported twice under one name."""
    return thing.__module__, thing.__qualname__


class Registry(Generic[T]):
    """{name: thing} of one kind. `home`: the module or package whose files register the built-in ones when imported.

    Files of the home are imported at the first look-up, so that neither it nor they have to know of each other.
    """

    def __init__(self, kind: str, home: str):
        self.kind, self._home = kind, home
        self._things: dict[str, T] = {}
        self._is_complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters a class or function. Raises ValueError where the name is taken by another one."""

        def enter(thing: T) -> T:
            known = self._things.setdefault(name, thing)
            if _path(known) != _path(thing):
                raise ValueError(f"there is a {self.kind} '{name}' already, in {_path(known)[0]}; choose another name")
            return thing

        return enter

    def __getitem__(self, name: str) -> T:
        """Raises UserError, naming the nearest one, when there is none such."""
        self._complete()
        if name not in self._things:
            raise UserError(f"no {self.kind} '{name}'{nearest(name, self._things)} (--plugin=MODULE adds others)")
        return self._things[name]

    def names(self) -> list[str]:
        """In alphabetical order."""
        self._complete()
        return sorted(self._things)

    def _complete(self) -> None:
        if not self._is_complete:
            home = importlib.import_module(self._home)
            for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
                importlib.import_module(f"{self._home}.{module.name}")
            self._is_complete = True


def plugins_wanted() -> tuple[str, ...]:
    """Names of the modules that the environment, or --plugin, says are to be loaded."""
    return tuple(name.strip() for name in os.environ.get(PLUGINS, "").split(",") if name.strip())


def load_plugins(names: Iterable[str] = ()) -> None:
    """Import modules that register things, such as "my_layers" (my_layers.py in the current directory, or installed).

    Those of STEERGAN_PLUGINS come first; `names` are added to it. Raises UserError when one is missing or cannot be
    imported.
    """
    wanted = tuple(dict.fromkeys((*plugins_wanted(), *names)))
    _import_all(wanted)
    if wanted:
        os.environ[PLUGINS] = ",".join(wanted)


def _import_all(names: Iterable[str]) -> None:
    for name in names:
        try:
            with _current_directory_importable():
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.split(".")[0] and error.name != name:
                raise UserError(f"--plugin={name}: it imports {error.name}, which is not installed") from error
            raise UserError(f"--plugin={name}: no such module in this directory or among the installed ones") from error
        except Exception as error:
            raise UserError(f"--plugin={name} fails when imported: {type(error).__name__}: {error}") from error


class _current_directory_importable:
    """A context in which `import` looks into the current directory, too, after everything else."""

    def __enter__(self) -> None:
        self._before = list(sys.path)
        sys.path.append(str(Path.cwd()))

    def __exit__(self, *error: object) -> None:
        sys.path[:] = self._before
