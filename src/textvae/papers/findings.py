"""Does what a paper concludes hold in our hands? Point by point, with numbers from the stored metrics."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Stored = Mapping[str, Mapping[str, Any]]
"""Each row's metrics.json, by the row's name."""

SEEDED = re.compile(r"-seed\d+$")
"""The end of a row's name that is another one but for its seed."""

FRECHET = "generation.frechet.efficientnet-lite0"
INCEPTION = "generation.frechet.inception-768"
"""The distance in features that no model was trained with."""
RETRIEVED = "generation.retrieval_precision.samples"
STRENGTH = "generation.word_sensitivity.strength"
VALIDATION = "training.best_validation_loss"
ELBO = "likelihood.elbo_nats"

AUTHORS_D = "reference-paper-d-authors"
"""The stored row of paper d's released weights, written by benchmarks/paper_d_metric.py."""
UNSEEN_SUMS = ("test-within", "test-beyond")

SURE = 3.0
"""Standard errors of a difference above which it is called one: with three seeds a side, about one time in fifty."""


def paper_a(stored: Stored) -> str:
    """The size of the latent, the length of the training, the place where the condition enters."""
    grid, large, mid = "clip-grid-64", "clip-grid-64-latent-1024", "clip-mid-64"
    return _told(
        [
            _point(
                "A latent of 128 draws better than one of 1,024 (table 4: FID 286.1 against 305.4)",
                _against(stored, grid, large, "Fréchet of samples", FRECHET),
                _against(stored, grid, large, "ELBO", ELBO),
            ),
            _point(
                "Longer training helps (table 3: FID 326.7 after 50 epochs, 295.4 after 300)",
                _series(
                    stored, [f"{grid}-epochs-5", grid, f"{grid}-epochs-30"], "Fréchet after 5, 10, 30 passes", FRECHET
                ),
            ),
            _point(
                "The condition may enter after the first convolutions as well (tables 1 and 2)",
                _against(stored, grid, mid, "first layer against later, Fréchet of samples", FRECHET),
                _against(stored, grid, mid, "ELBO", ELBO),
            ),
            _heard(stored, grid),
        ]
    )


def paper_b(stored: Stored) -> str:
    """Addition against concatenation."""
    add, concat = "clip-latent-64-add", "clip-latent-64-concat"
    return _told(
        [
            _point(
                "Concatenation is better than addition, by little (table 2: MSE 184.8 against 195.2, FID 272.2 against "
                "274.2)",
                _against(stored, concat, add, "MSE", "reconstruction.mse_sum"),
                _against(stored, concat, add, "SSIM", "reconstruction.ssim"),
                _against(stored, concat, add, "Fréchet of samples", FRECHET),
                _against(stored, concat, add, "how far words move samples", STRENGTH),
            ),
            _heard(stored, concat),
        ]
    )


def paper_c(stored: Stored) -> str:
    """Embeddings of images against those of sentences, and the gap between the two."""
    image, text = "clip-dual-64-image-dropout", "clip-dual-64-text-dropout"
    shifted, noised = "clip-dual-64-image-shifted", "clip-dual-64-image-noised"
    return _told(
        [
            _point(
                "Trained on embeddings of images the loss is lower than on those of sentences (figure 2: 2,376 against "
                "2,526)",
                _against(stored, image, text, "validation loss", VALIDATION),
            ),
            _point(
                "That carries over to prompts, which are sentences (section IV)",
                _against(stored, image, text, "Fréchet of samples", FRECHET),
                _against(stored, image, text, "retrieval precision", RETRIEVED),
                _against(stored, image, text, "how far words move samples", STRENGTH),
            ),
            _point(
                "The gap between the two embeddings can be bridged (ours)",
                _against(stored, shifted, image, "shifted against plain, retrieval precision", RETRIEVED),
                _against(stored, shifted, image, "strength of words", STRENGTH),
                _against(stored, noised, image, "noised against plain, retrieval precision", RETRIEVED),
                _against(stored, noised, image, "strength of words", STRENGTH),
            ),
            _heard(stored, image),
        ]
    )


def paper_d(stored: Stored) -> str:
    """Captions that were never trained on, and what figure 3 measures."""
    models = {
        "the authors' released weights": AUTHORS_D,
        "`caption-rnn-arithmetic`, the reading of the text,": "caption-rnn-arithmetic",
        "`caption-rnn-arithmetic-code`, the reading of the program,": "caption-rnn-arithmetic-code",
        "`caption-prior-arithmetic`, ours,": "caption-prior-arithmetic",
    }
    return _told(
        [
            _point(
                'The model generates "correct images on never before seen, more complex combinations of captions" '
                "(abstract; figure 4)",
                _generalisation(stored, models),
            ),
            _point(
                "Generated images are classified as the right digit in 0.15 of the cases, because they are noisy "
                "(section 4; figure 3)",
                _figure_3(stored),
            ),
        ]
    )


def _generalisation(stored: Stored, models: Mapping[str, str]) -> str:
    """Judge accuracy of each model on training captions and on both kinds of longer sums."""
    told = []
    for title, name in models.items():
        found = [_values(stored, name, f"generation.caption_accuracy.{part}") for part in ("seen", *UNSEEN_SUMS)]
        if all(found):
            told.append(f"{title} {', '.join(map(_spread, found))}")
    what = (
        "judge accuracy on training captions, on longer sums whose every intermediate result is a digit, and on other "
        "longer sums, where chance is 0.1"
    )
    return f"{what}: {'; '.join(told)}" if told else ""


def _figure_3(stored: Stored) -> str:
    """What the metric of paper d's figure 3 gives to a generator that is always right, and to the authors' weights."""
    keys = ("perfect_generator.arithmetic.train.mean", "perfect_generator.arithmetic.test.mean", "figure_3.mean")
    found = [_values(stored, AUTHORS_D, key) for key in (*keys, "authors_classifier.caption_accuracy.seen")]
    if not all(found):
        return ""
    train, validation, misplaced, right = (_number(values[0]) for values in found)
    return (
        "the authors' program sorts images by the length of their captions and leaves the labels unsorted, so a "
        f"generator that is always right scores {train} on training and {validation} on validation captions; their "
        f"released weights score {misplaced} that way and {right} with the labels in place, by the same classifier"
    )


def seeds_of(stored: Stored, name: str) -> list[str]:
    """The rows of a name: itself, and the same with other seeds."""
    return [row for row in stored if SEEDED.sub("", row) == name]


def _told(points: Sequence[str]) -> str:
    points = [point for point in points if point]
    return "\n".join(["**Does it hold?**", "", *points, ""]) if points else ""


def _point(claim: str, *found: str) -> str:
    """A conclusion and what is measured of it; empty where nothing is."""
    told = "; ".join(one for one in found if one)
    return f"- *{claim}.* {told[0].upper()}{told[1:]}." if told else ""


def _against(stored: Stored, one: str, other: str, what: str, key: str) -> str:
    """Two rows by one number; over seeds, where there are several, with what their spread says of the difference."""
    ours, theirs = _values(stored, one, key), _values(stored, other, key)
    if not ours or not theirs:
        return ""
    told = f"{what} {_spread(ours)} against {_spread(theirs)}"
    if min(len(ours), len(theirs)) < 2:
        return f"{told} (one seed)"
    gap = abs(statistics.mean(ours) - statistics.mean(theirs))
    error = (statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)) ** 0.5
    return f"{told} ({'more than the spread of seeds' if gap > SURE * error else 'within the spread of seeds'})"


def _series(stored: Stored, names: Sequence[str], what: str, key: str) -> str:
    values = [_values(stored, name, key)[:1] for name in names]
    return f"{what} {', '.join(_number(value[0]) for value in values)}" if all(values) else ""


def _heard(stored: Stored, name: str) -> str:
    """Whether samples are nearer to their own captions than to others."""
    values, real = (_values(stored, name, key) for key in (RETRIEVED, "generation.retrieval_precision.real"))
    if not values or not real:
        return ""
    return _point(
        "Samples show what their captions say",
        f"of 100 captions their own is nearest to `{name}`'s in {_spread(values)} of the cases, to real images in "
        f"{_number(real[0])}",
    )


def _values(stored: Stored, name: str, key: str) -> list[float]:
    found = []
    for row in seeds_of(stored, name):
        value: Any = stored[row]
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found.append(float(value))
    return found


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {_number(statistics.stdev(values))}" if len(values) > 1 else ""
    return f"{_number(statistics.mean(values))}{spread}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
