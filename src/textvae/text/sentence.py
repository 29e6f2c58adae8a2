"""Captions as embeddings of a frozen sentence encoder (MiniLM), which replaces CLIP where that is not available."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from textvae.text import minilm
from textvae.text.base import NONE
from textvae.text.embedding_length import EmbeddingLength, of_length
from textvae.utils.progress import say

_BATCH = 32


@dataclass(frozen=True)
class SentenceText:
    """Encodes captions by all-MiniLM-L6-v2 as one vector, or as one vector for each of the first tokens.

    Unlike CLIP it was trained on text alone, so results with it are not reported as CLIP results.
    """

    tokens: int = 0
    """0 for the pooled vector; n for the vectors of the first n tokens, zero-padded."""
    length: EmbeddingLength = "unit"
    """Of pooled vectors. "raw" leaves out the normalisation that is the model's last layer."""

    @property
    def name(self) -> str:
        """The name that ``textvae data prepare --text`` uses."""
        return "sentence-tokens" if self.tokens else "sentence"

    @property
    def identity(self) -> str:
        """Name, output form and version of the weights; embeddings of different identities must not be mixed."""
        how = "" if self.tokens or self.length == "unit" else f" {self.length}"
        return f"{self.name}{self.tokens or ''} {minilm.SHA256[:8]}{how}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one condition."""
        return (self.tokens, minilm.WIDTH) if self.tokens else (minilm.WIDTH,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """Encodes captions: (n, 384), or (n, tokens, 384). ``NONE`` gives zeros.

        Truncated captions are reported on stderr; ``remarks`` returns the notice for each caption.

        Raises:
            UserError: the package with the weights is not installed.
        """
        for remark in dict.fromkeys(self.remarks(captions)):
            if remark:
                say(f"caption {remark}")
        return self.embed(captions)

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """A remark on each caption that is truncated or has no known token; an empty string for the others."""
        _, tokenizer = minilm.load()
        unknown = tokenizer.token_to_id("[UNK]")
        found = []
        for encoding in tokenizer.encode_batch(list(captions)):
            ids, remark = encoding.ids, ""
            if len(ids) > minilm.MAX_TOKENS:
                remark = f"truncated from {len(ids)} to {minilm.MAX_TOKENS} tokens, the encoder's maximum"
            elif all(i == unknown for i in ids[1:-1]):
                remark = "without any token known to the encoder"
            found.append(remark)
        return found

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """Encodes captions as ``encode`` does, without notices."""
        network, tokenizer = minilm.load()
        numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
        encodings = [encoding.ids for encoding in tokenizer.encode_batch(list(numbers))]
        # Truncate the words and keep the markers [CLS] and [SEP].
        ids = [i if len(i) <= minilm.MAX_TOKENS else [*i[: minilm.MAX_TOKENS - 1], i[-1]] for i in encodings]
        rows = torch.zeros(len(numbers), *self.shape)
        # Batches of similar length need little padding.
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            length = len(ids[batch[-1]])
            padded = torch.tensor([ids[number] + [0] * (length - len(ids[number])) for number in batch])
            vectors, there = network(padded), (padded != 0).unsqueeze(2)
            if self.tokens:
                kept = min(length, self.tokens)
                rows[batch, :kept] = (vectors * there)[:, :kept]
            else:
                # Mean over tokens, then unit length (modules.json of the model: Pooling, Normalize).
                rows[batch] = of_length((vectors * there).sum(1) / there.sum(1), self.length)
        if NONE in numbers:
            rows[numbers[NONE]] = 0
        return rows[[numbers[caption] for caption in captions]]
