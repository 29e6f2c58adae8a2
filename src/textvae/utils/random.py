"""Keyed random numbers: a seed gives the same bits on every machine, whatever was drawn before it.

The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a key of two 32-bit
words and a counter of four give four random words. The key is the seed. The words of the counter are:

0. the number of the block of four words;
1. the number of the draw, with the purpose in the upper eight bits;
2. the index of the image in its data set, 0 for pictures of a prompt;
3. the training step, 0 for pictures of a prompt.

Normals are made from the words by the inverse normal distribution, in additions, multiplications, divisions and square
roots of doubles, which IEEE 754 defines to the last bit. The logarithm and cosine of the Box-Muller transform differ
between platforms. So the same computation in JavaScript draws the same pictures.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from textvae.utils import philox
from textvae.utils.philox import Words, as_normals, as_uniforms, rows

Purpose = Literal["pictures", "training", "validation", "evaluation", "order", "parts", "window"]
_PURPOSES: dict[Purpose, int] = {
    "pictures": 0,
    "training": 1,
    "validation": 2,
    "evaluation": 3,
    "order": 4,
    "parts": 5,
    "window": 6,
}

_RESERVED = 1 << 10
"""Numbers of draws that are left to a part of the images."""


def normals(seed: int | Sequence[int], shape: tuple[int, ...], draw: int = 0) -> Float[Tensor, "*any"]:
    """Standard normal numbers for pictures of a prompt, as ``philox.normals`` makes them."""
    return torch.from_numpy(philox.normals(seed, shape, draw))


class Draws:
    """The random numbers of a batch: a row for each image, keyed by (seed, step, index of the image, draw).

    Draws are numbered as they are made. An image gets the same numbers whatever batch it is in, so a loss that takes
    all its random numbers from here is the same for a batch at once, in parts, or on several machines, as long as the
    order of the draws does not depend on the images.
    """

    def __init__(
        self,
        seed: int,
        step: int,
        images: Int64[Tensor, "n"],
        purpose: Purpose = "training",
        device: torch.device | None = None,
    ) -> None:
        """``images`` are indices in the data set; ``device`` is where the numbers go, by default that of ``images``."""
        self.device = images.device if device is None else device
        self._seed, self._step, self._purpose = seed, step, purpose
        self._images = images.cpu().numpy()
        self._made = 0

    def __len__(self) -> int:
        return len(self._images)

    def of(self, rows: Bool[Tensor, "n"]) -> "Draws":
        """Draws of some of the images alone. They may be left unused without an effect on those that follow."""
        part = copy.copy(self)
        part._images = self._images[rows.cpu().numpy()]
        self._made += _RESERVED
        return part

    def normal(self, *shape: int) -> Float[Tensor, "n *shape"]:
        """Standard normal numbers, float32."""
        return self._next(shape, np.float32, as_normals)

    def uniform(self, *shape: int) -> Float[Tensor, "n *shape"]:
        """Multiples of 2^-24 in [0, 1), float32."""
        return self._next(shape, np.float32, as_uniforms)

    def integers(self, below: int, *shape: int) -> Int64[Tensor, "n *shape"]:
        """Whole numbers from 0 to ``below - 1``."""
        return (self.uniform(*shape) * below).long()

    def _next(self, shape: tuple[int, ...], dtype: Any, make: Callable[[Words], NDArray[Any]]) -> Tensor:
        counter = counter_of(self._purpose, self._made, self._step)
        self._made += 1
        made = rows([self._seed], counter, self._images, math.prod(shape), dtype, make)
        return torch.from_numpy(made.reshape(len(self), *shape)).to(self.device)


def counter_of(purpose: Purpose, draw: int, step: int = 0) -> tuple[int, int]:
    """The second and the fourth word of a counter."""
    return _PURPOSES[purpose] << 24 | draw, step
