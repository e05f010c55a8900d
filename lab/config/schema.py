"""Plain tables (TOML) into frozen dataclasses: every key known, every type as written in the class."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class SchemaError(ValueError):
    """What is wrong with a table, and where; the reader of the file turns it into BadFile."""


def build(cls: type[T], data: object, where: str) -> T:
    """An instance of the dataclass ``cls`` from a table.

    Understands str, int, bool, float, Literal, ``tuple[X, ...]`` (from arrays), ``Mapping[str, X]`` (read-only) and
    nested dataclasses. Raises: SchemaError (unknown or missing key, wrong type), naming ``where``.
    """
    if not isinstance(data, dict):
        raise SchemaError(f"{where} is {data!r}, not a table")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise SchemaError(f"{where} has an unknown key {key!r}" + (f" (perhaps {near[0]!r})" if near else ""))
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise SchemaError(f"{where} lacks {name!r}")
    return cls(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in data.items()})


def _value(kind: Any, value: object, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        if value not in arguments:
            raise SchemaError(f"{where} is {value!r}, not one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise SchemaError(f"{where} is {value!r}, not an array")
        return tuple(_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments[1], value, where)
    if dataclasses.is_dataclass(kind):
        return build(typing.cast("type[Any]", kind), value, where)
    if type(value) is not kind:
        raise SchemaError(f"{where} is {value!r}, not of type {kind.__name__}")
    return value


def _mapping(kind: Any, value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SchemaError(f"{where} is {value!r}, not a table")
    return types.MappingProxyType({k: _value(kind, v, f"{where}.{k}") for k, v in value.items()})
