"""SpatialVAE: a convolutional VAE with a grid of latents, the first stage of a model with a flow prior."""

from dataclasses import dataclass
from typing import Annotated, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import TextVAE
from textvae.models.caption_encoders import AngleSumEncoder
from textvae.models.distributions import DiagonalGaussian, Gaussian, Likelihood
from textvae.models.losses import LossTerms, negative_elbo
from textvae.models.perceptual import perceptual_distance
from textvae.models.taught_readers import AuxiliaryEncoder
from textvae.priors import StandardNormal
from textvae.utils.config import Count, Factor, Pixels, Range, Size
from textvae.utils.random import Draws


class SpatialVAE(TextVAE):
    """Encodes an image as a small grid of latents and decodes it, independently of the condition.

    The condition is used in the second stage, where a flow prior learns p(z|c) (latent diffusion, Rombach et al. 2022,
    section 3.1). Sampled from N(0, I), the latents are independent and the parts of an image do not fit together.
    A caption encoder for arithmetic can be trained together with this VAE by an auxiliary loss, which works better than
    training it with the flow.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes and loss weights of a SpatialVAE."""

        image_shape: tuple[Annotated[int, Range(1, 3)], Pixels, Pixels] = (1, 28, 28)
        """Channels, height, width. Each stride-2 convolution must be able to halve height and width."""
        channels: tuple[Size, ...] = (32, 64)
        """Channels after each stride-2 convolution; the decoder mirrors them."""
        latent_channels: Size = 4
        """Latent channels at each grid position."""
        blocks: Count = 1
        """Residual blocks on the smallest grid, in both networks."""
        finest: Size = 8
        """Channels of the decoder at the resolution of the image."""
        finest_blocks: Count = 0
        """Residual blocks of the decoder at that resolution."""
        num_tokens: Annotated[int, Range(0, 1 << 16)] = 0
        """Vocabulary size of an ``AngleSumEncoder`` trained with the VAE, for the flow prior to use; 0: none."""
        beta: Factor = 1.0
        """Weight of the KL; 1 is the ELBO, less keeps more detail."""
        contrast: Factor = 4.0
        """Factor on the decoder's output before the sigmoid: 0.5 suits photographs, more suits drawings."""
        perceptual: Factor = 0.0
        """Weight in nats of ``perceptual_distance`` on a random half of the images, for photographs; 0: none."""

        def build(self) -> "SpatialVAE":
            """The model with initial weights."""
            return SpatialVAE(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_shape = config.image_shape
        colours, height, width = config.image_shape
        shrink = 2 ** len(config.channels)
        if height % shrink or width % shrink:
            raise ValueError(f"{height} x {width} pixels can't be halved {len(config.channels)} times")
        self.prior = StandardNormal((config.latent_channels, height // shrink, width // shrink))
        deepest = config.channels[-1]
        encoder: list[nn.Module] = []
        before = colours
        for after in config.channels:
            encoder += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.SiLU()]
            before = after
        encoder += [Residual(deepest) for _ in range(config.blocks)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(deepest, 2 * config.latent_channels, 1))
        # A parallel linear map from each patch to its latents and back, which is learned in the first hundred steps.
        self.encode_patch = nn.Conv2d(colours, 2 * config.latent_channels, shrink, stride=shrink)
        self.decode_patch = nn.Sequential(
            nn.Conv2d(config.latent_channels, colours * shrink**2, 1), nn.PixelShuffle(shrink)
        )
        decoder: list[nn.Module] = [nn.Conv2d(config.latent_channels, deepest, 3, padding=1)]
        decoder += [Residual(deepest) for _ in range(config.blocks)]
        for after in reversed(config.channels[:-1]):
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1), Residual(after)]
            before = after
        # The last doubling is a pixel shuffle, so that most of the work is done on a quarter of the pixels.
        decoder += [nn.Conv2d(before, 4 * config.finest, 3, padding=1), nn.PixelShuffle(2)]
        decoder += [Residual(config.finest) for _ in range(config.finest_blocks)]
        self.decoder = nn.Sequential(*decoder, nn.SiLU(), nn.Conv2d(config.finest, colours, 3, padding=1))
        self.reader = None
        if config.num_tokens:
            dial = AngleSumEncoder(config.num_tokens, embedding_dim=32, hidden=128, noise=0.2)
            self.reader = AuxiliaryEncoder(dial, colours * height * width)
        self.log_sigma = nn.Parameter(torch.tensor(0.1).log())
        for name, parameter in self.named_parameters():
            if parameter.dim() == 4:
                # torch's default initialisation shrinks the signal at every layer.
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            elif name.endswith("bias") and not name.startswith("reader"):
                nn.init.zeros_(parameter)
        with torch.no_grad():
            for layer in (self.encoder[-1], self.decoder[-1]):
                for parameter in layer.parameters():
                    parameter.mul_(0.5)

    def loss(self, images: Float[Tensor, "n c h w"], condition: Tensor, draws: Draws) -> LossTerms:
        """The negative ELBO with a weighted KL; in training, with the perceptual and the auxiliary loss."""
        posterior = self.posterior(images, condition)
        latent = posterior.sample(draws.normal(*posterior.mean.shape[1:]))
        likelihood = self.decode(latent, condition)
        divergence = self.divergence(posterior, condition, draws)
        found = negative_elbo(likelihood.log_prob(images), divergence, self.config.beta)
        total, terms = found.total, dict(found.terms)
        if self.training and self.config.perceptual:
            # A random share of the posterior's noise: reconstructions are decoded without noise, samples of a flow with
            # some. A decoder trained with all of the noise paints a pattern where it is absent.
            some, share = draws.uniform() < 0.5, draws.uniform(1, 1, 1)
            perceptual = found.total.new_zeros(())
            if some.any():
                latent = torch.lerp(posterior.mean[some], latent[some], share[some])
                shown = self.decode(latent, condition[some]).mean
                # The expectation of the mean over all images.
                perceptual = perceptual_distance(images[some], shown).sum() / (0.5 * len(images))
            total, terms["perceptual"] = total + self.config.perceptual * perceptual, perceptual.detach()
        if self.training and self.reader is not None:
            auxiliary = self.reader.auxiliary_loss(condition, images, draws)
            total, terms["reading"] = total + auxiliary, auxiliary.detach()
        return LossTerms(total, terms)

    def posterior(self, images: Float[Tensor, "n c h w"], condition: Tensor) -> DiagonalGaussian:
        """q(z|x)."""
        centred = 2 * images - 1
        seen = self.encode_patch(centred) + self.encoder(centred)
        mean, log_variance = seen.float().chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance)

    def decode(self, latent: Float[Tensor, "n c h w"], condition: Tensor) -> Likelihood:
        """p(x|z)."""
        logits = (self.decode_patch(latent) + self.decoder(latent)).float()
        return Gaussian((self.config.contrast * logits).sigmoid(), self.log_sigma)


class Residual(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.SiLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The output, of the same shape."""
        return x + cast(Tensor, self.second(self.activation(self.first(self.activation(x)))))
