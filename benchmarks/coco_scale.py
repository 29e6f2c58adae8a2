"""Reads synthetic annotations of the size of MS-COCO: 118,287 images and 591,753 captions in the published layout.

They are read as by ``textvae data prepare``, in a separate process whose peak memory is recorded. Then a smaller number
of images of COCO's size (640 x 480) is prepared; the time of that is proportional to the number.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Neighbours, machine, write
from PIL import Image

IMAGES, CAPTIONS, TARGET_S = 118_287, 591_753, 15.0

READ = """
import json, re, sys, time
from pathlib import Path
from textvae.preparation.layouts import find_photographs
from textvae.preparation.subset import Subset, splits_of
def megabytes(what):
    # Not getrusage, whose peak is inherited from the parent process.
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = megabytes("VmRSS")
began = time.perf_counter(), time.process_time()
splits = splits_of(find_photographs(sys.argv[1]), Subset())
print(json.dumps({
    "seconds": time.perf_counter() - began[0],
    "cpu_seconds": time.process_time() - began[1],
    "images": len(splits["train"]),
    "captions": sum(len(record.captions) for record in splits["train"]),
    "peak_mb": megabytes("VmHWM"),
    "before_mb": before,
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="JPEG files to create and prepare")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    neighbours = Neighbours()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        megabytes = make_annotations(folder / "whole")
        ran = subprocess.run(
            [sys.executable, "-c", READ, str(folder / "whole")], check=True, capture_output=True, text=True
        )
        read: dict[str, Any] = json.loads(ran.stdout)
        assert (read["images"], read["captions"]) == (IMAGES, CAPTIONS)
        print(f"{megabytes:.0f} MB of annotations: {read['seconds']:.1f} s, peak {read['peak_mb']:.0f} MB")
        prepared = prepare_images(folder / "few", asked.images)
        print(f"{asked.images} images prepared: {prepared['images_per_s']:.0f} a second")
    result = {
        "machine": machine(),
        "protocol": {"images": IMAGES, "captions": CAPTIONS, "annotations_mb": megabytes, "size": 64, "text": "words"},
        "read": read | {"target_seconds": TARGET_S},
        "prepare": prepared,
        "summary": [
            {
                "what": f"annotations of {IMAGES:,} images and {CAPTIONS:,} captions read",
                "ours": f"{read['seconds']:.1f} s, peak {read['peak_mb']:,.0f} MB",
                "theirs": "-",
                "ratio": f"target under {TARGET_S:g} s",
            }
        ],
    }
    write("coco-scale", result, neighbours, asked.out)


def make_annotations(folder: Path) -> float:
    """Writes both annotation files with the fields of COCO's; returns the size of the larger one in megabytes."""
    words = ("a", "man", "woman", "dog", "red", "bus", "street", "on", "in", "two", "people", "riding", "the", "grass")
    draw = random.Random(0)
    (folder / "annotations").mkdir(parents=True)
    for split, images, captions in (("train2017", IMAGES, CAPTIONS), ("val2017", 5000, 25_014)):
        listed = [
            {
                "license": 3,
                "file_name": f"{number:012d}.jpg",
                "coco_url": f"http://images.cocodataset.org/{split}/{number:012d}.jpg",
                "height": 480,
                "width": 640,
                "date_captured": "2013-11-14 16:28:13",
                "flickr_url": f"http://farm5.staticflickr.com/4153/{number}_z.jpg",
                "id": number,
            }
            for number in range(images)
        ]
        said = [
            {"image_id": number % images, "id": number, "caption": " ".join(draw.choices(words, k=10))}
            for number in range(captions)
        ]
        (folder / "annotations" / f"captions_{split}.json").write_text(
            json.dumps({"info": {}, "licenses": [], "images": listed, "annotations": said})
        )
    return (folder / "annotations" / "captions_train2017.json").stat().st_size / 1e6


def prepare_images(folder: Path, count: int) -> dict[str, float]:
    """Prepares JPEG files of 640 x 480 pixels in COCO's layout at 64 pixels."""
    from textvae.preparation import prepare

    make_images(folder, count)
    began = time.perf_counter()
    prepare.prepare(str(folder), 64, "words", out=folder / "set")
    seconds = time.perf_counter() - began
    return {"images": count, "seconds": seconds, "images_per_s": count / seconds}


def make_images(folder: Path, count: int) -> None:
    """Writes images of smooth colours with some noise, whose files are about as large as those of photographs."""
    rng = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for split, number in (("train2017", count), ("val2017", 1)):
        (folder / split).mkdir()
        images = []
        for i in range(number):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).astype(int)
            noisy = (smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / split / f"{i:012d}.jpg", quality=90)
            images.append({"id": i, "file_name": f"{i:012d}.jpg"})
        said = [{"id": i, "image_id": i, "caption": f"picture {i}"} for i in range(number)]
        (folder / "annotations" / f"captions_{split}.json").write_text(
            json.dumps({"images": images, "annotations": said})
        )


if __name__ == "__main__":
    main()
