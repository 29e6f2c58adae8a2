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

NOISE = "philox4x32-10/as241"
"""Name of the generator of normals, to be recorded beside measurements."""

Purpose = Literal["pictures", "training", "validation", "evaluation", "order"]
_PURPOSES: dict[Purpose, int] = {"pictures": 0, "training": 1, "validation": 2, "evaluation": 3, "order": 4}

_RESERVED = 1 << 10
"""Numbers of draws that are left to a part of the images."""

_Words = NDArray[np.uint64]
"""32-bit words, each held in 64 bits."""
_Doubles = NDArray[np.float64]

_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)
_ROUNDS = 10
_CHUNK = 1 << 12
"""Blocks that are computed together: few enough for intermediate results to stay in the processor's cache."""


def philox(key: _Words, counter: _Words) -> _Words:
    """Philox4x32-10.

    Args:
        key: two words, [2, n] or [2, 1].
        counter: four words, [4, n].

    Returns:
        Four random words for each counter, [4, n].
    """
    even, odd = counter[0::2], counter[1::2]
    for round_number in range(_ROUNDS):
        product = even * _MULTIPLIERS
        even = (product >> _HALF)[::-1] ^ odd
        even ^= key
        product &= _WORD
        odd = product[::-1]
        if round_number < _ROUNDS - 1:
            key = (key + _WEYL) & _WORD
    return np.stack([even, odd], 1).reshape(4, -1)


def normals(seed: int | Sequence[int], shape: tuple[int, ...], draw: int = 0) -> Float[Tensor, "*any"]:
    """Standard normal numbers for pictures of a prompt.

    Args:
        seed: the key; several seeds give one row each.
        shape: of the numbers of one seed.
        draw: number of the draw, for pictures that need noise several times.

    Returns:
        float32, [*shape] for one seed and [n, *shape] for several.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    rows = _rows(seeds, _counter("pictures", draw), np.zeros(1, np.int64), math.prod(shape), np.float32, as_normals)
    return torch.from_numpy(rows.reshape(shape if isinstance(seed, int) else (len(seeds), *shape)))


def permutation(seed: int, count: int, number: int = 0) -> Int64[Tensor, "count"]:
    """The numbers from 0 to ``count - 1`` in random order; each ``number`` gives another order."""
    words = _rows([seed], _counter("order", 0, number), np.zeros(1, np.int64), 2 * count, np.uint32, _as_words)
    return torch.from_numpy(words.view("<u8")[0].argsort(kind="stable"))


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

    def _next(self, shape: tuple[int, ...], dtype: Any, make: Callable[[_Words], NDArray[Any]]) -> Tensor:
        counter = _counter(self._purpose, self._made, self._step)
        self._made += 1
        rows = _rows([self._seed], counter, self._images, math.prod(shape), dtype, make)
        return torch.from_numpy(rows.reshape(len(self), *shape)).to(self.device)


def as_uniforms(words: _Words) -> _Doubles:
    """The upper 24 bits of each word as a number in [0, 1), which float32 holds exactly."""
    return (words >> np.uint64(8)).astype(np.float64) * 2.0**-24


def as_normals(words: _Words) -> _Doubles:
    """The standard normal number whose distribution function is (word + 0.5) / 2^32.

    Source: Wichura 1988, "Algorithm AS 241: The percentage points of the normal distribution", PPND16. Its third case,
    for probabilities below e^-25, is out of reach of 32-bit words.
    """
    probability = (words + 0.5) * 2.0**-32
    centred = probability - 0.5
    argument = 0.180625 - centred * centred
    numbers = centred * _polynomial(_CENTRE_ABOVE, argument)
    numbers /= _polynomial(_CENTRE_BELOW, argument)
    tail = np.flatnonzero(np.abs(centred) > 0.425)
    outer = probability[tail]
    sign = np.where(centred[tail] < 0, -1.0, 1.0)
    argument = np.sqrt(-_logarithm(np.where(sign < 0, outer, 1 - outer))) - 1.6
    numbers[tail] = sign * (_polynomial(_TAIL_ABOVE, argument) / _polynomial(_TAIL_BELOW, argument))
    return numbers


def _as_words(words: _Words) -> _Words:
    return words


def _counter(purpose: Purpose, draw: int, step: int = 0) -> tuple[int, int]:
    """The second and the fourth word of a counter."""
    return _PURPOSES[purpose] << 24 | draw, step


def _rows(
    seeds: Sequence[int],
    counter: tuple[int, int],
    images: NDArray[np.int64],
    count: int,
    dtype: Any,
    make: Callable[[_Words], NDArray[Any]],
) -> NDArray[Any]:
    """``count`` numbers for each seed, or for each image where there is one seed."""
    blocks = -(-count // 4)
    keys = np.array([[seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF] for seed in seeds], np.uint64).reshape(-1, 2).T
    of_image = images.astype(np.uint64)
    n = max(len(seeds), len(images)) if len(seeds) and len(images) else 0
    made = np.empty((n * blocks, 4), dtype)
    words = np.empty((4, min(_CHUNK, len(made))), np.uint64)
    words[1], words[3] = counter
    for start in range(0, len(made), _CHUNK):
        place = np.arange(start, min(start + _CHUNK, len(made)))
        row = place // blocks
        part = words[:, : len(place)]
        part[0] = place - row * blocks
        part[2] = of_image[row] if len(of_image) > 1 else of_image
        key = keys[:, row] if len(seeds) > 1 else keys
        made[place[0] : place[-1] + 1] = make(philox(key, part).ravel()).reshape(4, -1).T
    return made.reshape(n, 4 * blocks)[:, :count]


def _polynomial(coefficients: Sequence[float], x: _Doubles) -> _Doubles:
    """By Horner's scheme, from the coefficient of the highest power to the constant."""
    value = coefficients[0] * x
    value += coefficients[1]
    for coefficient in coefficients[2:]:
        value *= x
        value += coefficient
    return value


_LN2 = 0.6931471805599453
_EXPONENT, _MANTISSA_BITS = np.uint64(0x7FF0000000000000), np.uint64(52)
_ONE_HALF = np.uint64(0x3FE0000000000000)
_SERIES = [1 / n for n in range(25, 0, -2)]


def _logarithm(x: _Doubles) -> _Doubles:
    """Natural logarithm of positive normal numbers: x = m 2^e, log m = 2 artanh((m - 1) / (m + 1)) by its series."""
    bits = x.view(np.uint64)
    exponent = (bits >> _MANTISSA_BITS).astype(np.int64) - 1022.0
    mantissa = (bits & ~_EXPONENT | _ONE_HALF).view(np.float64)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, 2 * mantissa, mantissa)
    exponent -= small
    s = (mantissa - 1) / (mantissa + 1)
    value: _Doubles = exponent * _LN2 + 2 * s * _polynomial(_SERIES, s * s)
    return value


# Wichura's coefficients a, b, c and d, from the highest power to the constant.
_CENTRE_ABOVE = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_CENTRE_BELOW = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_TAIL_ABOVE = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_TAIL_BELOW = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
