"""The frozen encoders of captions and of photographs, by the names that the command line gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.data.manifest import ImageName, SetContents, TextName
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained import efficientnet
from textvae.pretrained.base import FrozenImages
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.text.base import FrozenText, TextEncoder
from textvae.text.clip import VIT_B_32, ClipImages, ClipText
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError

TOKENS = 32
"""Token vectors that are kept of a caption: 99 % of COCO's captions are shorter."""


@dataclass(frozen=True)
class EfficientNetImages:
    """The 1,280 pooled features of EfficientNet-Lite0, on which dual encoders are trained."""

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
    """The text side of a trained ``DualEncoder``: MiniLM's sentence vector, projected to the shared space."""

    run: str
    """The run folder."""
    name: str = "pair"

    @property
    def identity(self) -> str:
        """Name and version of the weights."""
        return f"pair {_loaded(self.run).version}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one condition."""
        return (_loaded(self.run).config.width,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """Rows of length one; ``NONE`` gives zeros.

        Raises:
            UserError: the package with MiniLM is not installed, or the folder holds no dual encoder.
        """
        return self._projected(SentenceText().encode(captions))

    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """``encode`` without notices on stderr."""
        return self._projected(SentenceText().embed(captions))

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """A notice for each caption that is not read whole; empty for the others."""
        return SentenceText().remarks(captions)

    @torch.no_grad()
    def _projected(self, vectors: Tensor) -> Tensor:
        return _loaded(self.run).embed_text(vectors) * vectors.any(1, keepdim=True)


@dataclass(frozen=True)
class DualEncoderImages:
    """The image side of a trained ``DualEncoder``: EfficientNet-Lite0's features, projected to the shared space."""

    run: str
    """The run folder."""
    name: str = "pair"
    side: None = None
    base: EfficientNetImages = EfficientNetImages()

    @property
    def identity(self) -> str:
        """Name and version of the weights."""
        return f"pair {_loaded(self.run).version}"

    def embed(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
        """Rows of length one."""
        return self.project(self.base.embed(images))

    @torch.no_grad()
    def project(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n width"]:
        """``embed`` for features that have been computed before."""
        return _loaded(self.run).embed_image(features)


@lru_cache(maxsize=1)
def _features() -> FeatureNet:
    net = feature_net("efficientnet-lite0")
    if not isinstance(net, FeatureNet):
        raise UserError(f"efficientnet-lite0 is not here: {net.reason}", "pip install 'textvae[features]'")
    return net


@lru_cache(maxsize=4)
def _loaded(folder: str) -> DualEncoder:
    return DualEncoder.load(Path(folder))


def text_encoder(name: TextName, clip: str = VIT_B_32, pair: Path | None = None) -> FrozenText | None:
    """The encoder of that name; None for "words", which models learn to read by themselves.

    Args:
        name: as on the command line.
        clip: a CLIP model of the Hugging Face hub, or a folder.
        pair: the run folder of a trained dual encoder.

    Raises:
        UserError: "pair" without a run folder.
    """
    if name == "words":
        return None
    if name == "pair":
        return DualEncoderText(_needed(pair))
    if name in ("clip", "clip-tokens"):
        return ClipText(clip, tokens=name == "clip-tokens")
    return SentenceText(TOKENS if name == "sentence-tokens" else 0)


def image_encoder(name: ImageName, clip: str = VIT_B_32, pair: Path | None = None) -> FrozenImages:
    """The encoder of that name; see ``text_encoder``."""
    if name == "pair":
        return DualEncoderImages(_needed(pair))
    return ClipImages(clip) if name == "clip" else EfficientNetImages()


def weights_of(encoder: FrozenText) -> str:
    """Where an encoder's weights are read from, if that is a choice; else empty."""
    if isinstance(encoder, DualEncoderText):
        return encoder.run
    return encoder.model if isinstance(encoder, ClipText) else ""


def encoder_of(contents: SetContents) -> TextEncoder:
    """The encoder that a set's captions were embedded with, to read prompts for a model that is trained on the set.

    A "pair" is the run folder that the set was prepared with; if that is not there, the one that
    ``textvae train pair-SOURCE`` leaves in ``runs``.

    Raises:
        UserError: the set stores no embeddings, or those of an encoder that is not known.
    """
    text = contents.text
    if text.name == "pair":
        declared = Path(text.weights) if text.weights else None
        return DualEncoderText(str(declared if declared and declared.is_dir() else f"runs/pair-{contents.source}"))
    if text.name in ("clip", "clip-tokens"):
        return ClipText(text.weights or VIT_B_32, tokens=text.kind == "tokens")
    if text.name in ("sentence", "sentence-tokens"):
        return SentenceText(text.shape[0] if text.kind == "tokens" else 0)
    raise UserError(
        f"the captions of {contents.name} were not embedded by an encoder that is known here",
        "prepare the set with --text sentence, sentence-tokens, clip, clip-tokens or pair",
    )


def _needed(pair: Path | None) -> str:
    if pair is None:
        raise UserError("a pair is trained before it can encode", "textvae train pair-coco-mini, then --pair RUN")
    return str(pair)
