"""Tables in Markdown: numbers, rows, and the protocol below a table."""

import textwrap
from collections.abc import Sequence
from typing import Any

from textvae.papers.stored import Stored
from textvae.utils.citations import PAPERS

KINDS = {"8-bit images": "8-bit", "binary images drawn from the grey values": "binary"}
"""Short names of what a likelihood is of; bits per dimension are only comparable within a kind."""


def cited(paper: str) -> list[str]:
    """The citation of a paper in lines."""
    lines = textwrap.wrap(PAPERS[paper].citation, 118, break_long_words=False, break_on_hyphens=False)
    return [*lines[:-1], f"{lines[-1]}."]


def number(value: Any) -> str:
    """A number as tables show it; a dash for None."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def pair(published: float | None, measured: float | None) -> str:
    """Published | measured; a dash if there is neither."""
    return "-" if published is measured is None else f"{number(published)} \\| {number(measured)}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def picture(name: str, title: str = "") -> str:
    """A figure as a paragraph."""
    return f"![{title or name}](FIGURES/{name}.png)\n"


def protocol(stored: Stored, names: Sequence[str]) -> str:
    """A paragraph on how the rows of a table were measured, with the checksums of their weights."""
    protocols = [stored[name]["protocol"] for name in names]
    one, counts = protocols[0], {p["data"]: p["num_samples"] for p in protocols}
    tested = f"{one['num_samples']:,} {one['split']} images"
    if len(set(counts.values())) > 1:
        tested = f"{one['split']} images ({', '.join(f'{count:,} of {data}' for data, count in counts.items())})"
    nets = dict.fromkeys(f"{name} [{resize}]" for p in protocols for name, resize in p["feature_nets"].items())
    judges = dict.fromkeys(p[key] for p in protocols for key in ("judge", "attribute_judge") if key in p)
    weights = ", ".join(f"{name} {p['weights']}" for name, p in zip(names, protocols, strict=True))
    bounded = [p for p in protocols if "likelihood_of" in p]
    counts_of_latents = [str(count) for count in sorted({p["importance_samples"] for p in bounded})]
    draws = " or ".join(text for text in (", ".join(counts_of_latents[:-1]), *counts_of_latents[-1:]) if text)
    latents = f"{draws} {'latent' if draws == '1' else 'latents'} per image"
    kinds = list(dict.fromkeys(f"{p['likelihood_of']}" for p in bounded))
    only = "; bounds of different kinds of images cannot be compared" if len(kinds) > 1 else ""
    bounds = f" Likelihood bounds: {latents}, of {' or of '.join(kinds)}{only}." if bounded else ""
    keyed = [name for name, p in zip(names, protocols, strict=True) if "noise" in p]
    noise = f" Noise: {_noise(keyed, stored)}." if keyed else ""
    return (
        f"Protocol: {tested}, and as many images generated for their captions, all rounded to 8 bits; seed "
        f"{one['seed']}. Feature networks [resizing and scaling of their input]: {', '.join(nets) or 'none'}. Judge "
        f"(classifier): {', '.join(judges) or 'none'}.{bounds}{noise} Checksums of weights: {weights}.\n"
    )


def _noise(names: Sequence[str], stored: Stored) -> str:
    """The noise of the rows that name it in their protocol, and which rows these are."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(str(stored[name]["protocol"]["noise"]), []).append(name)
    return "; ".join(f"{kind} ({', '.join(rows)})" for kind, rows in kinds.items())
