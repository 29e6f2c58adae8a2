"""The table of photographs from captions, whoever draws them: papers a, b and c, and ours."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from textvae.papers.findings import INCEPTION, SEEDED, Stored
from textvae.papers.tables.cells import getter, images_of, number, pair, protocol, table
from textvae.recipes import RECIPES

CLIP_SCORE = "generation.clip_score.samples"


def photographs_table(stored: Stored, families: tuple[str, ...], concluded: str, title: str, *preface: str) -> str:
    """The rows of some families, with published numbers where a row is a recipe as it is; empty without rows.

    ``concluded`` goes below the table.
    """
    names = [name for name in stored if name.startswith(families)]
    if not names:
        return ""
    validated = any(getter(stored[name])("training.best_validation_loss") is not None for name in names)
    scored = any(getter(stored[name])("generation.clip_score.samples") is not None for name in names)
    timed = any(name.startswith("latent-flow-") for name in names)
    doubled = any(getter(stored[name])(INCEPTION) is not None for name in names)
    rows = []
    for name in names:
        get = getter(stored[name])
        published = RECIPES[name]().published if name in RECIPES else {}
        fid = published.get("generation.frechet.inception", published.get("reconstruction.frechet.inception"))
        loss = pair(published.get("training.best_validation_loss"), get("training.best_validation_loss"))
        rows.append(
            [
                f"`{name}`",
                *([loss] if validated else []),
                pair(published.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                pair(published.get("reconstruction.ssim"), get("reconstruction.ssim")),
                number(fid),
                number(get("reconstruction.frechet.efficientnet-lite0")),
                number(get("generation.frechet.efficientnet-lite0")),
                *([number(get(INCEPTION))] if doubled else []),
                number(get("generation.retrieval_precision.samples")),
                *([pair(published.get(CLIP_SCORE), get(CLIP_SCORE))] if scored else []),
                f"{number(get('generation.word_sensitivity.right_sign'))}, "
                f"{number(get('generation.word_sensitivity.strength'))}",
                f"{number(get('generation.colour.accuracy'))} of {number(get('generation.colour.real'))}",
                number(get("likelihood.retrieval_precision")),
                number(get("likelihood.elbo_nats")),
                *([number(get("speed.generated_images_per_s"))] if timed else []),
                _trained(stored[name]),
            ]
        )
    # One row an image set: its preparations differ in what stands beside the images.
    for images, name in {images_of(stored[name]): name for name in names}.items():
        get = getter(stored[name])
        distance = number(get("reference.real_train.frechet.efficientnet-lite0"))
        retrieved = number(get("generation.retrieval_precision.real"))
        other = [number(get("reference.real_train.frechet.inception-768"))] if doubled else []
        before = ["-"] * (5 if validated else 4)
        score = [number(get("generation.clip_score.real"))] if scored else []
        after = ["-"] * (6 if timed else 5)
        rows.append([f"*real images of {images}*", *before, distance, *other, retrieved, *score, *after])
    titles = ["model", *(["validation loss"] if validated else []), "MSE (sum)", "SSIM", "FID published"]
    titles += ["Fréchet (efficientnet-lite0), reconstructions", "samples"]
    titles += [*(["Fréchet (inception-768), samples"] if doubled else []), "retrieval precision"]
    titles += [*(["CLIP score"] if scored else []), "words: right sign, strength"]
    titles += ["named colours shown, of real", "own caption by the bound"]
    titles += ["ELBO, nats", *(["images/s"] if timed else []), "training"]
    pictured = [name for name in names if not SEEDED.search(name)]
    pictures = [f"![{name}](FIGURES/{name}.png)\n" for name in pictured]
    return "\n".join(
        [
            title,
            "",
            *preface,
            "",
            table(titles, rows),
            "",
            _read_so(stored, names),
            *_spread(stored, names),
            concluded,
            *pictures,
            protocol(stored, names),
        ]
    )


def _trained(metrics: Mapping[str, Any]) -> str:
    """How long, on how many images; and what the paper did, where that was cut."""
    get = getter(metrics)
    images, paper = get("training.images"), get("training.paper")
    of = f" of {images:,} images" if images else ""
    cut = f" (paper: {paper})" if paper else ""
    return f"{get('training.epochs') or 0:.0f} epochs{of}{cut}, {get('training.seconds') or 0:.0f} s"


def _read_so(stored: Stored, names: Sequence[str]) -> str:
    """What the columns of photographs are, with the ends of their scales."""
    lines = [
        "*Retrieval precision*: samples nearer to their own caption than to 99 others, in the eyes of a pair that "
        "conditioned none of the models."
    ]
    measured = [name for name in names if getter(stored[name])("generation.retrieval_precision.shuffled") is not None]
    if measured:
        floor = [stored[name]["generation"]["retrieval_precision"]["shuffled"] for name in measured]
        judges = dict.fromkeys(stored[name]["protocol"]["retrieval"]["judge"] for name in measured)
        lines.append(
            f"The judge is {', '.join(judges)}; real images are in the last rows; with the captions shuffled, samples "
            f"have {number(min(floor))} to {number(max(floor))}."
        )
    lines += [
        "*Words*: of the words that real captions name often, those whose mention moves a sample as it moves real "
        "images (one half is chance), and how far, real images being 1.",
        "*By the bound*: real images whose own caption the model finds likelier than those of others, chance being one "
        f"in {getter(stored[names[0]])('likelihood.retrieval_choices') or 'as many as there are'}.\n",
    ]
    return "\n".join(lines)


_SPREAD = {
    "MSE (sum)": "reconstruction.mse_sum",
    "SSIM": "reconstruction.ssim",
    "Fréchet, samples": "generation.frechet.efficientnet-lite0",
    "retrieval precision": "generation.retrieval_precision.samples",
    "words: right sign": "generation.word_sensitivity.right_sign",
    "ELBO, nats": "likelihood.elbo_nats",
}
"""What is told over seeds."""


def _spread(stored: Stored, names: Sequence[str]) -> list[str]:
    """Mean and standard deviation over the seeds of each row that was trained with several."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        seeds.setdefault(SEEDED.sub("", name), []).append(name)
    rows = []
    for name, own in seeds.items():
        if len(own) < 2:
            continue
        cells = []
        for key in _SPREAD.values():
            values = [value for seeded in own if (value := getter(stored[seeded])(key)) is not None]
            spread = f" ± {number(statistics.stdev(values))}" if len(values) > 1 else ""
            cells.append(f"{number(statistics.mean(values))}{spread}" if values else "-")
        rows.append([f"`{name}`", str(len(own)), *cells])
    if not rows:
        return []
    told = (
        "Over seeds, which decide weights, order and noise: mean ± standard deviation. Smaller differences say nothing."
    )
    return [told, "", table(["model", "seeds", *_SPREAD], rows), ""]
