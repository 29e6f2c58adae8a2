"""The sections of RESULTS.md that go beyond the papers: flow priors, and the likelihood bounds of all models."""

from collections.abc import Sequence

from textvae.papers.findings import ours
from textvae.papers.rows import NEAREST
from textvae.papers.stored import SEEDED, Stored, getter, trained_for
from textvae.papers.tables.photographs import photographs_table
from textvae.papers.tables.sprouts import sprouts_table
from textvae.papers.tables.table import KINDS, number, picture, protocol, table

PAPER_ROWS = tuple(
    f"{name}{ending}" for name in ("label-dense", "label-conv", "caption-prior-arithmetic") for ending in ("", "-long")
)
"""Paper b's models and ours of paper d's sums, with the same for as long as `latent-flow-*`."""


def flow(stored: Stored) -> str:
    """Flow priors: our own models, and flows fitted to the papers' models."""
    photographs = "\n".join(text for text in (_photographs(stored), sprouts_table(stored)) if text)
    names = [name for name in stored if name.startswith("latent-flow-") or name.endswith("-flow")]
    names = [name for name in names if getter(stored[name])("generation.judge_accuracy") is not None]
    if not names:
        return photographs
    # For comparison: the papers' models of the same data.
    papers = [name for name in PAPER_ROWS if name in stored]
    rows = []
    for name in [*names, *papers]:
        get = getter(stored[name])
        accuracy = get("generation.caption_accuracy") or {}
        rows.append(
            [
                f"`{name}`",
                number(get("generation.judge_accuracy")),
                ", ".join(f"{key} {number(accuracy[key])}" for key in ("seen", "test-within") if key in accuracy)
                or "-",
                number(get("reconstruction.frechet.judge")),
                number(get("generation.frechet.judge")),
                number(get("generation.frechet.efficientnet-lite0")),
                number(get("generation.diversity_within_class.judge.ratio")),
                number(get("generation.diversity_within_class.pixels.ratio")),
                f"{number(get('generation.nearest_training_image.samples'))}, "
                f"{number(get('generation.nearest_training_image.real_test'))}",
                number(get("likelihood.bits_per_dim")),
                number(get("speed.generated_images_per_s")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    titles = ["model", "judge accuracy", "by kind of captions"]
    titles += ["Fréchet (judge), reconstructions", "Fréchet (judge), samples", "Fréchet (efficientnet-lite0), samples"]
    titles += ["diversity / real (judge)", "diversity / real (pixels)"]
    titles += ["distance to nearest training image: samples, test images", "bits/dim", "images/s", "training"]
    figures = ["flow-guidance-frechet-judge", "flow-guidance-judge-accuracy"]
    figures += ["flow-steps-frechet-judge", "flow-steps-judge-accuracy"]
    figures += ["flow-interpolate", "flow-edit", "flow-edit-balance", "flow-complete"]
    return "\n".join(
        [
            "## Beyond the papers: flow priors",
            "",
            "`latent-flow-*` are our models. `label-*-flow` are paper b's models and `caption-prior-arithmetic-flow`",
            "is our model for paper d's sums, each with a flow prior fitted to its latents and no other change. The",
            "last rows are the same models with their own priors.",
            "",
            table(titles, rows),
            "",
            *ours.digits_and_garments(stored),
            *_fitted_flows(stored, names),
            *(picture(name) for name in [*names, *figures]),
            protocol(stored, names),
            photographs,
        ]
    )


def _photographs(stored: Stored) -> str:
    """Our models of photographs, with the papers' models on the same photographs."""
    text = photographs_table(
        stored,
        (
            "latent-flow-flowers",
            "latent-flow-products",
            "latent-flow-coco",
            "latent-flow-scenes",
            "flowers102-",
            "products-",
        ),
        "\n".join(ours.photographs(stored)),
        "## Beyond the papers: photographs",
        "`latent-flow-*` are our models, which learn to read captions. `flowers102-*` and `products-*` are the papers'",
        "models trained on the same photographs and conditioned on frozen sentence embeddings. The papers' models for",
        "`latent-flow-coco` and `latent-flow-scenes` are in the sections on papers a to c.",
    )
    curves = [stored[name]["curves"] for name in stored if name.startswith("latent-flow-") and "curves" in stored[name]]
    if seen := [found for found in curves if "frechet_efficientnet-lite0" in found["guidance"][0]]:
        text += "\nEffect of the guidance scale and of the number of sampling steps "
        text += f"({seen[0]['samples']} samples per point, generated in {seen[0]['precision']}):\n"
        for over in ("guidance", "steps"):
            for what in ("frechet-efficientnet-lite0", "retrieval-precision"):
                text += f"\n{picture(f'flow-{over}-{what}', f'{what} over {over}')}"
    if "latent-flow-flowers" in stored:
        text += f"\n{picture('flowers-interpolate', 'interpolation between two prompts')}"
        text += "\nGenerated flowers, each next to the same flower edited with another prompt:\n"
        text += f"\n{picture('flowers-edit', 'edits by a prompt')}"
    if any({paper, f"latent-flow-{name}"} <= set(stored) for name, paper in NEAREST.items()):
        text += "\nSamples for the same captions: paper b's model on the left, ours on the right."
        text += f"\n{' '.join(_lengths(stored))}\n"
        text += f"\n{picture('photographs-beside', 'a paper’s model and ours')}"
    return text


def _lengths(stored: Stored) -> list[str]:
    """How long both models of each half of the picture of photographs were trained."""
    pairs = {name: (stored.get(paper), stored.get(f"latent-flow-{name}")) for name, paper in NEAREST.items()}
    return [
        f"Of {name}, the left model was trained for {trained_for(theirs)}, the right one for {trained_for(mine)}."
        for name, (theirs, mine) in pairs.items()
        if theirs and mine and trained_for(theirs) and trained_for(mine)
    ]


def _fitted_flows(stored: Stored, names: Sequence[str]) -> list[str]:
    """The effect of a flow prior on the papers' models, whose encoder and decoder stay as they are."""
    lines = []
    for name in names:
        before, after = stored.get(name.removesuffix("-flow")), stored[name]
        if before is None or before is after:
            continue
        distances, accuracies = (
            " to ".join(number(getter(metrics)(key)) for metrics in (before, after))
            for key in ("generation.frechet.judge", "generation.judge_accuracy")
        )
        times = [trained_for(metrics) for metrics in (before, after)]
        lengths = f" Training time: {times[0]} without the flow, {times[1]} with it." if all(times) else ""
        lines.append(
            f"- *A flow prior for `{before['protocol']['model']}`*, fitted to its latents with no other change, "
            f"changes the Fréchet distance (judge) of samples from {distances} and the judge accuracy from "
            f"{accuracies}.{lengths}"
        )
    return [*lines, ""] if lines else []


def likelihood(stored: Stored) -> str:
    """The likelihood bounds of all models in bits per dimension, by data and kind of likelihood."""
    named: dict[tuple[str, str], list[str]] = {}
    for name, metrics in stored.items():
        if getter(metrics)("likelihood.bits_per_dim") is not None and not SEEDED.search(name):
            named.setdefault((metrics["protocol"]["data"], metrics["protocol"]["likelihood_of"]), []).append(name)
    if not named:
        return ""
    rows = []
    for (source, kind), names in sorted(named.items()):
        for name in sorted(names, key=lambda name: float(stored[name]["likelihood"]["bits_per_dim"])):
            get = getter(stored[name])
            cells = [get(f"likelihood.{key}") for key in ("bits_per_dim", "elbo_nats", "kl_nats")]
            rows.append([source, KINDS.get(kind, kind), f"`{name}`", *map(number, cells)])
    return "\n".join(
        [
            "## Likelihood bounds of all models",
            "",
            "Fewer bits per dimension are better. They can only be compared between rows with the same data and the",
            "same kind of likelihood: *8-bit* is the likelihood of the stored pixels, *binary* that of black and white",
            "pixels drawn from them. The bound of a model with a flow prior is estimated on 500 images with one latent",
            "each.",
            "",
            table(["data", "likelihood of", "model", "bits/dim", "ELBO, nats", "KL, nats"], rows),
            "",
        ]
    )
