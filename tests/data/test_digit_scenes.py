from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textvae import data
from textvae.data.digit_scenes import DIGIT_SCENES, HELD_OUT, SIZES, captions_of, compose, halves, scenes_of
from textvae.data.mnist import MNIST
from textvae.text.scene_grammar import PHRASES, Scene, parse_scene, scene_caption
from textvae.utils.errors import UserError

needs_mnist = pytest.mark.skipif(MNIST.find() is None, reason="MNIST is not here: textvae data fetch mnist")


@given(st.integers(0, 9), st.integers(0, 9), st.sampled_from(list(PHRASES)))
def test_captions_parse_back(first, second, relation):
    scene = Scene(first, second, relation)
    assert parse_scene(scene_caption(scene)) == scene
    assert parse_scene(f"{first} {relation} {second}") == scene


@pytest.mark.parametrize(
    ("caption", "cause"),
    [
        ("the digit three", "does not describe two digits"),
        ("left of nine is three", "does not describe two digits"),
        ("three left nine right two", "does not describe two digits"),
        ("three left of twelve", 'unknown word "twelve"'),
        ("three leftt of nine", 'unknown word "leftt"'),
    ],
)
def test_malformed(caption, cause):
    with pytest.raises(UserError, match=cause):
        parse_scene(caption)


def test_held_out_pairs_are_in_the_test_only():
    seen = {frozenset(scene[:2]) for scene in scenes_of("train")}
    unseen = {frozenset(scene[:2]) for scene in scenes_of("test")}
    assert unseen == HELD_OUT
    assert not seen & unseen
    assert len(HELD_OUT) == 10
    assert all(sum(digit in pair for pair in HELD_OUT) == 2 for digit in range(10))
    every = {scene_caption(Scene(*scene)) for scene in product(range(10), range(10), PHRASES)}
    said = [caption for split in ("train", "test") for scene in scenes_of(split) for caption in captions_of(scene)]
    assert len(said) == 400
    assert set(said) == every


def blobs(generator: torch.Generator) -> torch.Tensor:
    """Ten "digits": digit d is a box d + 5 wide, 20 high, of brightness 25 (d + 1), somewhere in its patch."""
    patches = torch.zeros(10, 28, 28, dtype=torch.uint8)
    for digit in range(10):
        top, left = (int(torch.randint(1, limit, (), generator=generator)) for limit in (8, 23 - digit))
        patches[digit, top : top + 20, left : left + digit + 5] = 25 * (digit + 1)
    return patches


def test_composed_scenes_have_their_digits_in_their_halves():
    scenes = [Scene(*scene) for scene in product(range(10), range(10), PHRASES)]
    digits = blobs(torch.Generator().manual_seed(0))
    images = compose(digits, torch.arange(10), scenes, np.random.default_rng(0))
    assert images.shape == (400, 1, 60, 60)
    firsts, seconds = halves(images, [relation for _, _, relation in scenes])
    for image, (first, second, relation), *cuts in zip(images, scenes, firsts, seconds, strict=True):
        for cut, digit in zip(cuts, (first, second), strict=True):
            rows, columns = cut[0].nonzero().unbind(1)
            assert set(cut.unique().tolist()) == {0, 25 * (digit + 1)}
            assert (int(rows.max() - rows.min()), int(columns.max() - columns.min())) == (19, digit + 4)
            # Centred up to rounding.
            assert abs(rows.double().mean() + 0.5 - 14) <= 0.5
            assert abs(columns.double().mean() + 0.5 - 14) <= 0.5
        line = image[0, :, 29:31] if relation in ("left", "right") else image[0, 29:31]
        assert not line.any()
        assert int((image > 0).sum()) == 20 * (first + second + 10)


def test_halves_of_floats_and_of_nothing():
    images = torch.zeros(2, 1, 60, 60)
    images[0, 0, 20:40, 5:10] = 0.9
    # Faint noise moves no window.
    images[0, 0, :, 28] = 0.1
    first, second = halves(images, ["left", "below"])
    assert first.dtype == torch.float32
    assert first[0, 0, 4:24, 11:17].sum().item() == pytest.approx(0.9 * 100)
    assert not second[1].any()


@needs_mnist
class TestSource:
    @pytest.mark.slow
    def test_splits(self):
        assert isinstance(DIGIT_SCENES, data.Source)
        assert data.source("digit-scenes") is DIGIT_SCENES
        for split in ("val", "test", "test-seen"):
            images = DIGIT_SCENES.load(split)
            assert len(images) == SIZES[split]
            scenes = [parse_scene(caption) for caption in images.captions]
            assert all((frozenset(scene[:2]) in HELD_OUT) == (split == "test") for scene in scenes)
            counts = images.caption_range[:, 0].bincount()[::2]
            assert int(counts.max() - counts.min()) <= 1

    @pytest.mark.slow
    def test_the_same_every_time(self):
        assert DIGIT_SCENES.load("val").fingerprint() == DIGIT_SCENES.load("val").fingerprint()

    @pytest.mark.slow
    def test_cuts_of_real_digits_are_mnist_again(self):
        mnist = MNIST.load("test")
        scenes = [parse_scene(caption) for scene in scenes_of("test-seen") for caption in captions_of(scene)]
        images = compose(mnist.images[:, 0], mnist.labels, scenes, np.random.default_rng(1))
        first, second = halves(images, [relation for _, _, relation in scenes])
        for cuts, place in ((first, 0), (second, 1)):
            wanted = torch.tensor([scene[place] for scene in scenes])
            # Whatever digit was drawn, some test image of that label is the cut, moved by a pixel at most.
            for cut, digit in list(zip(cuts, wanted, strict=True))[::16]:
                real = mnist.images[mnist.labels == digit].flatten(1).int()
                moved = [cut.roll((dy, dx), (1, 2)).flatten().int() for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                assert any((real == candidate).all(1).any() for candidate in moved)
