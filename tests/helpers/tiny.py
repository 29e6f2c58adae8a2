"""textvae on 256 images of ten shapes that bear Fashion-MNIST's name; run as a program, it is ``textvae`` on them.

A process of its own can't see a test's patches, so the program makes the same ones, and takes two more wishes from the
environment: TINY_CHECKPOINT_S (seconds between checkpoints) and TINY_STEP_S (how long a step takes at least).
"""

import dataclasses
import hashlib
import json
import operator
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from textvae import data
from textvae.data.download import Download
from textvae.data.mirrors import RemoteFile
from textvae.data.mnist import FASHION_MNIST

TRAIN, TEST = 256, 64
SMALL_CONV = ("--model.channels", "4", "8", "8", "--model.latent-dim", "4", "--model.embedding-dim", "8")
"""Options of train that make label-conv a toy."""
HOW = ("--precision", "fp32", "--threads", "1")


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a bright block whose place says its class, whose brightness and jitter vary, on faint noise."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = random.integers(0, 12, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = np.array([14 * (label // 5), 5 * (label % 5)]) + random.integers(0, 3, 2)
        image[top : top + 10, left : left + 5] = random.integers(170, 256)
    return images, labels


def write(cache: Path) -> None:
    """The four IDX files where textvae looks for what it fetched."""
    folder = cache / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        images, labels = shapes(count, count)
        header = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + labels.tobytes())


def source(cache: Path) -> data.Source:
    """Fashion-MNIST as it would be if these were its files, and nobody carried them."""
    contents = {file.name: file.read_bytes() for file in sorted((cache / "data" / "fashion-mnist").iterdir())}
    files = tuple(RemoteFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in contents.items())
    return dataclasses.replace(FASHION_MNIST, download=Download("fashion-mnist", files, ()))


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """``textvae ARGUMENTS`` on the tiny data, in a process of its own; its cache is the caller's TEXTVAE_CACHE."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def finished(process: subprocess.Popen[str], timeout: float = 300) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, err


def in_this_process() -> None:
    """Makes this process's Fashion-MNIST the tiny data in TEXTVAE_CACHE, and its checkpoints as often as wished."""
    data.SOURCES["fashion-mnist"] = source(Path(os.environ["TEXTVAE_CACHE"]))
    if wish := os.environ.get("TINY_CHECKPOINT_S"):
        from textvae.experiment import train as experiment

        experiment.CHECKPOINT_EVERY_S = float(wish)
    if os.environ.get("TINY_PHOTOS"):
        from textvae.evaluation import fitted_judge
        from textvae.experiment import minutes

        pictures_in_this_process()
        fitted_judge.STEPS = 1
        minutes._seconds_a_step = lambda training: (next(training.steps()), 0.1)[1]  # type: ignore[assignment]


def answers(program: str, asked: object, environment: Mapping[str, str]) -> Iterator[Any]:
    """What a program of these helpers answers to the JSON that it is asked: a JSON value a line."""
    with subprocess.Popen(
        [sys.executable, program, json.dumps(asked)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    ) as process:
        try:
            yield from map(json.loads, process.stdout or ())
            assert process.wait() == 0
        finally:
            process.kill()


def pictures_in_this_process(setitem: Callable[[Any, Any, Any], None] = operator.setitem) -> None:
    """Makes the recipe for photographs one with networks that train in seconds."""
    from textvae.recipes import RECIPES
    from textvae.recipes.recipe import Recipe

    plain = RECIPES["latent-flow-photos"]

    def recipe() -> Recipe:
        whole = plain()
        flow = whole.flow
        assert flow is not None
        prior = dataclasses.replace(flow.model.prior, width=16, depth=1, sides=1, heads=2, steps=2)
        return dataclasses.replace(
            whole,
            model=dataclasses.replace(whole.model, channels=(4, 8), latent_channels=2, finest=4, perceptual=0.0),
            trainer=dataclasses.replace(whole.trainer, epochs=1, batch_size=32, optimizer="adam"),
            flow=dataclasses.replace(
                flow,
                model=dataclasses.replace(flow.model, prior=prior),
                trainer=dataclasses.replace(flow.trainer, epochs=2, batch_size=32, optimizer="adam"),
            ),
        )

    setitem(RECIPES, "latent-flow-photos", recipe)


def _slowed(seconds: float) -> None:
    from textvae.training.loop import Training

    plain = Training._update

    def update(self: Training) -> None:
        time.sleep(seconds)
        plain(self)

    Training._update = update  # type: ignore[method-assign]


if __name__ == "__main__":
    from textvae import cli

    in_this_process()
    if wish := os.environ.get("TINY_STEP_S"):
        _slowed(float(wish))
    cli.main()
