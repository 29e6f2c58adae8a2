"""What ten minutes of training give with other packages: the table of ``benchmarks/time_to_quality.py``."""

import textwrap
from collections.abc import Mapping
from typing import Any

from textvae.papers.stored import Stored
from textvae.papers.tables.table import number, table

STORED = "benchmark-time-to-quality"
OURS = "textvae"


def peers(stored: Stored) -> str:
    """The table with what it compares, for RESULTS.md and README.md; empty if it has not been measured."""
    if STORED not in stored:
        return ""
    found = stored[STORED]
    protocol = found["protocol"]
    threads, minutes, samples = protocol["threads"], protocol["minutes"], protocol["samples"]
    cores = "one thread" if threads == 1 else f"{threads} threads"
    about = (
        f"Each package trains a model of Fashion-MNIST for {minutes:g} minutes on {cores} of a CPU, in fp32 with the "
        f"same version of torch; {samples:,} samples are then compared with the {protocol['test_images']:,} test "
        "images. Each package is trained as in its own example, but with smaller batches, so that it takes more steps "
        "in the given time; where several samplers were tried, the best is shown. Most of these examples are designed "
        "for a GPU, so their networks see few images in this time. Fréchet (judge) is a distance in the features of "
        "our classifier of Fashion-MNIST, the judge. Judge accuracy is the fraction of samples that it assigns to the "
        "requested class; models that take no labels have a dash. Fréchet distances of so few samples are biased "
        "upwards, as the row of real training images shows. `benchmarks/peers/` describes each model, "
        "`benchmarks/time_to_quality.py` runs them all."
    )
    rows = [_row(name, side) for name, side in found["sides"].items()]
    reference = found["reference"]
    rows.append(["real training images", "", "", "", *_quality(reference), "", ""])
    titles = ["package", "model", "parameters", "images trained on", "Fréchet (judge)", "Fréchet (inception-768)",
              "judge accuracy", "images generated/s", "sampler"]  # fmt: skip
    return "\n".join(
        [
            "## Ten minutes of training, compared with other packages",
            "",
            *textwrap.wrap(about, 120, break_long_words=False, break_on_hyphens=False),
            "",
            table(titles, rows),
            "",
        ]
    )


def _row(name: str, side: Mapping[str, Any]) -> list[str]:
    package = f"**{side['package']}**" if name == OURS else side["package"]
    facts = [f"{side['parameters'] / 1e6:.1f} M", f"{side['images']:,}"]
    speed = side["images_per_second"]
    return [
        package,
        side["model"],
        *facts,
        *_quality(side),
        f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}",
        side["sampler"],
    ]


def _quality(measured: Mapping[str, Any]) -> list[str]:
    """Both distances and the judge's accuracy; a dash where one was not measured."""
    distances = [number(measured["frechet"].get(net)) for net in ("judge", "inception-768")]
    return [*distances, number(measured["judge_accuracy"])]
