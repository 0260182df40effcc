"""As much of pydantic as training/config.py takes, for GPU checks on machines that have none: values are NOT checked.

Sections are made of mappings, numbers and tuples brought to their types, validators run; ranges and names in a Literal
are taken as they are. Training needs pydantic itself.
"""

import json
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

IS_STAND_IN = True
_REQUIRED = object()

AwareDatetime = datetime
ConfigDict = dict


class ValidationError(ValueError):
    """A key is unknown or missing."""


class AfterValidator:
    """Changes a value, or refuses it by ValueError."""

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function


class Field:
    """A default; constraints are not kept."""

    def __init__(self, default: Any = _REQUIRED, **_constraints: Any):
        self.default, self.annotation = default, None

    def is_required(self) -> bool:
        return self.default is _REQUIRED


def model_validator(mode: str) -> Callable[[Callable], Callable]:
    """Marks a method to run after a section is made."""

    def mark(method: Callable) -> Callable:
        method.validates = mode
        return method

    return mark


class BaseModel:
    """A frozen section with the fields that its class and its bases annotate."""

    model_fields: dict[str, Field] = {}

    def __init_subclass__(cls) -> None:
        cls.model_fields = {}
        cls._hints = get_type_hints(cls, include_extras=True)
        for name, hint in cls._hints.items():
            if name in ("model_fields", "model_config"):
                continue
            given = getattr(cls, name, _REQUIRED)
            field = Field(given.default if isinstance(given, Field) else given)
            field.annotation = get_args(hint)[0] if get_origin(hint) is Annotated else hint
            cls.model_fields[name] = field

    def __init__(self, **given: Any):
        unknown = [name for name in given if name not in self.model_fields]
        missing = [name for name, field in self.model_fields.items() if field.is_required() and name not in given]
        if unknown or missing:
            raise ValidationError(f"{type(self).__name__}: unknown {unknown}, missing {missing}")
        for name, field in self.model_fields.items():
            value = _brought(self._hints[name], given[name]) if name in given else field.default
            object.__setattr__(self, name, value)
        for validate in self._validators():
            validate(self)

    @classmethod
    def _validators(cls) -> list[Callable]:
        found = [value for base in reversed(cls.__mro__) for value in vars(base).values()]
        return [value for value in found if getattr(value, "validates", None) == "after"]

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValidationError(f"{type(self).__name__}.{name} is frozen")

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"

    def model_copy(self, update: Mapping[str, Any] | None = None) -> "BaseModel":
        copy = object.__new__(type(self))
        for name, value in {**self._values(), **(update or {})}.items():
            object.__setattr__(copy, name, value)
        return copy

    def model_dump(self, mode: str = "python", exclude: set[str] | None = None) -> dict[str, Any]:
        return {name: _plain(value, mode) for name, value in self._values().items() if name not in (exclude or ())}

    def model_dump_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"))

    @classmethod
    def model_validate(cls, given: Any) -> "BaseModel":
        return given if isinstance(given, cls) else cls(**given)

    @classmethod
    def model_validate_json(cls, text: str) -> "BaseModel":
        return cls(**json.loads(text))


def _plain(value: Any, mode: str) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode)
    if isinstance(value, tuple | list):
        each = [_plain(one, mode) for one in value]
        return each if mode == "json" else type(value)(each)
    if isinstance(value, dict):
        return {key: _plain(one, mode) for key, one in value.items()}
    return value.isoformat() if mode == "json" and isinstance(value, datetime) else value


def _brought(hint: Any, value: Any) -> Any:
    """`value` as what `hint` asks for, as far as that is clear."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Annotated:
        value = _brought(parts[0], value)
        for extra in parts[1:]:
            value = extra.function(value) if isinstance(extra, AfterValidator) else value
        return value
    if kind in (Union, types.UnionType):
        return None if value is None else _brought(next(p for p in parts if p is not type(None)), value)
    if kind is tuple:
        each = parts[:1] * len(value) if len(parts) == 2 and parts[1] is Ellipsis else parts
        return tuple(_brought(one, v) for one, v in zip(each, value, strict=True))
    if kind is dict and len(parts) == 2:
        return {key: _brought(parts[1], one) for key, one in value.items()}
    if hint is datetime and isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint.model_validate(value)
    return float(value) if hint is float and isinstance(value, int) else value
