"""Settings to JSON and back: frozen dataclasses, never names of classes in a file.

A run's ``config.json`` names its recipe; the recipe says which settings exist and of which type, the file only says
their values. So a file from a stranger can choose numbers, and nothing else.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from textvae.utils.errors import UserError

T = TypeVar("T")


def to_dict(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON values (tuples become lists)."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def updated(settings: T, values: Mapping[str, Any], where: str = "config.json") -> T:
    """``settings`` with ``values`` in place of its own, each checked against the type of the value it replaces.

    Raises:
        UserError: a name that ``settings`` has not, a value of another type, none of the choices, or too few of them.
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
    """What a value's own type does not say: which words are a choice, and how many numbers a tuple has."""
    choices = get_args(hint)
    if get_origin(hint) is Literal and value not in choices:
        raise UserError(f"{where}: {value!r} is no choice", f"choose one of {', '.join(map(str, choices))}")
    if get_origin(hint) is tuple and Ellipsis not in choices and len(value) != len(choices):
        raise UserError(f"{where}: {len(value)} values, not {len(choices)}", "give as many as textvae wrote")
    if hint == tuple[str, ...] and not all(isinstance(item, str) for item in value):
        raise UserError(f"{where}: not all of them are words", "use a run folder that textvae wrote, unedited")


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
            "use a run folder that textvae wrote, unedited",
        )
    return value
