"""Speed of training label-conv in images a second, compared with pythae's VAE with the same layers.

Both sides build textvae's ``LabelConv`` from the same seed and train it on the same Fashion-MNIST images in fp32 with
Adam and binary cross-entropy; the condition is zero on both. textvae trains with ``Training.steps()``, pythae with its
``TrainingPipeline`` and the trainer's defaults (loader in the main process, progress bar) at our batch size and
learning rate. Each training is a separate process, in turns. Preparation of the data and the first epoch are not
counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, Neighbours, machine, summary, write

from textvae import data

HERE = Path(__file__).resolve().parent
TARGET = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60_000, help="training images per epoch")
    parser.add_argument(
        "--epochs", type=int, default=2, help="measured epochs of each training, after one that is not measured"
    )
    parser.add_argument("--repeats", type=int, default=3, help="trainings on each side")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--pythae", type=Path, default=HERE / ".venv-pythae", help="pythae's environment")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()

    python = environment(asked.pythae)
    result: dict[str, Any] = {"machine": machine()}
    neighbours = Neighbours()
    images = data.load("fashion-mnist", "train").images[: asked.images]
    trained: dict[str, list[dict[str, Any]]] = {"textvae": [], "pythae": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npy"
        np.save(file, images.numpy())
        order = {
            "images": str(file),
            "epochs": asked.epochs + 1,
            "batch_size": asked.batch_size,
            "learning_rate": asked.learning_rate,
        }
        for _ in range(asked.repeats):
            for side, interpreter in {"textvae": sys.executable, "pythae": str(python)}.items():
                found = training(interpreter, HERE / f"train_{side}.py", order)
                found["images_per_second"] = [len(images) / seconds for seconds in found["seconds"][1:]]
                trained[side].append(found)
                speed = statistics.mean(found["images_per_second"])
                print(f"{side:<10}{speed:>9,.0f} images/s   last epoch's loss {found['losses'][-1]:.2f}", flush=True)

    speeds = {side: [statistics.mean(one["images_per_second"]) for one in found] for side, found in trained.items()}
    ratios = [ours / theirs for ours, theirs in zip(speeds["textvae"], speeds["pythae"], strict=True)]
    result["protocol"] = {
        "network": "LabelConv, latent 128, binary cross-entropy, condition zero, on both sides",
        "images": len(images),
        "batch_size": asked.batch_size,
        "optimizer": f"Adam, learning rate {asked.learning_rate:g}",
        "precision": "fp32",
        "warm_up_epochs": 1,
        "measured_epochs": asked.epochs,
        "order": "a process each, in turns, textvae first",
        "pythae": {key: trained["pythae"][0][key] for key in ("pythae", "torch", "threads")},
        "textvae": {key: trained["textvae"][0][key] for key in ("torch", "threads")},
    }
    result["images_per_second"] = {side: summary(found) for side, found in speeds.items()}
    result["losses"] = {side: found[0]["losses"] for side, found in trained.items()}
    result["ratio"] = summary(ratios) | {"target": TARGET}
    medians = {side: f"{statistics.median(found):,.0f} images/s" for side, found in speeds.items()}
    result["summary"] = [
        {
            "what": "training `label-conv`; against pythae's VAE with the same layers",
            "ours": medians["textvae"],
            "theirs": medians["pythae"],
            "ratio": f"{statistics.median(ratios):.2f} (target {TARGET:g})",
        }
    ]
    print(f"ratio     {statistics.median(ratios):>9.2f} (target {TARGET:g}; {', '.join(f'{r:.2f}' for r in ratios)})")
    write("training-speed", result, neighbours, asked.out)


def environment(folder: Path) -> Path:
    """The interpreter of pythae's environment, which is created if necessary, with our version of torch."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"creating pythae's environment in {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    packages = ["pythae==0.1.2", f"torch=={torch.__version__.partition('+')[0]}", "jaxtyping", "setuptools"]
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(python), "-m", "pip", "install", *quiet, *packages], check=True)
    return python


def training(python: str, script: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Runs one side; the last line of its output is the result."""
    # textvae is on the path and not installed, so that its dependencies do not constrain pythae's environment.
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": ""}
    done = subprocess.run([python, str(script), json.dumps(order)], env=environ, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script.name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
