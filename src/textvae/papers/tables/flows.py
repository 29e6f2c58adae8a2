"""The sections of what goes past the papers: flow priors, and the likelihood bound of every family."""

from collections.abc import Sequence

from textvae.papers.figures import NEAREST
from textvae.papers.findings import SEEDED, Stored
from textvae.papers.tables import claims
from textvae.papers.tables.cells import KINDS, getter, number, protocol, table
from textvae.papers.tables.photographs import photographs_table


def flow(stored: Stored) -> str:
    """Flow priors, of our own models and fitted to the papers'."""
    photographs = photographs_table(
        stored,
        ("latent-flow-flowers", "latent-flow-products", "latent-flow-coco", "flowers102-", "products-"),
        "\n".join(claims.photographs(stored)),
        "## Past the papers: photographs from anybody's words",
        "`latent-flow-*` are ours and learn to read; `flowers102-*` and `products-*` are the papers' models on the",
        "same photographs, trained on frozen sentence embeddings; on MS-COCO they are in the sections above.",
    )
    curves = [metrics["curves"] for metrics in stored.values() if "curves" in metrics]
    if seen := [found for found in curves if "frechet_efficientnet-lite0" in found["guidance"][0]]:
        photographs += f"\nGuidance and steps, {seen[0]['samples']} samples a point, drawn in {seen[0]['precision']}:\n"
        for over in ("guidance", "steps"):
            for what in ("frechet-efficientnet-lite0", "retrieval-precision"):
                photographs += f"\n![{what} over {over}](FIGURES/flow-{over}-{what}.png)\n"
    if "latent-flow-flowers" in stored:
        photographs += "\n![from one sentence to another](FIGURES/flowers-interpolate.png)\n"
        photographs += "\nFlowers that the model drew, and beside each what other words make of it:\n"
        photographs += "\n![edited by words](FIGURES/flowers-edit.png)\n"
    if any({paper, f"latent-flow-{name}"} <= set(stored) for name, paper in NEAREST.items()):
        photographs += (
            "\nLeft the nearest of the papers' models, of flowers paper b's and of products paper c's, right ours,"
        )
        photographs += "\nfrom the same captions:\n\n![theirs and ours](FIGURES/photographs-beside.png)\n"
    names = [name for name in stored if name.startswith("latent-flow-") or name.endswith("-flow")]
    names = [name for name in names if getter(stored[name])("generation.judge_accuracy") is not None]
    if not names:
        return photographs
    # Each beside what the papers' model of the same data does, measured alike.
    papers = [name for name in ("label-dense", "label-conv", "caption-prior-arithmetic") if name in stored]
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
                f"{number(get('generation.nearest_training_image.samples'))} "
                f"of {number(get('generation.nearest_training_image.real_test'))}",
                number(get("likelihood.bits_per_dim")),
                number(get("speed.generated_images_per_s")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    titles = ["model", "judge accuracy", "captions", "Fréchet (judge) of reconstructions", "of samples"]
    titles += ["Fréchet (efficientnet-lite0)", "diversity / real (judge)", "(pixels)"]
    titles += ["nearest training image, of test images'", "bits per dimension", "images/s", "training"]
    pictures = ["flow-guidance-frechet-judge", "flow-guidance-judge-accuracy"]
    pictures += ["flow-steps-frechet-judge", "flow-steps-judge-accuracy"]
    pictures += ["flow-interpolate", "flow-edit", "flow-edit-balance", "flow-complete"]
    return "\n".join(
        [
            "## Past the papers: flow priors",
            "",
            "`latent-flow-*` are ours; `*-flow` are the papers' models with a flow fitted to their latents and nothing",
            "else changed; the last rows are those models as they were.",
            "",
            table(titles, rows),
            "",
            *claims.drawings(stored),
            *_prior_holes(stored, names),
            *(f"![{name}](FIGURES/{name}.png)\n" for name in [*names, *pictures]),
            protocol(stored, names),
            photographs,
        ]
    )


def _prior_holes(stored: Stored, names: Sequence[str]) -> list[str]:
    """What a flow alone makes of the papers' models: encoder and decoder stay as they were."""
    lines = []
    for name in names:
        before, after = stored.get(name.removesuffix("-flow")), stored[name]
        if before is None or before is after:
            continue
        distances, accuracies = (
            " to ".join(number(getter(metrics)(key)) for metrics in (before, after))
            for key in ("generation.frechet.judge", "generation.judge_accuracy")
        )
        lines.append(
            f"- *The prior hole of `{before['protocol']['model']}`.* Drawn from a flow fitted to its latents, nothing "
            f"else changed: Fréchet distance (judge) from {distances}, judge accuracy from {accuracies}."
        )
    return [*lines, ""] if lines else []


def likelihood(stored: Stored) -> str:
    """Every family's bound in bits per dimension, by data and by what it is a likelihood of."""
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
            "## The likelihood bound of every family",
            "",
            "Bits per dimension are comparable between rows of the same data and of the same kind: *8-bit* is the",
            "likelihood of pixels as they are stored, *binary* of black and white ones drawn from them. A flow's bound",
            "is estimated on 500 images, with one draw of each. Least is best.",
            "",
            table(["data", "likelihood of", "model", "bits/dim", "ELBO, nats", "KL, nats"], rows),
            "",
        ]
    )
