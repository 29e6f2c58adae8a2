"""Sampling speed of the shipped models: garments and photographs in four steps, one garment alone."""

import argparse
import statistics
from pathlib import Path
from typing import Any

from command_line import times_of
from common import Neighbours, machine, summary, write

from textvae import TextToImage
from textvae.priors import SamplingOptions
from textvae.utils.device import Arithmetic, choose_execution

GARMENTS, PHOTOGRAPHS, STEPS = 2048, 128, 4
TARGETS = {"fashion": 400, "fp32": 100, "bf16": 160, "one": 0.030}
"""Images a second on two cores, of photographs by precision; of "one", seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()

    execution = choose_execution("cpu", "fp32")
    result: dict[str, Any] = {"machine": machine() | {"threads": execution.threads}}
    neighbours = Neighbours()
    fashion = TextToImage.load("fashion")
    rates: dict[str, list[float]] = {"fashion": rates_of(fashion, "a dress", GARMENTS, STEPS, asked.repeats)}
    phrases = {"flowers": "a flower with pink petals and a yellow center", "products": "women red handbag"}
    precisions: tuple[Arithmetic, ...] = ("fp32", "bf16")
    for name, phrase in phrases.items():
        for precision in precisions:
            generator = TextToImage.load(name, precision=precision)
            rates[f"{name}-{precision}"] = rates_of(generator, phrase, PHOTOGRAPHS, STEPS, asked.repeats)
    one = times_of(lambda: fashion("a dress", steps=STEPS), 10 * asked.repeats)

    result["protocol"] = {
        "images": {"fashion": GARMENTS, "photographs": PHOTOGRAPHS},
        "sampling": "TextToImage.draw in one process, to 8-bit images; one prompt, encoded before; a seed for each "
        "image, the model's own guidance scale; the first call is not counted",
        "one": "TextToImage called, to a PIL image",
    }
    result["images_per_s"] = {name: summary(found) for name, found in rates.items()}
    result["seconds"] = {"fashion-one": summary(one)}
    result["target"] = TARGETS
    whats = {"fashion": f"`fashion`, {GARMENTS:,} garments in {STEPS} steps (target {TARGETS['fashion']} images/s)"}
    for name in phrases:
        for precision in precisions:
            target = f"{precision} (target {TARGETS[precision]} images/s)"
            whats[f"{name}-{precision}"] = f"`{name}`, {PHOTOGRAPHS} photographs in {STEPS} steps, {target}"
    rows = [(what, f"{statistics.median(rates[name]):,.0f} images/s") for name, what in whats.items()]
    loaded = f"`fashion`, a loaded model, one image in {STEPS} steps"
    rows.append((f"{loaded} (target {1000 * TARGETS['one']:.0f} ms)", ms(one)))
    result["summary"] = [{"what": what, "ours": ours, "theirs": "-", "ratio": "-"} for what, ours in rows]
    for what, ours in rows:
        print(f"{what:<80}{ours:>16}")
    write("sampling-speed", result, neighbours, asked.out)


def rates_of(generator: TextToImage, phrase: str, count: int, steps: int, repeats: int) -> list[float]:
    """Images a second, for each repeat."""
    conditions = generator.text.encode([phrase]).expand(count, -1)
    sampling = SamplingOptions(steps=steps)
    return [
        count / seconds for seconds in times_of(lambda: generator.draw(conditions, range(count), sampling), repeats)
    ]


def ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ms"


if __name__ == "__main__":
    main()
