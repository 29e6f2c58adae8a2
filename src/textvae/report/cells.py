"""What every table is made of: numbers as they are shown, rows, and the protocol below."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textvae.conclusions import Stored

KINDS = {"8-bit images": "8-bit", "binary images drawn from the grey values": "binary"}
"""What bits per dimension are of: comparable only among the same."""


def getter(metrics: Mapping[str, Any]) -> Callable[[str], Any]:
    """What reads a metrics file by names such as "reconstruction.mse_sum"; None where it has none such."""

    def get(name: str) -> Any:
        # A name may itself hold dots only in its path, never in its parts.
        value: Any = metrics
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    return get


def number(value: Any) -> str:
    """As tables show it; a dash where there is none."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def pair(published: float | None, measured: float | None) -> str:
    """Published | measured."""
    return f"{number(published)} \\| {number(measured)}" if measured is not None else number(published)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def protocol(stored: Stored, names: Sequence[str]) -> str:
    """How the rows of a table were measured, and whose weights they are."""
    one = stored[names[0]]["protocol"]
    nets = "; ".join(f"{name}: {resize}" for name, resize in one["feature_nets"].items())
    weights = ", ".join(f"{name} {stored[name]['protocol']['weights']}" for name in names)
    of = "; ".join(dict.fromkeys(f"{stored[name]['protocol']['likelihood_of']}" for name in names))
    return (
        f"Protocol: {one['num_samples']:,} {one['split']} images against as many samples for the same captions, 8-bit, "
        f"seed {one['seed']}; features: {nets}; judge {one.get('judge', '-')}; bounds with "
        f"{one['importance_samples']} draws an image, of {of} (comparable only among the same); weights: {weights}.\n"
    )
