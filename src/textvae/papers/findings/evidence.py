"""What a finding on stored metrics consists of: a claim, the numbers for or against it, and lengths of training.

A difference between two rows is only called one if it exceeds the spread over seeds.
"""

import statistics
from collections.abc import Mapping, Sequence

from textvae.papers.stored import Stored, getter, seeds_of
from textvae.papers.tables.table import number
from textvae.utils.progress import duration

FRECHET = "generation.frechet.efficientnet-lite0"
INCEPTION = "generation.frechet.inception-768"
"""The Fréchet distance in features that no model was trained with."""
RETRIEVAL = "generation.retrieval_precision.samples"
ACCURACY = "generation.judge_accuracy"
STRENGTH = "generation.word_sensitivity.strength"
VALIDATION = "training.best_validation_loss"
ELBO = "likelihood.elbo_nats"
MSE, SSIM = "reconstruction.mse_sum", "reconstruction.ssim"
RECONSTRUCTED = "reconstruction.frechet.efficientnet-lite0"

SIGNIFICANT = 3.0
"""Standard errors above which a difference counts; with three seeds a side, about one in fifty is a false alarm."""


def section(findings: Sequence[str]) -> str:
    """The findings on one paper below their heading; empty if nothing is measured."""
    measured = [text for text in findings if text]
    return "\n".join(["**Do the paper's conclusions hold?**", "", *measured, ""]) if measured else ""


def finding(claim: str, *evidence: str, trained: str = "") -> str:
    """A claim, the numbers that speak for or against it, and how long what they compare was trained.

    Empty if nothing is measured.
    """
    text = "; ".join(one for one in evidence if one)
    return f"- *{claim}.* {text[0].upper()}{text[1:]}.{trained}" if text else ""


def training_lengths(stored: Stored, *names: str) -> str:
    """A sentence on how long each of these rows was trained, as a mean over its seeds; empty if none says it."""
    seconds = {name: values_of(stored, name, "training.seconds") for name in names}
    times = [f"`{name}` {duration(statistics.mean(found))}" for name, found in seconds.items() if found]
    return f" Training time: {', '.join(times)}." if times else ""


def comparison(stored: Stored, one: str, other: str, what: str, key: str) -> str:
    """A number of two rows; with several seeds on both sides, also whether the difference is significant."""
    ours, theirs = values_of(stored, one, key), values_of(stored, other, key)
    if not ours or not theirs:
        return ""
    text = f"{what} {spread(ours)} against {spread(theirs)}"
    if min(len(ours), len(theirs)) < 2:
        return f"{text} (one seed)"
    return f"{text} ({'significant' if is_significant(ours, theirs) else 'not significant'})"


def each_seed(stored: Stored, name: str, what: str, key: str) -> str:
    """A number of each seed of a row, where a mean would hide that one of the trainings failed."""
    values = values_of(stored, name, key)
    return f"each seed of `{name}`, {what}: {', '.join(map(number, values))}" if len(values) > 1 else ""


def is_significant(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the means of two sets of seeds differ by more than ``SIGNIFICANT`` standard errors."""
    difference = abs(statistics.mean(ours) - statistics.mean(theirs))
    error = (statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)) ** 0.5
    return bool(difference > SIGNIFICANT * error)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation; the value alone if there is one."""
    deviation = f" ± {number(statistics.stdev(values))}" if len(values) > 1 else ""
    return f"{number(statistics.mean(values))}{deviation}"


def series(
    stored: Stored,
    names: Mapping[int, str],
    what: str,
    keys: Mapping[str, str],
    preposition: str = "after",
    unit: str = "epochs",
) -> list[str]:
    """How numbers change over rows, for example by their epochs, as far as they are measured; empty for fewer than two.

    Args:
        stored: all stored metrics.
        names: the rows, by the number of epochs or the size that they differ in.
        what: what the rows are.
        keys: the numbers, by their title.
        preposition: what stands before the number of a row.
        unit: what stands after the last one.
    """
    measured = []
    for title, key in keys.items():
        found = {step: values for step, name in names.items() if (values := values_of(stored, name, key))}
        if len(found) > 1:
            told = ", ".join(f"{spread(values)} {preposition} {step}" for step, values in found.items())
            measured.append(f"{title} {told} {unit}")
    return [f"{what}: {'; '.join(measured)}"] if measured else []


def accuracy(stored: Stored, name: str) -> str:
    """How often a judge sees the label of a sample."""
    values, real = values_of(stored, name, ACCURACY), values_of(stored, name, "reference.real_test.judge_accuracy")
    return f"`{name}`: judge accuracy {spread(values)} (real test images: {number(real[0])})" if values and real else ""


def values_of(stored: Stored, name: str, key: str) -> list[float]:
    """A number of a row for each of its seeds, as far as it is measured."""
    return [float(value) for row in seeds_of(stored, name) if (value := getter(stored[row])(key)) is not None]
