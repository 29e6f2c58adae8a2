"""Settings to JSON and back: frozen dataclasses, without class names in the file.

A run's ``config.json`` names its recipe. The recipe defines which settings exist, their types and their ranges; the
file only gives their values. A file from an untrusted source can therefore set values, but neither select nor execute
code.
"""

import dataclasses
import difflib
import math
import shlex
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from textvae.utils.errors import UserError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a setting takes, bounds included; in the type of a field, by ``Annotated``."""

    low: int | float
    high: int | float


Size = Annotated[int, Range(1, 1 << 16)]
"""Number of features, channels, tokens or classes."""
Count = Annotated[int, Range(0, 256)]
"""Number of layers or blocks that may be left out."""
Depth = Annotated[int, Range(1, 256)]
"""Number of layers or blocks."""
Pixels = Annotated[int, Range(1, 1024)]
"""Height or width of an image."""
Share = Annotated[float, Range(0, 0.999)]
"""Probability with which something is left out."""
Factor = Annotated[float, Range(0, 1e6)]
"""Weight of a term, or another positive factor."""
Seed = Annotated[int, Range(0, 2**62 - 1)]
"""Seed of random numbers."""

MOST_ENTRIES = 16
"""Length of a tuple of numbers of which the type does not say how many there are."""


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
        UserError: an unknown name, a value of the wrong type, not among the choices or out of range, or a tuple of the
            wrong length.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    known = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise UserError(
                f"{where}: there is no setting {name!r}",
                f"did you mean {near[0]!r}?" if near else f"known settings: {', '.join(known)}",
            )
        current = getattr(settings, name)
        if dataclasses.is_dataclass(current) and isinstance(value, Mapping):
            changes[name] = updated(current, value, f"{where}: {name}")
        else:
            changes[name] = _typed(hints[name], current, value, f"{where}: {name}")
            _check(hints[name], changes[name], f"{where}: {name}")
    return dataclasses.replace(settings, **changes)  # type: ignore[type-var]


def completed(settings: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values, with the default of its dataclass for each field that they lack.

    A field that was added after the values were stored has a default that means what was done before it existed. The
    values of ``settings`` may differ: those are what a recipe chooses today.

    Args:
        settings: a dataclass, possibly nested, with all the fields there are now.
        values: values by field name, as read from JSON; unknown names are kept.
    """
    found = dict(values)
    for field in dataclasses.fields(settings):
        current, stored = getattr(settings, field.name), values.get(field.name)
        if dataclasses.is_dataclass(current) and isinstance(stored, Mapping):
            found[field.name] = completed(current, stored)
        elif field.name not in values and field.default is not dataclasses.MISSING:
            found[field.name] = _plain(field.default)
    return found


def option_of(where: str, name: str, value: Any) -> str:
    """A setting as an option of the command line: ``--model.channels 32 64``, ``--trainer.no-flip``."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{where}.{name}" if value else f"--{where}.no-{name}"
    values = value if isinstance(value, list | tuple) else [value]
    return f"--{where}.{name} {shlex.join(map(str, values))}"


def options_of(overrides: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Nested settings by name as options of the command line."""
    for name, value in overrides.items():
        if isinstance(value, Mapping):
            yield from options_of(value, f"{where}.{name}" if where else name)
        else:
            yield option_of(where, name, value)


def check_ranges(settings: Any, where: str) -> None:
    """Checks that each number of a dataclass, possibly nested, is in the range that its type declares.

    Raises:
        UserError: one is not.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value, place = getattr(settings, field.name), f"{where}.{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            check_ranges(value, place)
        else:
            _check(hints[field.name], value, place)


def _typed(hint: Any, current: Any, value: Any, where: str) -> Any:
    """A value of JSON as the type of its setting has it."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _typed(choices[0], current, value, where)
    if origin in (Union, types.UnionType) and type(None) in choices:
        rest = [choice for choice in choices if choice is not type(None)]
        return None if value is None else _typed(rest[0] if len(rest) == 1 else Any, current, value, where)
    if origin is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise UserError(
                f"{where}: {value!r} is not a valid choice", f"choose one of {', '.join(map(str, choices))}"
            )
        return value
    if origin is tuple and isinstance(value, list | tuple):
        if Ellipsis not in choices and len(value) != len(choices):
            raise UserError(f"{where}: {len(value)} values instead of {len(choices)}", f"give {len(choices)} values")
        kinds = [choices[0]] * len(value) if Ellipsis in choices else choices
        return tuple(_typed(kind, None, item, where) for kind, item in zip(kinds, value, strict=True))
    if hint is float and type(value) is int:
        return float(value) if abs(value) < 1e300 else math.inf
    kind = hint if isinstance(hint, type) else type(current)
    if type(value) is not kind:
        raise UserError(
            f"{where}: {value!r:.80} is a {type(value).__name__}, not a {kind.__name__}",
            "use an unmodified run folder written by textvae",
        )
    return value


def _check(hint: Any, value: Any, where: str) -> None:
    if get_origin(hint) is tuple and isinstance(value, tuple):
        kinds = get_args(hint)
        if Ellipsis in kinds and get_origin(kinds[0]) is Annotated and not 1 <= len(value) <= MOST_ENTRIES:
            raise UserError(f"{where}: {len(value)} values", f"give 1 to {MOST_ENTRIES} values")
        for kind, item in zip([kinds[0]] * len(value) if Ellipsis in kinds else kinds, value, strict=False):
            _check(kind, item, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} is {value}", "give a finite number")
    for bounds in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
        if isinstance(bounds, Range) and not bounds.low <= value <= bounds.high:
            raise UserError(f"{where} {value!r:.40} is out of range", f"choose from {bounds.low:,} to {bounds.high:,}")
