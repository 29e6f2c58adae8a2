"""The interface of text encoders: captions to condition tensors, all zeros when no text is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray

if TYPE_CHECKING:  # exported models read prompts without importing torch
    from torch import Tensor

NONE = "none"
"""The caption that stands for "no text": every encoder maps it to a condition of zeros."""


@runtime_checkable
class TextEncoder(Protocol):
    """Encodes captions as condition tensors. The all-zero condition means that no text is given."""

    def encode(self, captions: Sequence[str]) -> Tensor:
        """Encodes captions.

        Returns:
            One condition per caption along the first axis.

        Raises:
            UserError: a caption cannot be encoded.
        """
        ...


@runtime_checkable
class FrozenText(Protocol):
    """A text encoder with fixed weights, whose output can be computed once per caption and stored."""

    @property
    def name(self) -> str:
        """The name that ``textvae data prepare --text`` uses."""

    @property
    def identity(self) -> str:
        """Name, output form and version of the weights; embeddings of different identities must not be mixed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one condition."""

    def embed(self, captions: Sequence[str]) -> Tensor:
        """Encodes captions without printing remarks; one condition per caption."""

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """A remark on each caption (truncated, for example); an empty string where there is none."""


class RowEncoder(ABC):
    """A text encoder without a network: it returns numpy arrays, so it also works without torch."""

    @abstractmethod
    def rows(self, captions: Sequence[str]) -> NDArray[Any]:
        """Encodes captions, one row per caption: float32 features or int64 token ids.

        Raises:
            UserError: a caption cannot be encoded.
        """

    def encode(self, captions: Sequence[str]) -> Tensor:
        """``rows`` as a tensor."""
        import torch

        return torch.from_numpy(self.rows(captions))
