import hashlib

import numpy as np
import pytest
import torch

from textvae.utils.philox import as_normals, as_uniforms, philox
from textvae.utils.random import Draws, normals


def words(*hexadecimal: str) -> np.ndarray:
    return np.array([[int(word, 16)] for word in hexadecimal], np.uint64)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        (["0"] * 2, ["0"] * 4, ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]),
        (["ffffffff"] * 2, ["ffffffff"] * 4, ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]),
        (
            ["a4093822", "299f31d0"],
            ["243f6a88", "85a308d3", "13198a2e", "03707344"],
            ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
        ),
    ],
)
def test_philox_gives_the_published_vectors_of_random123(key, counter, expected):
    assert (philox(words(*key), words(*counter)) == words(*expected)).all()


def test_a_million_normals_have_the_bits_that_a_browser_draws():
    # The hash was computed by an implementation in JavaScript (V8) as well.
    drawn = normals(12345, (2**20,))
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16] == "a4acecd631b7bc25"
    assert abs(drawn.mean()) < 3e-3
    assert abs(drawn.std() - 1) < 2e-3
    assert abs((drawn**3).mean()) < 1e-2
    assert abs((drawn**4).mean() - 3) < 3e-2


def test_the_whole_range_of_words_gives_finite_numbers():
    extremes = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint64)
    found = as_normals(extremes)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert np.allclose(found, -found[::-1], rtol=1e-9, atol=0)
    assert -6.34 < found[0] < -6.33
    uniform = as_uniforms(extremes).astype(np.float32)
    assert uniform[0] == 0
    assert uniform[-1] < 1


def test_normals_invert_the_normal_distribution():
    spread = np.linspace(1, 2**32 - 2, 10_001).astype(np.uint64)
    probability = torch.special.ndtr(torch.from_numpy(as_normals(spread)))
    assert torch.allclose(probability, torch.from_numpy((spread + 0.5) / 2**32), rtol=1e-12, atol=0)


def test_each_seed_and_each_draw_has_numbers_of_its_own():
    several = normals([3, 2**40 + 3, 4], (2, 5, 7))
    assert several.shape == (3, 2, 5, 7)
    assert several.dtype == torch.float32
    assert several[0].equal(normals(3, (2, 5, 7)))
    assert several[1].equal(normals(2**40 + 3, (2, 5, 7)))
    assert not several[0].equal(several[1])
    assert not several[0].equal(several[2])
    assert not several[0].equal(normals(3, (2, 5, 7), draw=1))
    # Of more numbers the first are the same, over the bounds of what is computed together as well.
    assert normals(3, (40_000,))[:70].equal(several[0].flatten())
    assert normals(range(1000), (70,))[[3, 4]].equal(several[[0, 2]].flatten(1))


def test_an_image_gets_the_same_numbers_in_any_batch():
    def drawn(images, step=7, seed=1, purpose="training"):
        draws = Draws(seed, step, torch.tensor(images), purpose)
        return draws.normal(2, 3), draws.uniform(), draws.integers(5, 4), draws.normal(2, 3)

    whole, part = drawn([4, 9, 2, 11]), drawn([2, 4])
    for together, apart in zip(whole, part, strict=True):
        assert together[[2, 0]].equal(apart)
        assert len(together) == 4
    assert whole[1].shape == (4,)
    assert whole[2].min() >= 0
    assert whole[2].max() < 5
    assert not whole[0].equal(whole[3])
    for other in (drawn([2, 4], step=8), drawn([2, 4], seed=2), drawn([2, 4], purpose="validation"), drawn([4, 2])):
        assert not part[0].equal(other[0])


def test_draws_of_some_images_are_theirs_and_may_be_left_unused():
    draws, same = (Draws(0, 0, torch.arange(6)) for _ in range(2))
    some = torch.tensor([True, False, True, True, False, False])
    part, whole = draws.of(some), same.of(some | True)
    first, second = part.normal(3), part.normal(3)
    assert first.equal(whole.normal(3)[some])
    assert not first.equal(second)
    after = draws.normal(3)
    assert after.equal(same.normal(3))
    assert not after[some].equal(first)
    assert draws.of(some & ~some).normal(3).shape == (0, 3)


def test_draws_are_uniform():
    drawn = Draws(0, 0, torch.arange(500)).uniform(400)
    assert abs(drawn.mean() - 0.5) < 2e-3
    assert abs(drawn.var() - 1 / 12) < 1e-3
    counts = Draws(0, 1, torch.arange(500)).integers(5, 400).flatten().bincount()
    assert len(counts) == 5
    assert (counts - 40_000).abs().max() < 1000
