"""What ten minutes of training on Fashion-MNIST give, with textvae and with what a user would pick instead.

Each side is a process of its own, one after the other: ``peers/side_*.py``, which say what example of their package
they follow. The clock of a peer counts the training alone; textvae's counts its whole command, and if that takes longer
than ``--minutes``, the peers have as long. Each side then draws ``--samples`` images, equally many of each class where
it can be asked for one, which are measured against the 10,000 test images. A side whose JSON is in the work folder is
not run again; pictures of its samples are beside it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import MEASURED, ROOT, Neighbours, machine

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.evaluators.distances import frechet_from_features
from textvae.evaluation.features import cached_features, compute_features
from textvae.evaluation.judges import ClassifierJudge
from textvae.papers.results import Places, write_results
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.utils.cores import usable_cores
from textvae.utils.files import write_json
from textvae.utils.images import grid
from textvae.utils.pixels import to_pil

HERE = Path(__file__).resolve().parent
OURS = "textvae"
SIDES = {
    OURS: ("textvae", ""),
    "pythae": ("pythae", ""),
    "smalldiffusion-dit": ("smalldiffusion", "dit"),
    "smalldiffusion-unet": ("smalldiffusion", "unet"),
    "denoising-diffusion-pytorch": ("ddpm", ""),
    "torchcfm": ("torchcfm", ""),
}
"""The script of each side in ``peers/``, and its option."""
PEERS = ["pythae==0.1.2", "smalldiffusion==0.5.0", "denoising-diffusion-pytorch==2.3.4", "torchcfm==1.0.7"]
NEEDED = ["accelerate", "cloudpickle", "einops", "ema-pytorch", "imageio", "numpy", "pillow", "pot", "pydantic",
          "scikit-learn", "scipy", "torch-ema", "torchdiffeq", "tqdm", "typing-extensions"]  # fmt: skip
"""What the peers need here. What they declare beyond that, such as torchvision and lightning, their training does not
use."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each side")
    parser.add_argument("--samples", type=int, default=2000, help="images that each side draws")
    parser.add_argument("--threads", type=int, default=0, help="of each side; 0: all cores")
    parser.add_argument("--images", type=int, default=60_000, help="training images, for a trial")
    parser.add_argument("--only", nargs="*", choices=list(SIDES), default=list(SIDES))
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of what the sides write; resumed if it is there"
    )
    parser.add_argument("--peers", type=Path, default=HERE / ".venv-peers", help="environment of the peers")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/, and the tables")
    asked = parser.parse_args(words)
    if asked.minutes <= 0 or asked.samples < 20 or asked.threads < 0:
        parser.error("--minutes is positive, --samples at least 20, --threads not negative")
    return asked


def main() -> None:
    asked = parse()
    threads = asked.threads or usable_cores()
    asked.work.mkdir(parents=True, exist_ok=True)
    train, test = data.load("fashion-mnist", "train").first(asked.images), data.load("fashion-mnist", "test")
    order = {"samples": asked.samples, "threads": threads}
    assert train.labels is not None
    for name, array in {"images": train.images, "labels": train.labels}.items():
        np.save(asked.work / f"{name}.npy", array.numpy())
        order[name] = str(asked.work / f"{name}.npy")
    measure = Measure(test)
    sides: dict[str, Any] = {}
    seconds = 60 * asked.minutes
    for side in sorted(asked.only, key=list(SIDES).index):
        file = asked.work / f"{side}.json"
        if not file.exists():
            print(f"{side}: training for {seconds:.0f} s", flush=True)
            write_json(file, run(side, asked.work, asked.peers, order | {"seconds": seconds}, measure))
        sides[side] = json.loads(file.read_text(encoding="utf-8"))
        if side == OURS:
            seconds = max(seconds, sides[side]["training_seconds"])
        print(f"{side}: {json.dumps({key: sides[side][key] for key in ('frechet', 'judge_accuracy')})}", flush=True)
    write(result(asked, threads, train, measure, sides), asked.out)


def environment(folder: Path) -> Path:
    """The interpreter of the peers' environment, which is created if necessary, with our version of torch."""
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"creating the peers' environment in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"torch=={torch.__version__.partition('+')[0]}", *NEEDED], check=True)
        subprocess.run([*install, "--no-deps", *PEERS], check=True)
        done.touch()
    return python


def run(side: str, work: Path, peers: Path, order: dict[str, Any], measure: "Measure") -> dict[str, Any]:
    """Trains, draws and measures a side."""
    script, option = SIDES[side]
    folder = work / side
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    python = sys.executable if side == OURS else str(environment(peers))
    environ = os.environ | {"OMP_NUM_THREADS": str(order["threads"]), "CUDA_VISIBLE_DEVICES": ""}
    environ |= {"PYTHONPATH": str(ROOT / "src")} if side == OURS else {}
    neighbours = Neighbours()
    asked = json.dumps(order | {"folder": str(folder), "option": option})
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        command = [python, str(HERE / "peers" / f"side_{script}.py"), asked]
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
    others = neighbours.cores()
    if done.returncode:
        sys.exit(f"{side} failed: see {folder / 'log.txt'}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for drawing in found["drawings"]:
        drawn = torch.from_numpy(np.load(folder / f"{drawing['name']}.npy"))
        drawing |= measure(drawn, found.get("labelled", False))
        picture = grid([to_pil(drawn[row : row + 10]) for row in range(0, min(100, len(drawn)), 10)])
        picture.save(work / f"{side}-{drawing['name']}.png")
    # Of several ways of drawing, the one that is best for the side.
    best = min(found["drawings"], key=lambda drawing: drawing["frechet"]["judge"])
    kept = {key: best[key] for key in ("sampler", "images_per_second", "frechet", "judge_accuracy")}
    return found | kept | {"other_processes_cores": others}


class Measure:
    """Our evaluation of images against the test images; without weights in $TEXTVAE_DATA, a distance is absent."""

    def __init__(self, test: CaptionedImages) -> None:
        self.judge = ClassifierJudge("judge-fashion", torch.device("cpu"))
        nets = {"judge": self.judge.features(), "inception-768": feature_net("inception-768")}
        self.nets = {name: net for name, net in nets.items() if isinstance(net, FeatureNet)}
        versions = {"judge": self.judge.name}
        self.real = {
            name: cached_features(net, test.images, "the test images", versions.get(name, ""))
            for name, net in self.nets.items()
        }

    def __call__(self, images: torch.Tensor, labelled: bool) -> dict[str, Any]:
        """Fréchet distances, and judge accuracy where image i was asked to be of class i % 10."""
        frechet = {
            name: frechet_from_features(compute_features(net, images, "the samples"), self.real[name])
            for name, net in self.nets.items()
        }
        seen = self.judge.classify(images)
        accuracy = (seen == torch.arange(len(images)) % 10).double().mean().item() if labelled else None
        return {"frechet": frechet, "judge_accuracy": accuracy}


def result(
    asked: argparse.Namespace, threads: int, train: CaptionedImages, measure: Measure, sides: dict[str, Any]
) -> dict[str, Any]:
    """The content of the JSON, with real training images in the place of samples as a reference."""
    assert train.labels is not None
    of_class = [(train.labels == number).nonzero()[:, 0] for number in range(10)]
    rows = torch.stack([of_class[i % 10][i // 10] for i in range(asked.samples)])
    others = max((side["other_processes_cores"] or 0.0 for side in sides.values()), default=0.0)
    return {
        "machine": machine() | {"other_processes_cores": others},
        "protocol": {
            "data": "fashion-mnist",
            "images": len(train),
            "test_images": 10_000,
            "minutes": asked.minutes,
            "samples": asked.samples,
            "threads": threads,
            "precision": "fp32",
            "judge": measure.judge.name,
        },
        "reference": measure(train.images[rows], True),
        "sides": sides,
    }


def write(found: dict[str, Any], out: Path | None) -> None:
    """Writes the JSON; into the package, with the tables of README.md and RESULTS.md, if the machine was idle."""
    others = found["machine"]["other_processes_cores"]
    if out is None and others > Neighbours.ALLOWED:
        sys.exit(
            f"not written: other processes used up to {others:g} cores meanwhile; remove the JSON files of those sides"
        )
    path = (out or MEASURED) / "benchmark-time-to-quality.json"
    write_json(path, found)
    print(f"written: {path}")
    if out is None:
        write_results(Places.of_repository(ROOT))


if __name__ == "__main__":
    main()
