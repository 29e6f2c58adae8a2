"""A model of your own: a VAE is ``posterior``, ``decode`` and a prior; textvae does the rest.

Takes one minute on one core: first the training loop, which is a generator, then a run with checkpoints. Prints
losses; writes the run folder and dress.png. From the command line: textvae train examples/own_model.py:tiny_vae
"""

from dataclasses import dataclass

import torch
import tyro
from torch import nn

import textvae
from textvae.models.layers import GaussianHead, PixelLikelihood
from textvae.priors import StandardNormal
from textvae.text.labels import FASHION


class TinyVAE(textvae.TextVAE):
    """One hidden layer each in encoder and decoder; the one-hot label is concatenated to the image and to z."""

    @dataclass(frozen=True)
    class Config:
        latent_dim: int = 16

        def build(self):
            return TinyVAE(self)

    def __init__(self, config):
        super().__init__()
        self.image_shape, self.prior = (1, 28, 28), StandardNormal((config.latent_dim,))
        self.encoder = nn.Sequential(nn.Linear(784 + 10, 256), nn.ReLU(), GaussianHead(256, config.latent_dim))
        self.decoder = nn.Sequential(nn.Linear(config.latent_dim + 10, 256), nn.ReLU(), nn.Linear(256, 784))
        self.likelihood = PixelLikelihood("gaussian")  # squared error with a learned noise scale

    def posterior(self, images, condition):
        return self.encoder(torch.cat([images.flatten(1), condition], dim=1))

    def decode(self, latent, condition):
        return self.likelihood(self.decoder(torch.cat([latent, condition], dim=1)).view(-1, 1, 28, 28))


def tiny_vae() -> textvae.Recipe:
    about = ("tiny-vae", "a VAE of one hidden layer", "an example", "fashion-mnist")  # name, summary, source, data
    return textvae.Recipe(*about, FASHION, TinyVAE.Config(), textvae.TrainerConfig(epochs=10), ("a dress", "a bag"))


def main(epochs: int = 10, out: str = "runs/tiny-vae") -> None:
    images = textvae.load_data("fashion-mnist").first(2000)
    conditions, config = FASHION.encode(images.captions), textvae.TrainerConfig(epochs=1)
    training = textvae.Training(TinyVAE.Config().build(), images, conditions, config, textvae.choose_execution())
    for step in training.steps():
        print(f"step {step.number}: {step.loss.total.item():.1f} nats an image")
    textvae.train(tiny_vae, out=out, trainer={"epochs": epochs})
    run = textvae.open_run(out, tiny_vae)  # with the recipe, because a run folder holds no code
    textvae.TextToImage.load(run)("a dress")[0].resize((112, 112)).save(f"{out}/dress.png")


if __name__ == "__main__":
    tyro.cli(main)
