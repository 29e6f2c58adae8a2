"""What a frozen image encoder is: images to one embedding each, computed once and stored."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor


@runtime_checkable
class FrozenImages(Protocol):
    """An image encoder whose output can be computed once and kept."""

    @property
    def name(self) -> str:
        """As ``--image-encoder`` calls it."""

    @property
    def identity(self) -> str:
        """Name and version of the weights."""

    @property
    def side(self) -> int | None:
        """Pixels a side that it wants of the photograph; None: it sees the prepared picture, as if it were drawn."""

    def embed(self, images: UInt8[Tensor, "n 3 side side"]) -> Float[Tensor, "n d"]:
        """One vector an image."""
