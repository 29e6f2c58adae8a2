"""Captions as a frozen sentence encoder understands them: the encoder that we measure with where CLIP can't be had."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from textvae.text import minilm
from textvae.text.base import NONE

_BATCH = 32


@dataclass(frozen=True)
class SentenceText:
    """all-MiniLM-L6-v2, pooled to one vector of length one, or as the vectors of its first tokens.

    It has read sentences only, never seen an image; so it is no CLIP, and is not called one.
    """

    tokens: int = 0
    """0 gives the pooled vector; else the vectors of so many tokens, zero where there are none."""

    @property
    def name(self) -> str:
        """As ``--text`` calls it."""
        return "sentence-tokens" if self.tokens else "sentence"

    @property
    def identity(self) -> str:
        """Name, form and version of the weights: equal where embeddings may be mixed."""
        return f"{self.name}{self.tokens or ''} {minilm.SHA256[:8]}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one condition."""
        return (self.tokens, minilm.WIDTH) if self.tokens else (minilm.WIDTH,)

    def encode(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """(n, 384), rows of length one; or (n, tokens, 384). ``NONE`` gives zeros.

        Tokens beyond the limit are not read, which is said on stderr; ``remarks`` says it of each caption.

        Raises:
            UserError: the package with the weights is not installed.
        """
        for remark in dict.fromkeys(self.remarks(captions)):
            if remark:
                print(f"a caption is {remark}", file=sys.stderr)
        return self.embed(captions)

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """What is to be said of each caption: cut, or without a word that the encoder knows; mostly nothing."""
        _, tokenizer = minilm.load()
        unknown = tokenizer.token_to_id("[UNK]")
        found = []
        for encoding in tokenizer.encode_batch(list(captions)):
            ids, remark = encoding.ids, ""
            if len(ids) > minilm.MAX_TOKENS:
                remark = f"{len(ids)} tokens long: cut to the {minilm.MAX_TOKENS} that the encoder reads"
            elif all(i == unknown for i in ids[1:-1]):
                remark = "in no words that the encoder knows"
            found.append(remark)
        return found

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n *condition"]:
        """``encode`` without a word about what was cut."""
        network, tokenizer = minilm.load()
        numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
        encodings = [encoding.ids for encoding in tokenizer.encode_batch(list(numbers))]
        # [CLS] words [SEP]: what is cut is cut from the words.
        ids = [i if len(i) <= minilm.MAX_TOKENS else [*i[: minilm.MAX_TOKENS - 1], i[-1]] for i in encodings]
        rows = torch.zeros(len(numbers), *self.shape)
        # By length, so that little is padding.
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
                # Mean over tokens, then length one (its modules.json: Pooling, Normalize).
                rows[batch] = F.normalize((vectors * there).sum(1) / there.sum(1), dim=1)
        if NONE in numbers:
            rows[numbers[NONE]] = 0
        return rows[[numbers[caption] for caption in captions]]
