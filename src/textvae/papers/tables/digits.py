"""Tables of grey images: digits from captions (paper d), and the quality of generated digits and garments."""

from collections.abc import Sequence
from typing import Any

from textvae.papers.findings import published
from textvae.papers.stored import SEEDED, Stored, getter
from textvae.papers.tables.table import KINDS, cited, number, picture, protocol, table

HELD_OUT = ("unseen", "longer", "within", "beyond", "held out")
"""Kinds of captions that were held out of training, in the words of the table."""


def paper_d(stored: Stored) -> str:
    """Digits from captions."""
    names = [name for name in stored if name.startswith("caption-")]
    if not names:
        return ""
    rows = []
    for name in names:
        get = getter(stored[name])
        kinds = ("caption_accuracy", "scene_accuracy", "number_accuracy")
        accuracy: dict[str, Any] = next((found for kind in kinds if (found := get(f"generation.{kind}"))), {})
        parts = {key.removeprefix("test-").replace("_", " "): value for key, value in accuracy.items()}
        rows.append(
            [
                f"`{name}`",
                number(accuracy.get("seen")),
                number(get("generation.judge_accuracy")),
                ", ".join(f"{key} {number(parts[key])}" for key in HELD_OUT if key in parts) or "-",
                number(accuracy.get("real_held_out", get("reference.real_test.judge_accuracy"))),
                number(get("generation.nearest_class_mean.samples")),
                number(get("generation.frechet.judge")),
                number(get("generation.diversity_within_class.pixels.ratio")),
                number(get("generation.diversity_within_class.judge.ratio")),
                number(get("likelihood.elbo_nats")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    if authors := stored.get(published.AUTHORS_D):
        get = getter(authors)
        accuracy = get("generation.caption_accuracy")
        held_out = ", ".join(f"{key.removeprefix('test-')} {number(accuracy[key])}" for key in published.LONGER_SUMS)
        real = number(get("real_test_accuracy.ours"))
        rows.append(
            ["*the authors' released weights, arithmetic*", number(accuracy["seen"]), "-", held_out, real, *["-"] * 6]
        )
    titles = ["model", "training captions", "test captions", "held-out captions by kind", "real images"]
    titles += ["nearest class mean", "Fréchet (judge)", "diversity / real (pixels)", "diversity / real (judge)"]
    titles += ["ELBO, nats", "training"]
    lines = [
        "## Paper d: digits from captions",
        "",
        *cited("d"),
        "The first columns give the judge accuracy of samples: for training captions, for all test captions, and for",
        "each kind of captions that was held out of training. Figure 3 of the paper cannot be compared with them,",
        "because its labels are misplaced (see below). In the families `label` and `sentence`, training and test",
        "captions are the same. `logic` holds out other sets of numbers (unseen) and longer ones (longer).",
        "`arithmetic` holds out sums of three to six numbers whose intermediate results are all digits (within) or",
        "not (beyond). `scenes` holds out pairs of digits; a sample counts if both digits are right and in place.",
        "`numbers` holds out calculations (unseen) and all calculations with five numbers (longer); a sample counts if",
        "it shows the result. *Nearest class mean*: fraction of samples that are nearer to the mean image of the",
        "right digit than to that of any other; blur does not reduce it.",
        "",
        "`caption-rnn` rows were trained with early stopping, the one with transposed convolutions (`-deconv`) for at",
        "most 20 epochs. Rows that end in `-code` follow the authors' program instead of the paper's text: its layer",
        "sizes, its loss, and all 60,000 training images. Their ELBO is of 8-bit images, that of the other rows of",
        "binary images.",
        "",
        table(titles, rows),
        "",
        published.paper_d(stored),
        *(picture(name) for name in names if not SEEDED.search(name)),
        picture("paper-d-loss-curves", "loss during training"),
        picture("paper-d-judge-accuracy", "judge accuracy during training"),
        protocol(stored, names),
    ]
    return "\n".join(lines)


def generation_table(stored: Stored, names: Sequence[str]) -> str:
    """The quality of samples, with real images and the mean image for comparison."""
    columns = [
        ("judge accuracy", "judge_accuracy"),
        ("Fréchet (judge)", "frechet.judge"),
        ("Fréchet (efficientnet-lite0)", "frechet.efficientnet-lite0"),
        ("kernel (judge)", "kernel.judge.mean"),
    ]
    rows = []
    for name in names:
        get = getter(stored[name])
        rows.append(
            [
                f"`{name}`",
                *(number(get(f"generation.{key}")) for _, key in columns),
                number(get("generation.diversity_within_class.judge.ratio")),
                number(get("likelihood.elbo_nats")),
                f"{number(get('likelihood.bits_per_dim'))} ({KINDS[stored[name]['protocol']['likelihood_of']]})",
                f"{get('likelihood.active_units')} of {get('likelihood.latent_dimensions')}",
                number(get("likelihood.kl_nats")),
            ]
        )
    for data in dict.fromkeys(stored[name]["protocol"]["data"] for name in names):
        get = getter(next(stored[name] for name in names if stored[name]["protocol"]["data"] == data))
        accuracy = number(get("reference.real_test.judge_accuracy"))
        for title, key in (("real training images", "real_train"), ("the mean image", "mean_image")):
            found = [number(get(f"reference.{key}.{column}")) for _, column in columns[1:]]
            rows.append([f"*{title} of {data}*", accuracy if key == "real_train" else "-", *found, *["-"] * 5])
    titles = [title for title, _ in columns]
    return (
        table(["model", *titles, "diversity / real", "ELBO, nats", "bits/dim", "active units", "KL, nats"], rows) + "\n"
    )
