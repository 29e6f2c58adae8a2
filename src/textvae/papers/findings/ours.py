"""What the stored metrics say about our own models, against the papers' models on the same data and real images."""

from collections.abc import Mapping, Sequence
from typing import Any

from textvae.papers.findings.evidence import FRECHET, INCEPTION, RETRIEVAL
from textvae.papers.stored import Stored, getter, images_of, trained_for
from textvae.papers.tables.table import number

JUDGE_FRECHET = "generation.frechet.judge"
GARMENT_RIVALS = ("label-conv", "label-conv-long", "label-dense", "label-dense-long")
"""The papers' models of garments from captions."""
PAPER_ROWS = ("clip-", "flowers102-clip-", "products-clip-")
"""Beginnings of the names of rows that are papers' models of photographs."""


def digits_and_garments(stored: Stored) -> list[str]:
    """Lines on our models of garments and of digits; none if they are not measured."""
    return _section(
        [
            *_garments(stored, "latent-flow-fashion", "Garments match their prompt and are sharp and varied"),
            *_garments(stored, "latent-flow-fashion-tiny", "A few minutes of training give recognisable garments"),
            *_sums(stored),
        ]
    )


def photographs(stored: Stored) -> list[str]:
    """Lines on our models of each set of photographs; none if they are not measured."""
    found = (_photographs(stored, source) for source in ("flowers", "products", "coco", "scenes"))
    return _section([finding for findings in found for finding in findings])


def _section(findings: Sequence[str]) -> list[str]:
    return ["**Findings**", "", *findings, ""] if findings else []


def _garments(stored: Stored, name: str, claim: str) -> list[str]:
    ours = getter(stored.get(name, {}))
    rivals = _measured(stored, [row for row in GARMENT_RIVALS if row in stored], JUDGE_FRECHET)
    if ours(JUDGE_FRECHET) is None or not rivals:
        return []
    rival = min(rivals, key=rivals.__getitem__)
    theirs = getter(stored[rival])
    within, nearest = "generation.diversity_within_class", "generation.nearest_training_image"
    text = [
        f"- *{claim}* (`{name}`{_after(stored[name])}).",
        f"Judge accuracy: {number(ours('generation.judge_accuracy'))} "
        f"(real test images: {number(ours('reference.real_test.judge_accuracy'))}).",
        _ratio("Fréchet distance (judge)", ours(JUDGE_FRECHET), theirs(JUDGE_FRECHET), rival, stored),
        _ratio("Fréchet distance (efficientnet-lite0)", ours(FRECHET), theirs(FRECHET), rival, stored),
        f"Diversity within classes, relative to real images: {number(ours(f'{within}.judge.ratio'))} in the judge's "
        f"features, {number(ours(f'{within}.pixels.ratio'))} in pixels. Mean distance to the nearest training image: "
        f"{number(ours(f'{nearest}.samples'))} (real test images: {number(ours(f'{nearest}.real_test'))}; copies: 0).",
    ]
    return [" ".join(text)]


def _sums(stored: Stored) -> list[str]:
    name = "latent-flow-digits"
    ours = getter(stored.get(name, {}))
    kinds = ours("generation.caption_accuracy")
    papers = _measured(stored, [row for row in stored if row.startswith("caption-rnn-arithmetic")], JUDGE_FRECHET)
    if not kinds or not papers:
        return []
    best = min(papers, key=papers.__getitem__)
    accuracies = ", ".join(f"{kind} {number(value)}" for kind, value in kinds.items() if kind != "samples_each")
    text = [
        f"- *Sums in words are computed correctly, even sums longer than those in training* (`{name}`"
        f"{_after(stored[name])}).",
        f"Judge accuracy by kind of captions: {accuracies}.",
        _ratio("Fréchet distance (judge)", ours(JUDGE_FRECHET), papers[best], best, stored),
    ]
    others = [row for row in ("caption-prior-arithmetic", "caption-prior-arithmetic-flow") if row in stored]
    for row in others:
        get = getter(stored[row])
        text.append(
            f"Our `{row}`{_after(stored[row])}: Fréchet distance {number(get(JUDGE_FRECHET))}, judge accuracy "
            f"{number(get('generation.judge_accuracy'))} (`{name}`: {number(ours('generation.judge_accuracy'))})."
        )
    return [" ".join(text)]


def _photographs(stored: Stored, source: str) -> list[str]:
    name = f"latent-flow-{source}"
    ours = getter(stored.get(name, {}))
    if ours(FRECHET) is None:
        return []
    images = images_of(stored[name])
    same = [row for row in stored if row.startswith(PAPER_ROWS) and images_of(stored[row]) == images]
    others = list(_measured(stored, same, FRECHET))
    if not others:
        return []
    text = [
        f"- *{source.capitalize()}* (`{name}`{_after(stored[name])}), for each metric against the best of "
        f"{len(others)} rows of papers a to c on the same images."
    ]
    for what, key in (("efficientnet-lite0", FRECHET), ("inception-768", INCEPTION)):
        measured = _measured(stored, others, key)
        if measured and ours(key) is not None:
            best = min(measured, key=measured.__getitem__)
            text.append(_ratio(f"Fréchet distance ({what})", ours(key), measured[best], best, stored))
    retrieved = _measured(stored, others, RETRIEVAL)
    if retrieved and ours(RETRIEVAL) is not None:
        best = max(retrieved, key=retrieved.__getitem__)
        text.append(
            f"Retrieval precision among 100 captions: {number(ours(RETRIEVAL))}, against {number(retrieved[best])} "
            f"for `{best}`{_after(stored[best])} (real images: {number(ours('generation.retrieval_precision.real'))})."
        )
    if (shown := ours("generation.colour.accuracy")) is not None:
        real = ours("generation.colour.real")
        text.append(f"The named colour is recognised {shown / real:.2f} times as often as in real images.")
    return [" ".join(text)]


def _measured(stored: Stored, names: Sequence[str], key: str) -> dict[str, float]:
    """A number of those rows that have it."""
    return {name: value for name in names if (value := getter(stored[name])(key)) is not None}


def _after(metrics: Mapping[str, Any]) -> str:
    """A clause on how long a model was trained; empty if the metrics do not say."""
    time = trained_for(metrics)
    return f", trained for {time}" if time else ""


def _ratio(what: str, ours: float, theirs: float, other: str, stored: Stored) -> str:
    return (
        f"{what}: {number(ours)}, against {number(theirs)} for `{other}` ({theirs / ours:.2f} times as large"
        f"{_after(stored[other])})."
    )
