"""What a text encoder is: strings to conditions, where a condition of zeros means that no text was given."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

NONE = "none"
"""The one caption that encodes to the zero row."""


@runtime_checkable
class TextEncoder(Protocol):
    """Strings to conditions. A condition whose every number is zero says nothing."""

    def encode(self, captions: Sequence[str]) -> Tensor:
        """One condition a caption, first axis; a caption it can't read is a ``UserError``."""
        ...


@runtime_checkable
class FrozenText(Protocol):
    """A text encoder whose output can be computed once and kept."""

    @property
    def name(self) -> str:
        """As ``--text`` calls it."""

    @property
    def identity(self) -> str:
        """Name, form and version of the weights."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one condition."""

    def embed(self, captions: Sequence[str]) -> Tensor:
        """One condition a caption."""

    def remarks(self, captions: Sequence[str]) -> list[str]:
        """What is to be reported of each caption; empty where nothing is."""
