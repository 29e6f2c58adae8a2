"""The time of ``textvae data prepare``, compared with Pillow alone: the same files, two processes each, in turns.

Pillow alone opens, drafts, converts, crops and resizes each file with the same filter, and stores nothing. Preparing
also reads the annotations, checks every file, writes chunks and joins them.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path

from coco_scale import make_images
from common import Neighbours, machine, summary, write
from PIL import Image

TARGET, SIDE, PROCESSES = 1.3, 64, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    from textvae.preparation import prepare

    found: dict[str, list[float]] = {"textvae": [], "pillow": []}
    cpu: dict[str, list[float]] = {"textvae": [], "pillow": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        make_images(folder, asked.images)
        files = sorted(map(str, folder.glob("*/*.jpg")))
        neighbours = Neighbours()
        for repeat in range(asked.repeats):
            began, worked = time.perf_counter(), cpu_seconds()
            prepare.prepare(str(folder), SIDE, "words", out=Path(scratch) / f"set-{repeat}", workers=PROCESSES)
            found["textvae"].append(time.perf_counter() - began)
            cpu["textvae"].append(cpu_seconds() - worked)
            began, worked = time.perf_counter(), cpu_seconds()
            with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
                for _ in pool.imap(bare, files, chunksize=64):
                    pass
                pool.close()
                pool.join()
            found["pillow"].append(time.perf_counter() - began)
            cpu["pillow"].append(cpu_seconds() - worked)
            print("  ".join(f"{side} {times[-1]:.2f} s" for side, times in found.items()), flush=True)
    ratios = [ours / theirs for ours, theirs in zip(found["textvae"], found["pillow"], strict=True)]
    cpu_ratio = statistics.median(o / t for o, t in zip(cpu["textvae"], cpu["pillow"], strict=True))
    print(f"ratio {statistics.median(ratios):.2f} (target at most {TARGET:g}); of processor time {cpu_ratio:.2f}")
    rates = {side: asked.images / statistics.median(times) for side, times in found.items()}
    result = {
        "machine": machine(),
        "protocol": {"images": asked.images, "pixels": "640x480 JPEG", "size": SIDE, "processes": PROCESSES},
        "cpu_seconds": {side: summary(times) for side, times in cpu.items()},
        "seconds": {side: summary(times) for side, times in found.items()},
        "ratio": {"target": TARGET} | summary(ratios),
        "summary": [
            {
                "what": f"preparing {asked.images:,} photographs of 640x480 at {SIDE} px; against bare Pillow",
                "ours": f"{rates['textvae']:,.0f} images/s",
                "theirs": f"{rates['pillow']:,.0f} images/s",
                "ratio": f"{statistics.median(ratios):.2f} of its time (target at most {TARGET:g})",
            }
        ],
    }
    write("prepare-speed", result, neighbours, asked.out)


def cpu_seconds() -> float:
    """Processor time of this process and of its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def bare(path: str) -> tuple[int, int]:
    """Decodes and scales one file by Pillow alone."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        picture = image.convert("RGB")
    shorter = min(picture.size)
    left, top = (picture.width - shorter) / 2, (picture.height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box).size


if __name__ == "__main__":
    main()
