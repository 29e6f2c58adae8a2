"""Latency: ``textvae --help``, ``textvae generate`` in a new process, and a loaded model.

Latency does not depend on the weights, so the model is a label-conv that was trained on a thousand images.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Neighbours, machine, summary, write

HELP_TARGET = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="processes; a loaded model is called ten times as often")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()

    result: dict[str, Any] = {"machine": machine()}
    neighbours = Neighbours()
    textvae = str(Path(sys.executable).with_name("textvae"))
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "label-conv")
        subprocess.run(
            [textvae, "train", "label-conv", "--limit", "1000", "--trainer.epochs", "1", "--out", run],
            check=True,
            capture_output=True,
        )
        picture = str(Path(folder) / "out.png")
        generate = [textvae, "generate", run, "a dress", "--num-images", "8", "--out", picture]
        times = {
            "help": times_of(lambda: command([textvae, "--help"]), asked.repeats),
            "generate_8_cold": times_of(lambda: command(generate), asked.repeats),
        }
        from textvae import TextToImage

        model = TextToImage.load(run)
        for count in (1, 8):
            times[f"warm_{count}"] = times_of(lambda n=count: model("a dress", n), 10 * asked.repeats)

    result["protocol"] = {
        "model": "label-conv",
        "processes": "wall time of a new process, after one that is not counted, so that files are cached",
        "warm": "TextToImage called in one process, to PIL images; the first call is not counted",
    }
    result["seconds"] = {name: summary(found) for name, found in times.items()}
    result["target"] = {"help": HELP_TARGET}
    whats = {
        "help": f"`textvae --help` (target {HELP_TARGET:g} s)",
        "generate_8_cold": "`textvae generate`, a new process, one phrase, eight pictures",
        "warm_1": "a loaded model, one picture",
        "warm_8": "a loaded model, eight pictures",
    }
    result["summary"] = [
        {"what": what, "ours": in_words(statistics.median(times[name])), "theirs": "-", "ratio": "-"}
        for name, what in whats.items()
    ]
    for name, found in times.items():
        print(f"{name:<18}{1000 * statistics.median(found):>9.1f} ms   ({len(found)} times)")
    write("command-line", result, neighbours, asked.out)


def in_words(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


def command(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def times_of(what: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each call, after one that is not counted."""
    what()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        what()
        found.append(time.perf_counter() - started)
    return found


if __name__ == "__main__":
    main()
