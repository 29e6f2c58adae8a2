"""Training with two processes of one thread each under torchrun, against one process of one thread.

The model is the first stage of latent-flow-fashion, which is bound by computing, on random images of 28 pixels. The
batch is the same on both sides, so two processes take the same steps as one, in half the time at best. Also reported:
the time of the one all-reduce of a step, alone and as a share of the step; and, as a control, as many processes that
train at the same time, each for itself, on batches of their share. Their speed is what this machine gives to so many
processes: what the control lacks is the machine's doing, what two processes lack of the control is communication.
"""

import argparse
import json
import os
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
    parser.add_argument("--worker", type=int, metavar="BATCH", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        worker(asked.worker)
        return
    neighbours = Neighbours()
    pairs = []
    for _ in range(PAIRS):
        pairs.append((started(1), started(asked.processes), apart(asked.processes)))
        one, several, control = pairs[-1]
        print(f"{one['images_s']:.0f}, {several['images_s']:.0f} and, apart, {control:.0f} images/s", file=sys.stderr)
    ratio = summary([several["images_s"] / one["images_s"] for one, several, _ in pairs])
    ceiling = summary([control / one["images_s"] for one, _, control in pairs])
    reduce_ms = median(several["reduce_ms"] for _, several, _ in pairs)
    step_ms = median(several["step_ms"] for _, several, _ in pairs)
    write(
        "distributed-speed",
        {
            "protocol": f"SpatialVAE of latent-flow-fashion, batch {BATCH}, fp32, one thread a process, {STEPS} steps "
            f"after {WARM}; {PAIRS} pairs in turns",
            "machine": machine(),
            "processes": asked.processes,
            "images_s": {
                "one": summary([one["images_s"] for one, _, _ in pairs]),
                "several": summary([several["images_s"] for _, several, _ in pairs]),
                "apart": summary([control for _, _, control in pairs]),
            },
            "ratio": ratio,
            "ratio_apart": ceiling,
            "share_of_apart": ratio["median"] / ceiling["median"],
            "target": TARGET,
            "parameters": pairs[0][1]["parameters"],
            "all_reduce_ms": reduce_ms,
            "step_ms": step_ms,
            "all_reduce_share": reduce_ms / step_ms,
            "summary": [
                {
                    "what": f"training in {asked.processes} processes of one thread under torchrun, against one "
                    f"(target {TARGET} x; without communication {ceiling['median']:.2f} x)",
                    "ours": f"{median([several['images_s'] for _, several, _ in pairs]):,.0f} images/s",
                    "theirs": f"{median([one['images_s'] for one, _, _ in pairs]):,.0f} images/s",
                    "ratio": f"{ratio['median']:.2f}",
                }
            ],
        },
        neighbours,
        asked.out,
    )
    print(
        f"{ratio['median']:.2f} x (target {TARGET}), apart {ceiling['median']:.2f} x; "
        f"all-reduce {reduce_ms:.2f} of {step_ms:.1f} ms a step"
    )


def started(processes: int) -> Mapping[str, Any]:
    """What the first of so many processes measured."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    ran = subprocess.run([*command, __file__, "--worker", str(BATCH)], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def apart(processes: int) -> float:
    """Images/s of all of so many processes that train their share of a batch at the same time, each for itself."""
    command = [sys.executable, __file__, "--worker", str(BATCH // processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    for process in started:  # all are warm before the first one is measured
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(json.loads(process.communicate()[0])["images_s"] for process in started)


def worker(batch: int) -> None:
    import torch

    from textvae.data.captioned_images import labelled_images
    from textvae.recipes.resolve import resolve
    from textvae.text.labels import FASHION
    from textvae.training.loop import Training
    from textvae.utils.device import choose_execution
    from textvae.utils.processes import processes

    group = processes()
    execution = choose_execution("cpu", "fp32", 1)
    overrides = {"trainer": {"epochs": 1000, "batch_size": batch, "validation_images": 0, "patience": 0}}
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
    if batch != BATCH:
        print("warm", flush=True)
        sys.stdin.readline()
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
        found = {"images_s": STEPS * batch / seconds, "step_ms": 1e3 * seconds / STEPS, "reduce_ms": 1e3 * reduce_s}
        print(json.dumps(found | {"parameters": parameters}))


if __name__ == "__main__":
    main()
