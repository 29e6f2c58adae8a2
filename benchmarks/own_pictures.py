"""What becomes of a folder of pictures: 600 flowers, 3,000 products and 9,000 scenes, 30 minutes of training each.

The pictures are copied from the sets in $TEXTVAE_DATA into image folders without splits, as a person would have them,
and ``textvae train FOLDER --minutes 30`` does the rest. The numbers go into docs/own_pictures.md and, with their
protocols, into a JSON file; the pictures that the models draw into docs/figures.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from common import MEASURED, ROOT, Neighbours, machine

from textvae.preparation.layouts import find_photographs
from textvae.preparation.record import Record, clean
from textvae.utils.files import write_json, write_text

FOLDERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "flowers-600": (600, ("flowers102",)),
    "products-3000": (3000, ("products",)),
    "scenes-9000": (9000, ("coco-mini", "flickr8k")),
}
"""Pictures, and the sets that they are drawn from at random."""
PROMPTS = {
    "flowers-600": ("a yellow flower", "a pink flower with a yellow center", "a flower with white petals"),
    "products-3000": ("men blue shirt", "women red handbag", "black trousers"),
    "scenes-9000": ("a dog on the grass", "people in the snow", "a boat on the water"),
}
"""What the figures show."""
COLUMNS = (
    ("pictures", "images"),
    ("epochs", "epochs"),
    ("minutes", "minutes"),
    ("PSNR of reconstructions", "reconstruction.psnr"),
    ("Fréchet distance", "generation.frechet.efficientnet-lite0"),
    ("of training pictures", "reference.real_train.frechet.efficientnet-lite0"),
    ("kernel distance", "generation.kernel.efficientnet-lite0.mean"),
    ("retrieval", "generation.retrieval_precision.samples"),
    ("of real pictures", "generation.retrieval_precision.real"),
    ("colours", "generation.colour.accuracy"),
    ("of real pictures", "generation.colour.real"),
    ("nearest training picture", "generation.nearest_training_image.samples"),
    ("of held-out pictures", "generation.nearest_training_image.real_test"),
)
PAGE = ROOT / "docs" / "own_pictures.md"
BEGIN, END = "<!-- measured: benchmarks/own_pictures.py -->", "<!-- end of measured -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=0, help="of each training; 0: all cores")
    parser.add_argument("--only", nargs="*", choices=list(FOLDERS), default=list(FOLDERS))
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the pictures and runs; resumed if it is there"
    )
    parser.add_argument(
        "--no-page", action="store_true", help="leave docs/ and the JSON file of the package as they are"
    )
    asked = parser.parse_args()
    rows = {}
    for name in asked.only:
        count, sources = FOLDERS[name]
        folder = make_folder(asked.work / name, count, sources)
        rows[name] = trained(folder, asked.work / "runs" / name, asked.minutes, asked.threads)
        print(json.dumps({name: rows[name]["shown"]}, ensure_ascii=False))
    if asked.no_page:
        print(table(rows))
        return
    for name in rows:
        figure = ROOT / "docs" / "figures" / f"own-pictures-{name}.png"
        figure.unlink(missing_ok=True)  # generate would number a second one
        command = ["generate", str(asked.work / "runs" / name), *PROMPTS[name], "--out", str(figure)]
        subprocess.run([sys.executable, "-m", "textvae", *command], check=True)
    write_json(MEASURED / "benchmark-own-pictures.json", {"rows": rows, "machine": machine()})
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    write_text(PAGE, f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")


def make_folder(folder: Path, count: int, sources: Iterable[str]) -> Path:
    """An image folder of that many usable pictures, chosen at random; kept where it is complete."""
    index = folder / "metadata.jsonl"
    if index.exists():
        return folder
    records: list[Record] = []
    for source in sources:
        for part in find_photographs(source).parts:
            records += [record for record in chain.from_iterable(part.layout.splits().values()) if record.image]
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, record in enumerate(random.Random(0).sample(records, count)):
        assert record.image is not None
        content = record.image.read()
        name = f"{number:05d}.jpg"  # whatever it is: decoders look at the content
        (folder / name).write_bytes(content)
        lines.append(json.dumps({"file_name": name, "text": clean(record.captions)[0]}, ensure_ascii=False))
    write_text(index, "\n".join(lines) + "\n")
    return folder


def trained(folder: Path, run: Path, minutes: float, threads: int) -> dict[str, Any]:
    """Runs the command, which resumes, and returns its metrics with what is shown of them."""
    neighbours, started = Neighbours(), time.perf_counter()
    command = ["train", str(folder), "--minutes", f"{minutes:g}", "--out", str(run), "--threads", str(threads)]
    subprocess.run([sys.executable, "-m", "textvae", *command], check=True, stdout=sys.stderr)
    seconds, others = time.perf_counter() - started, neighbours.cores()
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    last = json.loads((run / "history.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    shown: dict[str, Any] = {
        "images": sum(1 for _ in (folder / "metadata.jsonl").open(encoding="utf-8")),
        "epochs": f"{config['trainer']['epochs']} + {config['flow']['trainer']['epochs']}",
        "minutes": round(last["seconds"] / 60, 1),
    }
    shown |= {key: value for _, key in COLUMNS if (value := number(metrics, key)) is not None}
    return {
        "shown": shown,
        "metrics": metrics,
        "execution": config["execution"],
        "seconds_in_all": seconds,
        "other_processes_cores": others,
    }


def number(metrics: dict[str, Any], key: str) -> float | None:
    """A metric by its dotted name; network names have no dots."""
    value: Any = metrics
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows of the page: one column for each folder."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.3g}"
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    lines = [f"| | {' | '.join(rows)} |", f"| --- |{' --- |' * len(rows)}"]
    for title, key in COLUMNS:
        lines.append(f"| {title} | {' | '.join(cell(row['shown'].get(key)) for row in rows.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
