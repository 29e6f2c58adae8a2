"""What every table is made of: numbers as they are shown, rows, and the protocol below."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textvae.papers.findings import Stored

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


def images_of(metrics: Mapping[str, Any]) -> str:
    """The prepared images that a row was measured on, whatever their captions were made into."""
    return str(metrics["protocol"]["data"]).rpartition("-")[0]


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
    protocols = [stored[name]["protocol"] for name in names]
    one, counts = protocols[0], {p["data"]: p["num_samples"] for p in protocols}
    tested = f"{one['num_samples']:,} {one['split']} images"
    if len(set(counts.values())) > 1:
        tested = f"{one['split']} images ({', '.join(f'{count:,} of {data}' for data, count in counts.items())})"
    nets = "; ".join(f"{name}: {resize}" for name, resize in one["feature_nets"].items())
    weights = ", ".join(f"{name} {p['weights']}" for name, p in zip(names, protocols, strict=True))
    draws = " or ".join(str(count) for count in sorted({p["importance_samples"] for p in protocols}))
    of = "; ".join(dict.fromkeys(f"{p['likelihood_of']}" for p in protocols))
    return (
        f"Protocol: {tested} against as many samples for the same captions, 8-bit, seed {one['seed']}; "
        f"features: {nets}; judge {one.get('judge', '-')}; bounds with {draws} draws an image, of {of} (comparable "
        f"only among the same); weights: {weights}.\n"
    )
