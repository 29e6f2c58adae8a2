"""The table of photographs from captions, for papers a, b and c and for our models."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textvae.papers.findings.evidence import INCEPTION, spread
from textvae.papers.rows import paper_training
from textvae.papers.stored import SEEDED, Stored, getter, images_of, training
from textvae.papers.tables.table import number, pair, picture, protocol, table
from textvae.recipes import RECIPES

CLIP_SCORE, PREFIXED = "generation.clip_score.samples", "generation.clip_score_prefixed.samples"
CONDITIONED = "protocol.clip_score.conditioned_the_model"
FID_RECONSTRUCTED, FID_SAMPLED = "reconstruction.frechet.inception", "generation.frechet.inception"


def photographs_table(stored: Stored, families: tuple[str, ...], findings: str, title: str, *preface: str) -> str:
    """A section with the rows whose names begin with one of ``families``; empty if there are none.

    Published numbers stand beside rows that are recipes without changes.

    Args:
        stored: all stored metrics.
        families: beginnings of the names of rows.
        findings: text below the table.
        title: heading of the section.
        preface: lines above the table.
    """
    names = [name for name in stored if name.startswith(families)]
    if not names:
        return ""
    models = [_of_model(name, stored[name]) for name in names]
    # One row for each set of images, however its captions are encoded.
    real = [
        _of_real_images(images, [stored[name] for name in names if images_of(stored[name]) == images])
        for images in dict.fromkeys(images_of(stored[name]) for name in names)
    ]
    return "\n".join(
        [
            title,
            "",
            *preface,
            "",
            table(*_filled(models, real)),
            "",
            _columns(stored, names),
            *_seeds(stored, names),
            findings,
            *(picture(name) for name in names if not SEEDED.search(name)),
            protocol(stored, names),
        ]
    )


def _of_model(name: str, metrics: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a row by the title of their column."""
    get, published = getter(metrics), RECIPES[name]().published if name in RECIPES else {}

    def both(key: str) -> str:
        return pair(published.get(key), get(key))

    return {
        "model": f"`{name}`",
        "validation loss": both("training.best_validation_loss"),
        "MSE (sum)": both("reconstruction.mse_sum"),
        "SSIM": both("reconstruction.ssim"),
        "published FID": number(published.get(FID_SAMPLED, published.get(FID_RECONSTRUCTED))),
        "FID, reconstructions": number(get(FID_RECONSTRUCTED)),
        "FID, samples": number(get(FID_SAMPLED)),
        "Fréchet (efficientnet-lite0), reconstructions": number(get("reconstruction.frechet.efficientnet-lite0")),
        "Fréchet (efficientnet-lite0), samples": number(get("generation.frechet.efficientnet-lite0")),
        "Fréchet (inception-768), samples": number(get(INCEPTION)),
        "retrieval precision": number(get("generation.retrieval_precision.samples")),
        "CLIP score": both(CLIP_SCORE) + ("†" if get(CONDITIONED) else ""),
        "CLIP score with prefix": number(get(PREFIXED)),
        "word sensitivity: right sign, strength": _two(get, "word_sensitivity.right_sign", "word_sensitivity.strength"),
        "named colour recognised: samples, real images": _two(get, "colour.accuracy", "colour.real"),
        "own caption has the highest bound": number(get("likelihood.retrieval_precision")),
        "ELBO, nats": number(get("likelihood.elbo_nats")),
        "images/s": number(get("speed.generated_images_per_s")) if name.startswith("latent-flow-") else "-",
        "training": training(metrics, paper_training(name)),
    }


def _of_real_images(images: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the metrics of models of the same images say about real ones, by the title of their column."""
    keys = {
        "FID, samples": "reference.real_train.frechet.inception",
        "Fréchet (efficientnet-lite0), samples": "reference.real_train.frechet.efficientnet-lite0",
        "Fréchet (inception-768), samples": "reference.real_train.frechet.inception-768",
        "retrieval precision": "generation.retrieval_precision.real",
        "CLIP score": "generation.clip_score.real",
        "CLIP score with prefix": "generation.clip_score_prefixed.real",
    }
    return {"model": f"*real images of {images}*"} | {title: number(_first(rows, key)) for title, key in keys.items()}


def _two(get: Callable[[str], Any], one: str, other: str) -> str:
    values = [get(f"generation.{key}") for key in (one, other)]
    return "-" if values == [None, None] else ", ".join(map(number, values))


def _filled(
    models: Sequence[Mapping[str, str]], real: Sequence[Mapping[str, str]]
) -> tuple[list[str], list[list[str]]]:
    """The titles of the columns in which a model has a number, and the cells of all rows."""
    titles = [title for title in models[0] if any(row[title] != "-" for row in models)]
    return titles, [[row.get(title, "-") for title in titles] for row in (*models, *real)]


def _first(rows: Sequence[Mapping[str, Any]], key: str) -> Any:
    """A number of real images, from the first of these metrics that has it; None if none has it."""
    return next((value for metrics in rows if (value := getter(metrics)(key)) is not None), None)


def _columns(stored: Stored, names: Sequence[str]) -> str:
    """What the columns mean, with the values of real images and of chance."""
    lines = [
        "*Retrieval precision*: fraction of samples that are nearer to their own caption than to 99 others, judged by "
        "a dual encoder that conditioned none of the models (chance: 0.01)."
    ]
    measured = [name for name in names if getter(stored[name])("generation.retrieval_precision.shuffled") is not None]
    if measured:
        chance = [stored[name]["generation"]["retrieval_precision"]["shuffled"] for name in measured]
        judges = dict.fromkeys(stored[name]["protocol"]["retrieval"]["judge"] for name in measured)
        lines.append(
            f"Dual encoders, with the checksums of their weights: {', '.join(judges)}. The last rows are real images. "
            f"With shuffled captions, samples score {number(min(chance))} to {number(max(chance))}."
        )
    if any(getter(stored[name])(CONDITIONED) for name in names):
        lines.append("†: the CLIP that scores the samples also conditioned the model, as in papers a, b and c.")
    choices = getter(stored[names[0]])("likelihood.retrieval_choices")
    lines += [
        "*Word sensitivity*: fraction of frequent words that, added to a prompt, change samples in the direction in "
        "which real images with the word differ (*right sign*; chance: 0.5), and the size of the change, where 1 is "
        "the difference between real images (*strength*).",
        "*Own caption has the highest bound*: fraction of real images for which the model's likelihood bound is higher "
        f"with their own caption than with those of other images (chance: one in {choices or 'the number of captions'}"
        ").\n",
    ]
    return "\n".join(lines)


_SPREAD = {
    "MSE (sum)": "reconstruction.mse_sum",
    "SSIM": "reconstruction.ssim",
    "Fréchet (efficientnet-lite0), samples": "generation.frechet.efficientnet-lite0",
    "retrieval precision": "generation.retrieval_precision.samples",
    "word sensitivity: right sign": "generation.word_sensitivity.right_sign",
    "ELBO, nats": "likelihood.elbo_nats",
}
"""Columns of the table of seeds."""


def _seeds(stored: Stored, names: Sequence[str]) -> list[str]:
    """A table with mean and standard deviation over seeds, for rows that were trained with several; else empty."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        seeds.setdefault(SEEDED.sub("", name), []).append(name)
    rows = []
    for name, own in seeds.items():
        if len(own) < 2:
            continue
        cells = []
        for key in _SPREAD.values():
            values = [value for row in own if (value := getter(stored[row])(key)) is not None]
            cells.append(spread(values) if values else "-")
        rows.append([f"`{name}`", str(len(own)), *cells])
    if not rows:
        return []
    text = "Mean ± standard deviation over seeds. A seed determines initial weights, order of images and noise."
    return [text, "", table(["model", "seeds", *_SPREAD], rows), ""]
