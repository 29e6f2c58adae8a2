"""Pair: a small dual encoder that puts captions and images into one space. It is not CLIP, and nothing calls it so."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import Trainable
from textvae.models.losses import LossTerms


class DualEncoder(Trainable):
    """Two projections of frozen features, trained so that a caption is nearest to its own image.

    Source: the loss of Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021),
    figure 3; the towers below the projections stay as they are, since there are thousands of pairs here, not millions.
    """

    @dataclass(frozen=True)
    class Config:
        """Sizes of a DualEncoder."""

        text_features: int = 384
        """Of MiniLM's sentence vector."""
        image_features: int = 1280
        """Of EfficientNet-Lite0."""
        width: int = 128
        """Dimensions of the shared space."""
        hidden: int = 0
        """Width of a layer before each projection; 0 projects linearly, as CLIP does."""
        dropout: float = 0.3
        """Share of the features dropped in training."""

        def build(self) -> "Pair":
            """The pair with fresh weights."""
            return DualEncoder(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.text = _projection(config.text_features, config)
        self.image = _projection(config.image_features, config)
        # CLIP's initial temperature, 0.07, and its bound of 100 on the factor.
        self.log_factor = nn.Parameter(torch.tensor(1 / 0.07).log())

    def embed_text(self, vectors: Float[Tensor, "n text"]) -> Float[Tensor, "n width"]:
        """Rows of length one."""
        return F.normalize(self.text(vectors), dim=1)

    def embed_image(self, features: Float[Tensor, "n image"]) -> Float[Tensor, "n width"]:
        """Rows of length one."""
        return F.normalize(self.image(features), dim=1)

    def loss(self, images: Float[Tensor, "n image 1 1"], condition: Float[Tensor, "n text"]) -> LossTerms:
        """CLIP's symmetric cross-entropy over the batch, in nats; ``error_rate`` is of images among its captions.

        Args:
            images: features in the place of pixels (a data set NAME-features).
            condition: sentence vectors.
        """
        texts, pictures = self.embed_text(condition).float(), self.embed_image(images.flatten(1)).float()
        logits = self.log_factor.clamp(max=torch.tensor(100.0).log().item()).exp() * pictures @ texts.T
        own = torch.arange(len(logits), device=logits.device)
        contrastive = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        errors = (logits.argmax(1) != own).float().mean()
        return LossTerms(contrastive, {"contrastive": contrastive.detach(), "error_rate": errors.detach()})


def _projection(features: int, config: DualEncoder.Config) -> nn.Sequential:
    # EfficientNet's features are all positive and of very different scales; a sentence vector takes it without harm.
    layers: list[nn.Module] = [nn.LayerNorm(features), nn.Dropout(config.dropout)]
    if config.hidden:
        layers += [nn.Linear(features, config.hidden), nn.GELU(), nn.Dropout(config.dropout)]
    return nn.Sequential(*layers, nn.Linear(config.hidden or features, config.width, bias=False))
