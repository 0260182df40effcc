"""The modules of a network pickle as a tree: attributes and tensors by their names, within limits."""

from collections.abc import Iterator
from typing import Any

from dnnlib.pickle_interpreter import Dictionary, NotPlain
from interop.pickles.storages import StoredTensor
from interop.pickles.values import Module

_MOST_MODULES, _DEEPEST = 10_000, 16


class Tree:
    """A network of a file: its modules by path, such as "synthesis.b8.conv0"; "" is the network itself.

    Raises NotPlain when something in the place of a module is none, or when modules contain one another.
    """

    def __init__(self, root: Any):
        self.modules: dict[str, Module] = {}
        self._enter("", root, 0)

    def _enter(self, path: str, module: Any, depth: int) -> None:
        if not isinstance(module, Module):
            raise NotPlain(f"there is no module at {path or 'the top'}")
        if depth > _DEEPEST or len(self.modules) >= _MOST_MODULES:
            raise NotPlain("its modules nest too deeply, or are too many")
        self.modules[path] = module
        for name, child in _named(module, "_modules"):
            if child is not None:
                self._enter(f"{path}.{name}" if path else name, child, depth + 1)

    def tensors(self) -> dict[str, StoredTensor]:
        """Parameters and buffers by the names of a state dict."""
        found = {}
        for path, module in self.modules.items():
            for kind in ("_parameters", "_buffers"):
                for name, value in _named(module, kind):
                    if value is not None and not isinstance(value, StoredTensor):
                        raise NotPlain(f"{path}.{name} is no tensor")
                    if value is not None:
                        found[f"{path}.{name}" if path else name] = value
        return found

    def classes(self) -> set[str]:
        return {module.class_name for module in self.modules.values()}

    def attribute(self, path: str, name: str, kinds: type | tuple[type, ...], default: Any = NotPlain) -> Any:
        """An attribute of a module that has to be of such a type. Raises NotPlain where it is missing or of another."""
        module = self.modules.get(path)
        value = default if module is None else module.state.get(name, default)
        if value is NotPlain:
            raise NotPlain(f"{path or 'the network'} has no {name}")
        if isinstance(value, bool) and kinds in (int, float, (int, float)):
            raise NotPlain(f"{path}.{name} is no number")
        if not isinstance(value, kinds) and value is not default:
            raise NotPlain(f"{path}.{name} is of a type that is not understood")
        return value


def _named(module: Module, kind: str) -> Iterator[tuple[str, Any]]:
    """Entries of _parameters, _buffers or _modules."""
    entries = module.state.get(kind, {})
    if not isinstance(entries, Dictionary | dict):
        raise NotPlain(f"{kind} of a module is no dictionary")
    for name, value in entries.items():
        if not isinstance(name, str) or "." in name or not name.isprintable() or len(name) > 80:
            raise NotPlain("a part of a module has an impossible name")
        yield name, value
