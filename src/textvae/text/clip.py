"""CLIP text and image encoders by means of transformers: OpenAI's ViT-B/32 by default, from the hub or a folder."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from textvae.text.base import NONE
from textvae.text.embedding_length import EmbeddingLength, of_length
from textvae.utils.errors import UserError
from textvae.utils.paths import data_folders
from textvae.utils.progress import say

VIT_B_32 = "openai/clip-vit-base-patch32"
REVISIONS = {VIT_B_32: "c237dc49a33fc61debc9276459120b7eac67e7ef"}
"""The commit of a hub model that is loaded where none is named. Of ViT-B/32 it is the conversion to safetensors, since
the main branch holds a pickle alone."""

FOLDER, WEIGHTS = "clip", "model.safetensors"

# Pixel normalisation of CLIP's training (openai/CLIP, clip.py, _transform).
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

_BATCH = 64


@dataclass(frozen=True)
class ClipText:
    """CLIP's text encoder: captions to vectors of the joint space, or to one vector per token.

    CLIP reads at most 77 tokens. A text of several sentences is therefore split, each sentence encoded separately, and
    the embeddings averaged (paper b, section 3.4). A single sentence that is too long is truncated with a notice.
    """

    model: str = VIT_B_32
    """A folder with a model, or a model of the Hugging Face hub, NAME or NAME@REVISION; weights must be safetensors."""
    tokens: bool = False
    """Return the last layer's token vectors of the first sentence, zero-padded, instead of one pooled vector."""
    length: EmbeddingLength = "unit"
    """Of pooled vectors. "raw" is what CLIP's projection returns, as the papers use it: about 10 for ViT-B/32."""
    required: str = ""
    """The ``identity`` of the weights that stored embeddings were made with; other weights are refused. Empty: any."""

    @property
    def name(self) -> str:
        """The name that ``textvae data prepare --text`` uses."""
        return "clip-tokens" if self.tokens else "clip"

    @property
    def identity(self) -> str:
        """Name, version of the weights and length; embeddings of different identities must not be mixed."""
        return self.required or self._identity_of(_loaded(self.model))

    def _identity_of(self, clip: "_Clip") -> str:
        how = "" if self.tokens or self.length == "unit" else f" {self.length}"
        return f"{self.name} {clip.version}{how}"

    def at(self, model: str) -> "ClipText":
        """The same encoder with its weights at another place: a folder, or a model of the hub."""
        return replace(self, model=clip_place(model))

    def same_weights(self, model: str) -> bool:
        """Whether the weights at a place are those of this encoder. Loads them.

        Raises:
            UserError: transformers is not installed, or the model cannot be loaded.
        """
        return self._identity_of(_loaded(clip_place(model))) == self.identity

    def _clip(self) -> "_Clip":
        clip = _loaded(self.model)
        if self.required and (found := self._identity_of(clip)) != self.required:
            raise UserError(
                f"the weights at {self.model} are {found!r}, the captions of the data were embedded by "
                f"{self.required!r}",
                "--clip names the folder or the hub model that the data set was prepared with",
            )
        return clip

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one condition."""
        config = self._clip().network.config
        text = config.text_config
        return (text.max_position_embeddings, text.hidden_size) if self.tokens else (config.projection_dim,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """Encodes captions: the mean of the embeddings of their sentences, or token vectors. ``NONE`` gives zeros.

        Raises:
            UserError: transformers is not installed, the model cannot be loaded, or holds other weights than required.
        """
        for remark in dict.fromkeys(self.remarks(captions)):
            if remark:
                say(f"caption {remark}")
        return self.embed(captions)

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """A remark on each caption with a truncated sentence; an empty string for the others."""
        clip = self._clip()
        found = []
        for caption in captions:
            longest = max(len(ids) for ids in clip.tokenized(self._parts(caption)))
            cut = longest > clip.limit
            found.append(f"truncated from {longest} to {clip.limit} tokens, CLIP's maximum" if cut else "")
        return found

    def _parts(self, caption: str) -> list[str]:
        return sentences(caption)[:1] if self.tokens else sentences(caption)

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """Encodes captions as ``encode`` does, without notices."""
        clip = self._clip()
        parts = [self._parts(caption) for caption in captions]
        distinct = {part: number for number, part in enumerate(dict.fromkeys(p for own in parts for p in own))}
        vectors = torch.zeros(len(distinct), *self.shape)
        ids = [clip.cut(i) for i in clip.tokenized(list(distinct))]
        for start in range(0, len(ids), _BATCH):
            vectors[start : start + _BATCH] = self._towered(clip, ids[start : start + _BATCH])
        rows = torch.stack([vectors[[distinct[part] for part in own]].mean(0) for own in parts])
        rows[[caption == NONE for caption in captions]] = 0
        return rows

    def _towered(self, clip: "_Clip", ids: list[list[int]]) -> Tensor:
        # Padded to the full length, as in CLIP's training. The embedding is taken at the end marker, a text's last id.
        padded = torch.tensor([i + [clip.pad] * (clip.limit - len(i)) for i in ids])
        there = torch.tensor([[1] * len(i) + [0] * (clip.limit - len(i)) for i in ids])
        hidden: Tensor = clip.network.text_model(input_ids=padded, attention_mask=there).last_hidden_state
        if self.tokens:
            return hidden * there.unsqueeze(2)
        last = torch.tensor([len(i) - 1 for i in ids])
        pooled: Tensor = clip.network.text_projection(hidden[torch.arange(len(ids)), last])
        return of_length(pooled, self.length)


@dataclass(frozen=True)
class ClipImages:
    """CLIP's image encoder: images to vectors of the same space as ``ClipText``."""

    model: str = VIT_B_32
    """See ``ClipText.model``."""
    name: str = "clip"
    length: EmbeddingLength = "unit"
    """See ``ClipText.length``."""

    @property
    def identity(self) -> str:
        """Name, version of the weights and length."""
        return ClipText(self.model, length=self.length).identity

    @property
    def side(self) -> int:
        """Side length of the input in pixels."""
        return int(_loaded(self.model).network.config.vision_config.image_size)

    @torch.no_grad()
    def embed(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Encodes images. Other sizes than ``side`` are resized (bicubic, antialiased) first."""
        network, side = _loaded(self.model).network, self.side
        rows = []
        for batch in torch.split(images, 16):
            pixels = batch.float() / 255
            if pixels.shape[-2:] != (side, side):
                pixels = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
            mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
            pooled = network.vision_model(pixel_values=(pixels - mean) / std).pooler_output
            rows.append(of_length(network.visual_projection(pooled), self.length))
        return torch.cat(rows)


def sentences(text: str) -> list[str]:
    """Splits a text into sentences (at least one), after . ! ? and white space or a full-width full stop, ! or ?.

    Source: paper b, section 3.4.
    """
    parts = [part.strip() for part in re.split(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])", text)]
    return [part for part in parts if re.search(r"\w", part)] or [text]


@dataclass(frozen=True, eq=False)
class _Clip:
    network: Any
    tokenizer: Any
    version: str

    @property
    def limit(self) -> int:
        return int(self.network.config.text_config.max_position_embeddings)

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    def tokenized(self, texts: list[str]) -> list[list[int]]:
        # verbose=False suppresses the tokenizer's own length warning: ``remarks`` reports truncation.
        ids: list[list[int]] = self.tokenizer(texts, verbose=False)["input_ids"]
        return ids

    def cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.limit else [*ids[: self.limit - 1], ids[-1]]


def clip_place(model: str = "") -> str:
    """Where CLIP is loaded from: a folder as an absolute path, or the name of a hub model as it is.

    Args:
        model: a folder or a model of the hub; empty: ``$TEXTVAE_DATA/clip`` if it holds weights, else ``VIT_B_32``. A
            folder that is gone, as one recorded on another machine, is looked for in ``$TEXTVAE_DATA/clip``, too.
    """
    if not model:
        return installed_clip() or VIT_B_32
    folder = Path(model).expanduser()
    if folder.is_dir():
        return str(folder.absolute())
    return (installed_clip() or model) if folder.is_absolute() else model


def installed_clip() -> str:
    """The folder clip in ``$TEXTVAE_DATA`` or in the download folder, if it holds weights; else empty."""
    return next((str(folder) for folder in data_folders(FOLDER) if (folder / WEIGHTS).is_file()), "")


@lru_cache(maxsize=2)
def _loaded(model: str) -> _Clip:
    try:
        from transformers import AutoTokenizer, CLIPModel
    except ImportError:
        raise UserError("CLIP requires the package transformers", "pip install 'textvae[clip]'") from None
    name, revision = model, "main"
    if not Path(model).is_dir():
        name, _, named = model.partition("@")
        revision = named or REVISIONS.get(name, "main")
    try:
        # Never a pickle, which could execute code.
        network: Any = CLIPModel.from_pretrained(name, revision=revision, use_safetensors=True)
        network.float().eval().requires_grad_(False)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"cannot load CLIP from {model}: {first}",
            "--clip names a model of the hub, or a folder with config.json, model.safetensors and the tokenizer files",
        ) from None
    return _Clip(network, tokenizer, _version(network))


def _version(network: Any) -> str:
    """The first eight digits of the SHA-256 over names and values of the weights, wherever they were loaded from.

    Buffers are left out: which of them a file holds depends on the version of transformers that wrote it.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(network.named_parameters()):
        digest.update(name.encode())
        digest.update(weight.contiguous().numpy().data)
    return digest.hexdigest()[:8]
