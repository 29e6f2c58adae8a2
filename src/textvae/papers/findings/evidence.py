"""What a finding on stored metrics consists of: a claim, a verdict, the numbers for or against it, lengths of training.

The verdict follows from the numbers. A difference between two rows counts only if it exceeds the spread over seeds.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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

LOWER_IS_BETTER = {FRECHET, INCEPTION, VALIDATION, MSE, RECONSTRUCTED, "reconstruction.mse"}
"""Of the other metrics, more is better."""
CHANCE = 0.01
"""Retrieval precision, among 100 captions, of images that do not depend on their caption."""

SIGNIFICANT = 3.0
"""Standard errors above which a difference counts; with three seeds a side, about one in fifty is a false alarm."""


def section(findings: Sequence[str]) -> str:
    """The findings on one paper below their heading; empty if nothing is measured."""
    measured = [text for text in findings if text]
    return "\n".join(["**Do the paper's conclusions hold?**", "", *measured, ""]) if measured else ""


@dataclass(frozen=True)
class Evidence:
    """Numbers, and whether they support a claim; None if they decide nothing."""

    text: str
    supports: bool | None = None


NOTHING = Evidence("")
"""Nothing is measured."""


def finding(claim: str, *evidence: Evidence, trained: str = "") -> str:
    """A claim, whether it holds, the numbers that decide it, and how long the models that they compare were trained.

    Empty if nothing is measured.
    """
    told = [one for one in evidence if one.text]
    text = "; ".join(one.text for one in told)
    return f"- *{claim}.* **{_verdict(told)}.** {text[0].upper()}{text[1:]}.{trained}" if text else ""


def _verdict(evidence: Sequence[Evidence]) -> str:
    found = {one.supports for one in evidence} - {None}
    if not found:
        return "Undecided"
    return "Holds in part" if len(found) > 1 else "Holds" if found.pop() else "Does not hold"


def reaches_half(values: Sequence[float], real: float, chance: float) -> bool:
    """Whether samples cover at least half of the way from chance to real images: they show what they should."""
    return statistics.mean(values) - chance >= 0.5 * (real - chance)


def training_lengths(stored: Stored, *names: str) -> str:
    """A sentence on how long each of these rows was trained, as a mean over its seeds; empty if none says it."""
    seconds = {name: values_of(stored, name, "training.seconds") for name in names}
    times = [f"`{name}` {duration(statistics.mean(found))}" for name, found in seconds.items() if found]
    return f" Training time: {', '.join(times)}." if times else ""


def comparison(
    stored: Stored, one: str, other: str, what: str, key: str, claim: Literal["better", "no better", ""] = "better"
) -> Evidence:
    """A number of two rows; with several seeds on both sides, also whether the difference is significant.

    Args:
        stored: all stored metrics.
        one: the row that the claim is about.
        other: the row that it is compared with.
        what: title of the number.
        key: name of the number.
        claim: what is claimed of ``one`` compared with ``other``; empty if the claim is not about this number.
    """
    ours, theirs = values_of(stored, one, key), values_of(stored, other, key)
    if not ours or not theirs:
        return NOTHING
    text = f"{what} {spread(ours)} against {spread(theirs)}"
    if min(len(ours), len(theirs)) < 2:
        return Evidence(f"{text} (one seed)")
    if not is_significant(ours, theirs):
        return Evidence(f"{text} (not significant)", True if claim == "no better" else None)
    better = (statistics.mean(ours) < statistics.mean(theirs)) == (key in LOWER_IS_BETTER)
    supports = better == (claim == "better") if claim else None
    return Evidence(f"{text} (significantly {'better' if better else 'worse'})", supports)


def each_seed(stored: Stored, name: str, what: str, key: str) -> Evidence:
    """A number of each seed of a row, where a mean would hide that one of the trainings failed."""
    values = values_of(stored, name, key)
    return Evidence(f"each seed of `{name}`, {what}: {', '.join(map(number, values))}") if len(values) > 1 else NOTHING


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
    improves: Mapping[str, bool] | None = None,
) -> list[Evidence]:
    """How numbers change over rows, for example by their epochs, as far as they are measured; empty for fewer than two.

    A number supports a claim on its trend only if it changes in the same direction from each row to the next.

    Args:
        stored: all stored metrics.
        names: the rows, by the number of epochs or the size that they differ in.
        what: what the rows are.
        keys: the numbers, by their title.
        preposition: what stands before the number of a row.
        unit: what stands after the last one.
        improves: by the title of a number, whether the claim is that it gets better from row to row (or worse).
    """
    measured: list[Evidence] = []
    for title, key in keys.items():
        found = {step: values for step, name in names.items() if (values := values_of(stored, name, key))}
        if len(found) > 1:
            told = ", ".join(f"{spread(values)} {preposition} {step}" for step, values in found.items())
            means = [statistics.mean(values) * (-1 if key in LOWER_IS_BETTER else 1) for values in found.values()]
            rises = {after > before for before, after in itertools.pairwise(means)}
            supports = rises.pop() == improves[title] if improves and title in improves and len(rises) == 1 else None
            measured.append(
                Evidence(f"{what}: {title} {told} {unit}" if not measured else f"{title} {told} {unit}", supports)
            )
    return measured


def accuracy(stored: Stored, name: str) -> Evidence:
    """How often a judge sees the label of a sample, one of ten."""
    values, real = values_of(stored, name, ACCURACY), values_of(stored, name, "reference.real_test.judge_accuracy")
    if not values or not real:
        return NOTHING
    text = f"`{name}`: judge accuracy {spread(values)} (real test images: {number(real[0])})"
    return Evidence(text, reaches_half(values, real[0], 0.1))


def values_of(stored: Stored, name: str, key: str) -> list[float]:
    """A number of a row for each of its seeds, as far as it is measured."""
    return [float(value) for row in seeds_of(stored, name) if (value := getter(stored[row])(key)) is not None]
