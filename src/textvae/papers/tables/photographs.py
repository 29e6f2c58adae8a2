"""The table of photographs from captions, for papers a, b and c and for our models."""

from collections.abc import Mapping, Sequence
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
    validated = any(getter(stored[name])("training.best_validation_loss") is not None for name in names)
    scored = any(getter(stored[name])(CLIP_SCORE) is not None for name in names)
    timed = any(name.startswith("latent-flow-") for name in names)
    fid = any(getter(stored[name])(FID_SAMPLED) is not None for name in names)
    inception = any(getter(stored[name])(INCEPTION) is not None for name in names)
    rows = []
    for name in names:
        get = getter(stored[name])
        published = RECIPES[name]().published if name in RECIPES else {}
        distances = [pair(published.get(key), get(key)) for key in (FID_RECONSTRUCTED, FID_SAMPLED)]
        if not fid:
            distances = [number(published.get(FID_SAMPLED, published.get(FID_RECONSTRUCTED)))]
        loss = pair(published.get("training.best_validation_loss"), get("training.best_validation_loss"))
        rows.append(
            [
                f"`{name}`",
                *([loss] if validated else []),
                pair(published.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                pair(published.get("reconstruction.ssim"), get("reconstruction.ssim")),
                *distances,
                number(get("reconstruction.frechet.efficientnet-lite0")),
                number(get("generation.frechet.efficientnet-lite0")),
                *([number(get(INCEPTION))] if inception else []),
                number(get("generation.retrieval_precision.samples")),
                *(
                    [
                        pair(published.get(CLIP_SCORE), get(CLIP_SCORE)) + ("†" if get(CONDITIONED) else ""),
                        number(get(PREFIXED)),
                    ]
                    if scored
                    else []
                ),
                f"{number(get('generation.word_sensitivity.right_sign'))}, "
                f"{number(get('generation.word_sensitivity.strength'))}",
                f"{number(get('generation.colour.accuracy'))}, {number(get('generation.colour.real'))}",
                number(get("likelihood.retrieval_precision")),
                number(get("likelihood.elbo_nats")),
                *([number(get("speed.generated_images_per_s"))] if timed else []),
                training(stored[name], paper_training(name)),
            ]
        )
    # One row for each set of images, however its captions are encoded.
    for images in dict.fromkeys(images_of(stored[name]) for name in names):
        same = [stored[name] for name in names if images_of(stored[name]) == images]
        distance = number(_first(same, "reference.real_train.frechet.efficientnet-lite0"))
        retrieved = number(_first(same, "generation.retrieval_precision.real"))
        other = [number(_first(same, "reference.real_train.frechet.inception-768"))] if inception else []
        first = ["-"] * (3 if validated else 2)
        first += ["-", number(_first(same, "reference.real_train.frechet.inception")), "-"] if fid else ["-", "-"]
        score = [number(_first(same, f"generation.{name}.real")) for name in ("clip_score", "clip_score_prefixed")]
        after = ["-"] * (6 if timed else 5)
        rows.append(
            [f"*real images of {images}*", *first, distance, *other, retrieved, *(score if scored else []), *after]
        )
    titles = ["model", *(["validation loss"] if validated else []), "MSE (sum)", "SSIM"]
    titles += ["FID, reconstructions", "FID, samples"] if fid else ["published FID"]
    titles += ["Fréchet (efficientnet-lite0), reconstructions", "Fréchet (efficientnet-lite0), samples"]
    titles += [*(["Fréchet (inception-768), samples"] if inception else []), "retrieval precision"]
    titles += [*(["CLIP score", "CLIP score with prefix"] if scored else []), "word sensitivity: right sign, strength"]
    titles += ["named colour recognised: samples, real images", "own caption has the highest bound"]
    titles += ["ELBO, nats", *(["images/s"] if timed else []), "training"]
    return "\n".join(
        [
            title,
            "",
            *preface,
            "",
            table(titles, rows),
            "",
            _columns(stored, names),
            *_seeds(stored, names),
            findings,
            *(picture(name) for name in names if not SEEDED.search(name)),
            protocol(stored, names),
        ]
    )


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
