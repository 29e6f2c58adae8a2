"""Training with two processes of one thread each under torchrun, against one process of one thread.

The model is the first stage of latent-flow-fashion, which is bound by computing, on random images of 28 pixels. The
batch is the same on both sides, so two processes take the same steps as one, in half the time at best. Also reported:
the time of the one all-reduce of a step, alone and as a share of the step.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from common import Neighbours, machine, summary, write

TARGET, PAIRS, BATCH, WARM, STEPS, SUMS = 1.8, 3, 128, 5, 40, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        worker()
        return
    neighbours = Neighbours()
    pairs = []
    for _ in range(PAIRS):
        pairs.append((started(1), started(asked.processes)))
        one, several = pairs[-1]
        print(f"{one['images_s']:.0f} and {several['images_s']:.0f} images/s", file=sys.stderr)
    ratio = summary([several["images_s"] / one["images_s"] for one, several in pairs])
    reduce_ms = median(several["reduce_ms"] for _, several in pairs)
    step_ms = median(several["step_ms"] for _, several in pairs)
    write(
        "distributed-speed",
        {
            "protocol": f"SpatialVAE of latent-flow-fashion, batch {BATCH}, fp32, one thread a process, {STEPS} steps "
            f"after {WARM}; {PAIRS} pairs in turns",
            "machine": machine(),
            "processes": asked.processes,
            "images_s": {
                "one": summary([one["images_s"] for one, _ in pairs]),
                "several": summary([several["images_s"] for _, several in pairs]),
            },
            "ratio": ratio,
            "target": TARGET,
            "parameters": pairs[0][1]["parameters"],
            "all_reduce_ms": reduce_ms,
            "step_ms": step_ms,
            "all_reduce_share": reduce_ms / step_ms,
        },
        neighbours,
        asked.out,
    )
    print(f"{ratio['median']:.2f} x (target {TARGET}); all-reduce {reduce_ms:.2f} of {step_ms:.1f} ms a step")


def started(processes: int) -> Mapping[str, Any]:
    """What the first of so many processes measured."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    ran = subprocess.run([*command, __file__, "--worker"], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def worker() -> None:
    import torch

    from textvae.data.captioned_images import labelled_images
    from textvae.recipes.resolve import resolve
    from textvae.text.labels import FASHION
    from textvae.training.loop import Training
    from textvae.utils.device import choose_execution
    from textvae.utils.processes import processes

    group = processes()
    execution = choose_execution("cpu", "fp32", 1)
    overrides = {"trainer": {"epochs": 1000, "batch_size": BATCH, "validation_images": 0, "patience": 0}}
    recipe = resolve("latent-flow-fashion", overrides=overrides)
    torch.manual_seed(0)
    count = BATCH * (WARM + STEPS)
    pixels = torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8)
    images = labelled_images("random", "train", pixels, torch.arange(count) % 10, FASHION.class_names)
    conditions = recipe.text.encode(images.captions)
    training = Training(recipe.model.build(), images, conditions, recipe.trainer, execution, processes=group)
    steps = training.steps()
    for _ in range(WARM):
        next(steps)
    group.wait()
    began = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    seconds = time.perf_counter() - began
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    buffer = torch.zeros(parameters)
    group.add(buffer)
    began = time.perf_counter()
    for _ in range(SUMS):
        group.add(buffer)
    reduce_s = (time.perf_counter() - began) / SUMS
    if group.first:
        found = {"images_s": STEPS * BATCH / seconds, "step_ms": 1e3 * seconds / STEPS, "reduce_ms": 1e3 * reduce_s}
        print(json.dumps(found | {"parameters": parameters}))


if __name__ == "__main__":
    main()
