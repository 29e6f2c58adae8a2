"""The words of captions that people wrote: learned once from a training set, kept with the model that reads them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from textvae.text.base import NONE
from textvae.utils.errors import UserError
from textvae.utils.progress import say

REPEATED = 30
"""Images of a word that is learned though few different captions have it: labels are captions too."""
NAMED = 8
"""Unknown words that a notice names; the rest are counted."""


@dataclass(frozen=True)
class CaptionWords:
    """Captions in anybody's words, as token ids; what was never read in training is left out, and said to be.

    The words stand in a run's config.json. So a run folder, and a model that ships, read prompts without the data they
    were trained on.
    """

    words: tuple[str, ...] = ()
    """Lower case, distinct, the commonest first; word i is token i + 1. Empty before a training has learned them."""
    length: int = 24
    """Words a caption; what goes beyond is cut off."""
    least: int = 3
    """How often a word must occur in different training captions to be learned, unless ``REPEATED`` images have it."""
    most: int = 2000
    """Words to learn, at most."""

    def __post_init__(self) -> None:
        """Refuses what a file that was edited may hold."""
        if len(set(self.words)) < len(self.words):
            raise UserError(
                "a word stands twice among a model's words", "use a run folder that textvae wrote, unedited"
            )

    @property
    def num_tokens(self) -> int:
        """Rows of an embedding table: the words, and padding."""
        return len(self.words) + 1

    def learned_from(self, captions: Sequence[str], images: Sequence[int]) -> "CaptionWords":
        """With the common words of these captions, all different, each of so many images."""
        count, shown = Counter[str](), Counter[str]()
        for caption, number in zip(captions, images, strict=True):
            for word in _words(caption):
                count[word] += 1
                shown[word] += number
        common = [word for word in count if count[word] >= self.least or shown[word] >= REPEATED]
        return replace(self, words=tuple(sorted(common, key=lambda word: (-count[word], word))[: self.most]))

    def encode(self, captions: Sequence[str]) -> Int64[Tensor, "n {self.length}"]:
        """Token ids, a row a caption, zeros for padding; ``NONE``, and a caption of unknown words alone, is all zeros.

        What is left out or cut off is said on stderr, in one line for all captions.

        Raises:
            UserError: nothing in any of the captions is known.
        """
        number = {word: i for i, word in enumerate(self.words, start=1)}
        rows = torch.zeros(len(captions), self.length, dtype=torch.int64)
        unknown: Counter[str] = Counter()
        cut, understood = 0, False
        for row, caption in zip(rows, captions, strict=True):
            words = _words(caption)
            if words == [NONE]:
                understood = True
                continue
            known = [number[word] for word in words if word in number]
            unknown.update(word for word in words if word not in number)
            cut += len(known) > self.length
            understood = understood or bool(known)
            known = known[: self.length]
            row[: len(known)] = torch.tensor(known, dtype=torch.int64)
        if captions and not understood:
            raise UserError(
                f'no word of "{captions[0]}" is known to this model',
                f'it knows {len(self.words)} words, such as: {" ".join(self.words[:40])}; "{NONE}" says nothing',
            )
        if unknown:
            say(f"left out, as the model does not know them: {_listed(unknown)}")
        if cut:
            say(f"{cut} captions are cut after the {self.length} words that the model reads")
        return rows


def _words(caption: str) -> list[str]:
    return re.findall(r"\w+", caption.casefold())


def _listed(words: Counter[str]) -> str:
    named = ", ".join(f'"{word}"' for word, _ in words.most_common(NAMED))
    return named + (f", and {len(words) - NAMED} more" if len(words) > NAMED else "")
