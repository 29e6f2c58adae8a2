"""Training on sets beyond memory: a set of COCO's size at 128 pixels, and ten million images at 64 pixels.

1. 118,287 random images of 128 pixels in a mapped file (5.8 GB), trained with rows read ahead, against the same images
   in memory, in turns: the ratio of the speeds, and the resident memory beside the page cache.
2. A prepared set of ten million images of 64 pixels, in a sparse file (123 GB that take no room), each with a caption
   of its own (two sentences of the grammar of sprouts, 1.2 GB in all), and one of a tenth as many: the time and the
   memory of opening it, of learning the words and reading the captions, and of a step in the middle of an epoch, whose
   order is computed. The memory should be the same. It needs 6 GB of room in the folder for temporary files.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import Neighbours, machine, summary, write

IMAGES, TARGET, TARGET_MB, PAIRS, BATCH, WARM, STEPS = 118_287, 0.95, 2000, 3, 32, 3, 30
ROWS = 10_000_000
SIDES = ("memory", "mapped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    parser.add_argument("--worker", nargs=4, metavar=("WHAT", "FILE", "COUNT", "SIDE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        what, file, count, side = asked.worker
        worker(what, Path(file), int(count), int(side))
        return
    neighbours = Neighbours()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images"
        make(file, asked.images, 128)
        pairs = []
        for _ in range(PAIRS):
            pairs.append(tuple(measured(side, file, asked.images, 128) for side in SIDES))
            print(*(f"{side['images_s']:.1f} images/s, {side['anonymous_mb']:.0f} MB" for side in pairs[-1]))
        sparse = []
        for rows in (asked.rows // 10, asked.rows):
            made = Path(folder) / f"set-{rows}"
            make_set(made, rows, 64)
            sparse.append(measured("sparse", made, rows, 64))
        small, large = sparse
        print(
            f"{asked.rows} rows: {large['opened_mb']:.0f} MB opened, {large['anonymous_mb']:.0f} MB at most; "
            f"a tenth of them: {small['opened_mb']:.0f} and {small['anonymous_mb']:.0f} MB"
        )
    images_s = {side: summary([pair[number]["images_s"] for pair in pairs]) for number, side in enumerate(SIDES)}
    result = {
        "protocol": f"SpatialVAE with channels (32, 64, 64), batch {BATCH}, fp32, one thread, {STEPS} steps "
        f"after {WARM}; {PAIRS} pairs in turns; memory: the largest RssAnon, looked at every 20 ms",
        "machine": machine(),
        "images": asked.images,
        "images_s": images_s,
        "ratio": summary([mapped["images_s"] / memory["images_s"] for memory, mapped in pairs]),
        "target": TARGET,
        "anonymous_mb": max(mapped["anonymous_mb"] for _, mapped in pairs),
        "target_mb": TARGET_MB,
        "sparse": {"rows": asked.rows, "whole": large, "tenth": small},
    }
    write("memory-scale", result | {"summary": lines(result)}, neighbours, asked.out)


def lines(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """The lines of RESULTS.md."""
    speeds, sparse, resident = result["images_s"], result["sparse"], f"{result['anonymous_mb']:,.0f} MB"
    return [
        {
            "what": f"training on {result['images']:,} images of 128 px in a mapped file, peak {resident} (target "
            f"{TARGET_MB:,} MB); against the same images in memory",
            "ours": f"{speeds['mapped']['median']:.1f} images/s",
            "theirs": f"{speeds['memory']['median']:.1f} images/s",
            "ratio": f"{result['ratio']['median']:.2f} (target {TARGET})",
        },
        {
            "what": f"opening {sparse['rows']:,} captioned images of 64 px and resuming a training on them: peak "
            f"memory; against {sparse['rows'] // 10:,} images",
            "ours": f"{sparse['whole']['anonymous_mb']:.0f} MB",
            "theirs": f"{sparse['tenth']['anonymous_mb']:.0f} MB",
            "ratio": f"{sparse['whole']['anonymous_mb'] / sparse['tenth']['anonymous_mb']:.2f}",
        },
    ]


def make(file: Path, count: int, side: int) -> None:
    """Random pixels; the same block of 256 images again and again, at another offset."""
    import numpy as np

    block = np.random.default_rng(0).integers(0, 256, 256 * side * side * 3, dtype=np.uint8)
    with file.open("wb") as opened:
        for start in range(0, count, 256):
            opened.write(np.roll(block, start)[: min(256, count - start) * side * side * 3].tobytes())


def captions(count: int) -> Iterator[str]:
    """Distinct captions: two of the 30,240 canonical captions of the grammar of sprouts in each."""
    from textvae.text.sprout_grammar import ATTRIBUTES, Sprout, sprout_caption

    values = (ATTRIBUTES[name] for name in ("plant", "expression", "shape", "pot", "background"))
    each = [sprout_caption(Sprout(plant, None, *others)) for plant, *others in itertools.product(*values)]
    for number in range(count):
        first, second = divmod(number, len(each))
        yield f"{each[first]}, beside {each[second]}"


def make_set(folder: Path, rows: int, side: int) -> None:
    """A prepared set whose pixels are all zero, in a file that takes no room; each image has a caption of its own."""
    import numpy as np

    folder.mkdir()
    about = {"descr": "|u1", "fortran_order": False, "shape": (rows, side, side, 3)}
    with (folder / "train-images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)
        file.truncate(file.tell() + rows * side * side * 3)
    ranges = np.lib.format.open_memmap(folder / "train-ranges.npy", "w+", np.int64, (rows, 2))
    for start in range(0, rows, 1 << 20):
        some = ranges[start : start + (1 << 20)]
        some[:, 0] = np.arange(start, start + len(some))
        some[:, 1] = some[:, 0] + 1
    ranges.flush()
    ends, end = np.lib.format.open_memmap(folder / "train-ends.npy", "w+", np.int64, (rows,)), 0
    size = sum(len(text) for text in captions(rows))
    with (folder / "train-captions.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
        for number, text in enumerate(captions(rows)):
            file.write(text.encode())
            end += len(text)
            ends[number] = end
    ends.flush()
    manifest = {
        "source": {"name": "made", "title": "", "home": "", "terms": ""},
        "command": "",
        "side": side,
        "text": {"name": "words", "identity": "", "kind": "words", "shape": []},
        "splits": {"train": {"images": [rows, side, side, 3], "captions": rows}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def measured(what: str, file: Path, count: int, side: int) -> Mapping[str, Any]:
    """What a process of its own measured."""
    command = [sys.executable, __file__, "--worker", what, str(file), str(count), str(side)]
    # Arrays that are larger than the memory are in files of the cache folder.
    environment = os.environ | {"TEXTVAE_CACHE": str(file.parent / "cache")}
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def anonymous_mb() -> float:
    """Resident memory beside pages of files."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


class Peak:
    """The largest resident memory beside pages of files, from its creation on."""

    def __init__(self) -> None:
        self._largest, self._ended = anonymous_mb(), threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self._largest = max(self._largest, anonymous_mb())

    def end(self) -> float:
        self._ended.set()
        return max(self._largest, anonymous_mb())


def worker(what: str, file: Path, count: int, side: int) -> None:
    import numpy as np
    import torch

    from textvae import data
    from textvae.data.captioned_images import CaptionedImages
    from textvae.models.spatial_vae import SpatialVAE
    from textvae.recipes.conditions import training_conditions, with_captions
    from textvae.recipes.resolve import resolve
    from textvae.training.config import TrainerConfig
    from textvae.training.loop import Training
    from textvae.utils import memory
    from textvae.utils.device import choose_execution

    execution = choose_execution("cpu", "fp32", 1)
    before, peak = anonymous_mb(), Peak()
    began = time.perf_counter()
    if what != "memory":
        memory.SHARE = 0.0  # as on a machine whose memory is too small
    if what == "sparse":
        images: CaptionedImages = data.load(str(file), "train")
    else:
        pixels = memory.copy_on_write(np.memmap(file, np.uint8, "r", shape=(count, side, side, 3)))
        pixels = pixels.clone() if what == "memory" else pixels
        start = torch.arange(count) % 10
        ranges = torch.stack([start, start + 1], dim=1)
        images = CaptionedImages("made", "train", pixels.permute(0, 3, 1, 2), tuple("0123456789"), ranges)
    found: dict[str, Any] = {"open_s": time.perf_counter() - began, "opened_mb": anonymous_mb() - before}
    conditions, condition_range = torch.eye(10), images.caption_range
    if what == "sparse":
        began = time.perf_counter()
        recipe = with_captions(resolve("latent-flow-photos", data=str(file)), images)
        conditions, condition_range = training_conditions(images, recipe)
        found["words_s"] = time.perf_counter() - began
    torch.manual_seed(0)
    model = SpatialVAE.Config((3, side, side), channels=(32, 64, 64)).build()
    config = TrainerConfig(epochs=2, batch_size=BATCH)
    training = Training(model, images, conditions, config, execution, condition_range)
    if what == "sparse":
        training.step = training.steps_per_epoch // 2  # as a checkpoint does
        began = time.perf_counter()
        next(iter(training.steps()))
        found["resume_s"] = time.perf_counter() - began
    else:
        steps = training.steps()
        for _ in range(WARM):
            next(steps)
        began = time.perf_counter()
        for _ in range(STEPS):
            next(steps)
        found["images_s"] = STEPS * BATCH / (time.perf_counter() - began)
    print(json.dumps(found | {"anonymous_mb": peak.end(), "before_mb": before}))


if __name__ == "__main__":
    main()
