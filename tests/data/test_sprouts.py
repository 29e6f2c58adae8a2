import hashlib
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.few_sprouts import draw_few, needs_packages

from textvae import data
from textvae.data import sprouts
from textvae.data.sprouts import CAPTIONS, FACES, HELD_OUT, PARTS, SIZES, SPROUTS, is_held_out, pictures_of, renderer
from textvae.text.sprout_grammar import ATTRIBUTES, parse_sprout
from textvae.utils.errors import UserError


@pytest.fixture
def few(monkeypatch, tmp_path) -> None:
    draw_few(monkeypatch, tmp_path, 5)


@pytest.mark.slow
def test_held_out_pairs_are_in_every_picture_of_the_test_and_in_no_other(monkeypatch):
    assert len(HELD_OUT) == 2 * len(ATTRIBUTES["plant"])
    # The first pictures of each split.
    monkeypatch.setattr(sprouts, "SIZES", dict.fromkeys(SIZES, 300) | {"train": 1000})
    shown: Counter[tuple[str, str]] = Counter()
    for split, size in sprouts.SIZES.items():
        pictures = pictures_of(split)
        assert len(pictures) == size
        for picture in pictures:
            assert is_held_out(picture.sprout) == (split == "test")
            first, *others = map(parse_sprout, picture.captions)
            assert first == picture.sprout
            for named in others:
                assert all(value in (None, true) for value, true in zip(named, picture.sprout, strict=True))
        if split == "train":
            for picture in pictures:
                shown.update((name, value) for name, value in picture.sprout._asdict().items() if value)
    # Each value alone is frequent in training.
    assert min(shown[name, value] for name, values in ATTRIBUTES.items() for value in values) > 20


def test_every_value_has_parts_of_the_style_and_none_is_shared():
    for name, parts in PARTS.items():
        assert set(parts) <= set(ATTRIBUTES[name])
        used = [part for value in ATTRIBUTES[name] for part in parts.get(value, (value,))]
        assert len(used) == len(set(used))
    assert set(FACES) == set(ATTRIBUTES["expression"])


@needs_packages
@pytest.mark.slow
def test_pictures_are_drawn_once_and_in_any_order_the_same(few, capsys):
    assert SPROUTS.find() is None
    images = data.load("sprouts", "test")
    assert "another version" in capsys.readouterr().err  # these few are not the published pictures
    assert images.image_shape == (3, 64, 64)
    assert images.images.dtype is torch.uint8
    assert len(images) == 5
    assert images.caption_range.tolist() == [[CAPTIONS * n, CAPTIONS * (n + 1)] for n in range(5)]
    folder = SPROUTS.find()
    assert folder is not None
    # What was interrupted goes on: a part that is missing is drawn again, the same; the others are kept.
    kept = (folder / "test-00.npz").stat().st_mtime_ns
    (folder / "test-01.npz").unlink()
    again = data.load("sprouts", "test")
    assert torch.equal(again.images, images.images)
    assert again.fingerprint() == images.fingerprint()
    assert (folder / "test-00.npz").stat().st_mtime_ns == kept
    (folder / "test-00.npz").write_bytes(b"no pictures")
    with pytest.raises(UserError, match="damaged"):
        data.load("sprouts", "test")


@pytest.mark.slow
@needs_packages
def test_a_picture_shows_its_colours(few):
    draw = renderer()
    for picture in pictures_of("val"):
        pixels = draw(picture.options)
        assert pixels.shape == (64, 64, 3)
        wall = tuple(bytes.fromhex(picture.options["backgroundColor"][0][1:]))
        assert tuple(pixels[2, 2]) == wall
        pot = np.array(tuple(bytes.fromhex(picture.options["potColor"][0][1:])))
        assert np.abs(pixels[44:64, 20:44].astype(int) - pot).sum(-1).min() < 12


def test_without_the_packages(few, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(UserError, match="resvg_py"):
        SPROUTS.fetch()


@pytest.mark.skipif(SPROUTS.find() is None, reason="sprouts are not here: textvae data fetch sprouts")
@pytest.mark.slow
def test_the_pixels_are_the_published_ones():
    images = SPROUTS.load("test-seen").images
    assert hashlib.sha256(images.numpy().tobytes()).hexdigest() == sprouts.PIXELS["test-seen"]
