"""What is claimed of our own models: against the papers' models of the same data, and against real images."""

from collections.abc import Sequence

from textvae.papers.findings import FRECHET, INCEPTION, RETRIEVED, Stored
from textvae.papers.tables.cells import getter, images_of, number

JUDGED = "generation.frechet.judge"
PAPERS = ("clip-", "flowers102-clip-", "products-clip-")
"""How the rows of the papers' models of photographs begin."""


def drawings(stored: Stored) -> list[str]:
    """Of garments and of digits; nothing where those are not measured."""
    return _told(
        [
            *_garments(stored, "latent-flow-fashion", "Garments are what their word says, sharp and varied"),
            *_garments(stored, "latent-flow-fashion-tiny", "Minutes of training are enough to tell garments apart"),
            *_sums(stored),
        ]
    )


def photographs(stored: Stored) -> list[str]:
    """Of each set of photographs; nothing where that is not measured."""
    found = (_photographs(stored, source) for source in ("flowers", "products", "coco"))
    return _told([claim for claims in found for claim in claims])


def _told(claims: Sequence[str]) -> list[str]:
    return ["**What is claimed**", "", *claims, ""] if claims else []


def _garments(stored: Stored, name: str, claim: str) -> list[str]:
    ours, theirs = getter(stored.get(name, {})), getter(stored.get("label-conv", {}))
    if ours(JUDGED) is None or theirs(JUDGED) is None:
        return []
    within = "generation.diversity_within_class"
    told = [
        f"- *{claim}* (`{name}`, {(ours('training.seconds') or 0) / 60:.0f} minutes).",
        f"The judge sees what was asked for in {number(ours('generation.judge_accuracy'))} of the samples "
        f"(real test images: {number(ours('reference.real_test.judge_accuracy'))}).",
        _times("Fréchet distance (judge)", ours(JUDGED), theirs(JUDGED), "label-conv"),
        _times("Fréchet distance (efficientnet-lite0)", ours(FRECHET), theirs(FRECHET), "label-conv"),
        f"Distances within a class are {number(ours(f'{within}.judge.ratio'))} of real ones in the judge's features, "
        f"{number(ours(f'{within}.pixels.ratio'))} in pixels. The nearest training image is "
        f"{number(ours('generation.nearest_training_image.samples'))} away, from real test images "
        f"{number(ours('generation.nearest_training_image.real_test'))}; a copy would be at 0.",
    ]
    return [" ".join(told)]


def _sums(stored: Stored) -> list[str]:
    ours = getter(stored.get("latent-flow-digits", {}))
    kinds = ours("generation.caption_accuracy")
    rivals = {
        name: distance
        for name in stored
        if name.startswith("caption-") and not name.endswith("-flow")
        if (distance := getter(stored[name])(JUDGED)) is not None
    }
    if not kinds or not rivals:
        return []
    best = min(rivals, key=rivals.__getitem__)
    accuracies = ", ".join(f"{kind} {number(value)}" for kind, value in kinds.items() if kind != "samples_each")
    return [
        f"- *Sums in words are worked out, also longer ones than any in training* (`latent-flow-digits`). The digit is "
        f"right in these shares of the samples, by kind of caption: {accuracies}. "
        + _times("Fréchet distance (judge)", ours(JUDGED), rivals[best], best)
    ]


def _photographs(stored: Stored, source: str) -> list[str]:
    name = f"latent-flow-{source}"
    ours = getter(stored.get(name, {}))
    if ours(FRECHET) is None:
        return []
    images = images_of(stored[name])
    rivals = [
        row
        for row in stored
        if row.startswith(PAPERS) and images_of(stored[row]) == images
        if getter(stored[row])(FRECHET) is not None
    ]
    if not rivals:
        return []
    read = {row: getter(stored[row]) for row in rivals}
    told = [f"- *{source.capitalize()}* (`{name}`, against the best of {len(rivals)} rows of papers a to c)."]
    for what, key in (("efficientnet-lite0", FRECHET), ("inception-768", INCEPTION)):
        measured = {row: distance for row in rivals if (distance := read[row](key)) is not None}
        if measured and ours(key) is not None:
            best = min(measured, key=measured.__getitem__)
            told.append(_times(f"Fréchet distance ({what})", ours(key), measured[best], best))
    retrieved = {row: value for row in rivals if (value := read[row](RETRIEVED)) is not None}
    if retrieved and ours(RETRIEVED) is not None:
        most = max(retrieved.values())
        told.append(
            f"Of 100 captions their own is nearest in {number(ours(RETRIEVED))} of the samples, theirs at most "
            f"{number(most)}, real images {number(ours('generation.retrieval_precision.real'))}."
        )
    if (shown := ours("generation.colour.accuracy")) is not None:
        real = ours("generation.colour.real")
        told.append(f"Named colours are shown {shown / real:.2f} times as often as real images show them.")
    return [" ".join(told)]


def _times(what: str, ours: float, theirs: float, rival: str) -> str:
    return f"{what} {number(ours)}, `{rival}` {number(theirs)}: {theirs / ours:.2f} times as far."
