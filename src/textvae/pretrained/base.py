"""The interface of a frozen image encoder: one embedding per image, computed once and stored."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor


@runtime_checkable
class FrozenImages(Protocol):
    """An image encoder that is never trained, so its embeddings can be computed once and stored."""

    @property
    def name(self) -> str:
        """The name for ``--image-encoder``."""

    @property
    def identity(self) -> str:
        """Name and version of the weights."""

    @property
    def side(self) -> int | None:
        """Side in pixels to which the original photograph is scaled; None: it gets the prepared image."""

    def embed(self, images: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n d"]:
        """One vector per image."""
