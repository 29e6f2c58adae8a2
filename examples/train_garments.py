"""Train a model that draws garments from a word, then draw with it and measure it.

Downloads Fashion-MNIST (30 MB) on the first run. Five epochs take about one minute on two cores. Prints the loss of
each epoch and two metrics; writes the run folder and garments.png. If it is interrupted, the same command resumes.

    python examples/train_garments.py --epochs 5 --out runs/garments
"""

from pathlib import Path

import tyro

import textvae
from textvae.utils.images import grid


class PrintLoss(textvae.Callback):
    """Prints the mean loss of each epoch, in nats an image."""

    def on_epoch(self, stage, row):
        print(f"epoch {row['epoch']}: loss {row['loss']['total']:.1f}")


def main(epochs: int = 5, samples: int = 1000, out: Path = Path("runs/garments")) -> None:
    """Trains, generates images, and measures on this number of test images (``samples``)."""
    run = textvae.train(
        "label-conv",  # paper b's convolutional model; textvae.list_recipes() has the others
        out=out,
        trainer={"epochs": epochs},
        callbacks=[PrintLoss()],
    )

    model = textvae.TextToImage.load(run)
    print(model)
    prompts = ["a t-shirt", "a dress", "an ankle boot"]
    pictures = model(prompts, num_images=6, seed=0)
    rows = [pictures[start : start + 6] for start in range(0, len(pictures), 6)]
    grid(rows, prompts).save(out / "garments.png")

    metrics = textvae.evaluate(run, num_samples=samples)
    for name in ("reconstruction.mse_sum", "generation.judge_accuracy"):
        print(f"{name}: {metrics.get(name):.4g}")


if __name__ == "__main__":
    tyro.cli(main)
