"""Settings to JSON and back: frozen dataclasses, without class names in the file.

A run's ``config.json`` names its recipe. The recipe defines which settings exist and their types; the file only gives
their values. A file from an untrusted source can therefore set values, but neither select nor execute code.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from textvae.utils.errors import UserError

T = TypeVar("T")


def to_dict(settings: Any) -> dict[str, Any]:
    """Converts a dataclass to plain JSON values; tuples become lists."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def updated(settings: T, values: Mapping[str, Any], where: str = "config.json") -> T:
    """Returns ``settings`` with some values replaced.

    Args:
        settings: a dataclass, possibly nested.
        values: new values by field name, as read from JSON.
        where: where the values come from, for error messages.

    Raises:
        UserError: an unknown name, a value of the wrong type, not among the choices, or a tuple of the wrong length.
    """
    known = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    hints = get_type_hints(type(settings))
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UserError(
                f"{where}: there is no setting {name!r}",
                f"did you mean {near[0]!r}?" if near else f"known settings: {', '.join(known)}",
            )
        changes[name] = _typed(getattr(settings, name), value, f"{where}: {name}")
        _check_choice(hints[name], changes[name], f"{where}: {name}")
    return dataclasses.replace(settings, **changes)  # type: ignore[type-var]


def _check_choice(hint: Any, value: Any, where: str) -> None:
    """Checks what the type of the old value cannot tell: the choices of a Literal and the length of a tuple."""
    choices = get_args(hint)
    if get_origin(hint) is Literal and value not in choices:
        raise UserError(f"{where}: {value!r} is not a valid choice", f"choose one of {', '.join(map(str, choices))}")
    if get_origin(hint) is tuple and Ellipsis not in choices and len(value) != len(choices):
        raise UserError(f"{where}: {len(value)} values instead of {len(choices)}", f"give {len(choices)} values")
    if hint == tuple[str, ...] and not all(isinstance(item, str) for item in value):
        raise UserError(f"{where}: not all entries are strings", "use an unmodified run folder written by textvae")


def _typed(current: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(current) and isinstance(value, Mapping):
        return updated(current, value, where)
    if isinstance(current, tuple) and isinstance(value, list):
        return tuple(_typed(current[0], item, where) if current else item for item in value)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if current is not None and value is not None and type(value) is not type(current):
        raise UserError(
            f"{where}: {value!r} is a {type(value).__name__}, not a {type(current).__name__}",
            "use an unmodified run folder written by textvae",
        )
    return value
