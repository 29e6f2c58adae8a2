"""A small dual encoder that embeds captions and images in one space, in the place of CLIP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from textvae.models.base import Trainable
from textvae.models.layers import Dropout, SequentialWithDropout, WholeBatch
from textvae.models.losses import LossTerms, contrastive_loss, scaled_similarities
from textvae.utils.config import Range, Share, Size, updated
from textvae.utils.errors import UserError
from textvae.utils.files import read_json, sha256_of
from textvae.utils.random import Draws
from textvae.utils.weights import check_finite, check_fits, read_header


class DualEncoder(Trainable):
    """Two projections of frozen features, trained so that a caption is nearest to its own image.

    Source: the loss of Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021),
    figure 3. The networks below the projections stay frozen: here there are thousands of pairs, not millions.
    """

    version: str = ""
    """The first eight digits of the weights' SHA-256, where they were read from a file."""

    @dataclass(frozen=True)
    class Config:
        """Sizes of a ``DualEncoder``."""

        text_features: Size = 384
        """Dimensions of MiniLM's sentence vector."""
        image_features: Size = 1280
        """Dimensions of EfficientNet-Lite0's pooled features."""
        width: Size = 128
        """Dimensions of the shared space."""
        hidden: Annotated[int, Range(0, 1 << 16)] = 0
        """Width of a hidden layer before each projection; 0 projects linearly, as CLIP does."""
        dropout: Share = 0.3
        """Share of the features dropped in training."""

        def build(self) -> "DualEncoder":
            """The dual encoder with fresh weights."""
            return DualEncoder(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.text = _projection(config.text_features, config)
        self.image = _projection(config.image_features, config)
        self.whole_batch = WholeBatch()
        # CLIP's initial temperature, 0.07, and its bound of 100 on the factor.
        self.log_factor = nn.Parameter(torch.tensor(1 / 0.07).log())

    @classmethod
    def load(cls, folder: Path) -> "DualEncoder":
        """The trained dual encoder of a run folder, on the CPU, in evaluation mode.

        It reads ``config.json`` and ``model.safetensors`` itself, so that text encoders need no knowledge of runs.

        Raises:
            UserError: the folder is no run folder, is damaged, or holds another model.
        """
        config_file, weights_file = folder / "config.json", folder / "model.safetensors"
        cure = "textvae train pair-coco-mini makes one"
        try:
            config = read_json(config_file, 1 << 24)
            settings = config["model"]
            if config.get("model_class", cls.__name__) != cls.__name__ or not isinstance(settings, dict):
                raise UserError(f"{folder} holds a {config.get('model_class', 'model')}, no dual encoder", cure)
        except OSError as error:
            raise UserError(f"{folder} is no run folder: {error.strerror}", cure) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{config_file} cannot be read: {error}", cure) from None
        if unknown := settings.keys() - vars(cls.Config()).keys():
            raise UserError(f"{folder} holds no dual encoder: its model has the setting {min(unknown)!r}", cure)
        chosen = updated(cls.Config(), settings, f"{config_file}: model")
        try:
            with torch.device("meta"):
                outline = chosen.build()
            check_fits(read_header(weights_file), outline)
            model = chosen.build()
            model.load_state_dict(safetensors.torch.load_file(weights_file))
            check_finite(model)
        except (safetensors.SafetensorError, RuntimeError, OSError) as error:
            first_line = str(error).splitlines()[0]
            raise UserError(
                f"{weights_file} does not hold this dual encoder: {first_line}", "train it again, or get the file again"
            ) from None
        model.version = sha256_of(weights_file)[:8]
        return model.eval().requires_grad_(False)

    def embed_text(self, vectors: Float[Tensor, "n text"], draws: Draws | None = None) -> Float[Tensor, "n width"]:
        """Rows of length one; dropout in training needs ``draws``."""
        return F.normalize(self.text(vectors, draws), dim=1)

    def embed_image(self, features: Float[Tensor, "n image"], draws: Draws | None = None) -> Float[Tensor, "n width"]:
        """Rows of length one; dropout in training needs ``draws``."""
        return F.normalize(self.image(features, draws), dim=1)

    def loss(self, images: Float[Tensor, "n image 1 1"], condition: Float[Tensor, "n text"], draws: Draws) -> LossTerms:
        """CLIP's symmetric cross-entropy over the batch, in nats; ``error_rate``: images that it gets wrong.

        Args:
            images: features in the place of pixels (the data set NAME-features).
            condition: sentence vectors of their captions.
            draws: random numbers of the dropout.
        """
        texts = self.whole_batch(self.embed_text(condition, draws))
        pictures = self.whole_batch(self.embed_image(images.flatten(1), draws))
        logits = scaled_similarities(pictures, texts, self.log_factor)
        contrastive = contrastive_loss(logits)
        errors = (logits.argmax(1) != torch.arange(len(logits), device=logits.device)).float().mean()
        return LossTerms(contrastive, {"contrastive": contrastive.detach(), "error_rate": errors.detach()})


def _projection(features: int, config: DualEncoder.Config) -> SequentialWithDropout:
    # EfficientNet's features are all positive and of very different scales; sentence vectors need no norm.
    layers: list[nn.Module] = [nn.LayerNorm(features), Dropout(config.dropout)]
    if config.hidden:
        layers += [nn.Linear(features, config.hidden), nn.GELU(), Dropout(config.dropout)]
    return SequentialWithDropout(*layers, nn.Linear(config.hidden or features, config.width, bias=False))
