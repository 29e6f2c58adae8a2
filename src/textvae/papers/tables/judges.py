"""The sections of RESULTS.md on what the results rest on: the accuracy of the judges, and benchmarks of speed."""

from textvae.papers.stored import Stored
from textvae.papers.tables.table import number, table


def judges(stored: Stored) -> str:
    """The accuracy of the classifiers that judge samples."""
    names = [name for name in ("judge-fashion", "judge-digits", "judge-sprouts") if name in stored]
    if not names:
        return ""
    rows = [
        [f"`{name}`", stored[name]["protocol"]["data"], number(stored[name]["classification"]["accuracy"])]
        for name in names
    ]
    return "\n".join(
        [
            "## The judges",
            "",
            "Accuracy of the bundled 8-bit weights on all real test images. An image of `sprouts` counts if all",
            "attributes that its caption names are right. Where a protocol above names `judge-fashion 7313c3e8`,",
            "`judge-digits bf034270` or `judge-sprouts d742d7e5`, the judge was the same network in half precision",
            "([experiment log](docs/experiment_log.md), 2026-11-30).",
            "",
            table(["judge", "data", "accuracy"], rows),
            "",
        ]
    )


def benchmarks(stored: Stored) -> str:
    """Speed, compared with other programs or with a target."""
    rows = []
    for name, found in stored.items():
        if name.startswith("benchmark-"):
            rows += [[fact["what"], fact["ours"], fact["theirs"], fact["ratio"]] for fact in found.get("summary", ())]
    if not rows:
        return ""
    return "\n".join(
        [
            "## Benchmarks",
            "",
            "Measured by the scripts in `benchmarks/`; `make benchmark` runs most of them. The metrics files state the",
            "machine, the settings and every repeat.",
            "",
            table(["what", "textvae", "compared with", "ratio"], rows),
            "",
        ]
    )
