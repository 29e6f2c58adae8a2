"""Random words and normals by key, in numpy alone: Philox4x32-10 and the inverse normal distribution.

Exported models draw with these without importing torch; ``textvae.utils.random`` makes tensors of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = "philox4x32-10/as241"
"""Name of the generator of normals, to be recorded beside measurements."""

Words = NDArray[np.uint64]
"""32-bit words, each held in 64 bits."""
Doubles = NDArray[np.float64]

_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = np.array([[0x9E3779B9], [0xBB67AE85]], np.uint64)
_ROUNDS = 10
_CHUNK = 1 << 12
"""Blocks that are computed together: few enough for intermediate results to stay in the processor's cache."""


def philox(key: Words, counter: Words) -> Words:
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


def normals(seed: int | Sequence[int], shape: tuple[int, ...], draw: int = 0) -> NDArray[np.float32]:
    """Standard normal numbers for pictures of a prompt.

    Args:
        seed: the key; several seeds give one row each.
        shape: of the numbers of one seed.
        draw: number of the draw, for pictures that need noise several times.

    Returns:
        float32, [*shape] for one seed and [n, *shape] for several.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    found = rows(seeds, (draw, 0), np.zeros(1, np.int64), math.prod(shape), np.float32, as_normals)
    return found.reshape(shape if isinstance(seed, int) else (len(seeds), *shape))


def as_uniforms(words: Words) -> Doubles:
    """The upper 24 bits of each word as a number in [0, 1), which float32 holds exactly."""
    return (words >> np.uint64(8)).astype(np.float64) * 2.0**-24


def as_normals(words: Words) -> Doubles:
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


def as_words(words: Words) -> Words:
    """The words themselves."""
    return words


def rows(
    seeds: Sequence[int],
    counter: tuple[int, int],
    images: NDArray[np.int64],
    count: int,
    dtype: Any,
    make: Callable[[Words], NDArray[Any]],
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


def _polynomial(coefficients: Sequence[float], x: Doubles) -> Doubles:
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


def _logarithm(x: Doubles) -> Doubles:
    """Natural logarithm of positive normal numbers: x = m 2^e, log m = 2 artanh((m - 1) / (m + 1)) by its series."""
    bits = x.view(np.uint64)
    exponent = (bits >> _MANTISSA_BITS).astype(np.int64) - 1022.0
    mantissa = (bits & ~_EXPONENT | _ONE_HALF).view(np.float64)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, 2 * mantissa, mantissa)
    exponent -= small
    s = (mantissa - 1) / (mantissa + 1)
    value: Doubles = exponent * _LN2 + 2 * s * _polynomial(_SERIES, s * s)
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
