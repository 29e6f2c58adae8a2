"""A data set made in Python, and a recipe for it: coloured shapes from captions.

Takes three minutes on one core. Prints the model; writes the run folder and shapes.png. From the command line:

    textvae train examples/own_dataset.py:shapes --out runs/shapes
"""

import random
from pathlib import Path

import tyro
from PIL import Image, ImageDraw

import textvae
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior
from textvae.utils.images import grid

COLOURS, SHAPES, SIDE = ("red", "green", "blue", "orange"), ("circle", "square"), 24


def drawn(count: int, seed: int) -> textvae.CaptionedImages:
    """Shapes of random colour, size and place, with their captions."""
    choose, pictures, captions = random.Random(seed), [], []
    for _ in range(count):
        colour, shape, radius = choose.choice(COLOURS), choose.choice(SHAPES), choose.randint(4, 8)
        x, y = choose.randint(radius, SIDE - radius), choose.randint(radius, SIDE - radius)
        pictures.append(Image.new("RGB", (SIDE, SIDE), "white"))
        pen = ImageDraw.Draw(pictures[-1])
        draw = pen.ellipse if shape == "circle" else pen.rectangle
        draw((x - radius, y - radius, x + radius, y + radius), colour)
        captions.append([f"a {colour} {shape}", f"{colour} {shape} on white"])  # training picks one per step
    return textvae.captioned_images(pictures, captions)


def shapes(images: int = 3000, epochs: int = 10) -> textvae.Recipe:
    """The recipe. It registers its data set by name, so that the command line finds it, too."""
    textvae.add_data("shapes", train=drawn(images, 0), test=drawn(images // 4, 1))
    about = ("shapes", "coloured shapes from captions", "an example", "shapes")  # name, summary, source, data
    text = textvae.CaptionWords(length=8)  # learns the words of the training captions
    model = SpatialVAE.Config((3, SIDE, SIDE), channels=(32, 32), latent_channels=4, contrast=0.5)
    trainer = textvae.TrainerConfig(epochs, batch_size=64, optimizer="muon", learning_rate=2e-3, schedule="cosine")
    flow = textvae.FlowStage(FlowConfig(FlowPrior.Config(width=64), "words", 1), trainer)
    return textvae.Recipe(*about, text, model, trainer, ("a red circle", "a blue square"), flow=flow)


def main(images: int = 3000, epochs: int = 10, out: Path = Path("runs/shapes")) -> None:
    """Trains the recipe and draws with it."""
    run = textvae.train(shapes(images, epochs), out=out)
    model = textvae.TextToImage.load(run)
    print(model)
    grid([model(prompt, num_images=8) for prompt in run.recipe.prompts]).save(out / "shapes.png")


if __name__ == "__main__":
    tyro.cli(main)
