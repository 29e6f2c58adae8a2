import numpy as np
import pytest
import torch

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.evaluators.colour import ColourJudge, judged_colours, named_colours

PAINTS = {"red": (200, 20, 20), "yellow": (220, 210, 30), "blue": (30, 40, 200), "white": (235, 235, 235)}


def blossoms(count: int, seed: int) -> CaptionedImages:
    """A disc of one of four colours, brighter or darker, before noisy leaves; captioned with its colour."""
    random = np.random.default_rng(seed)
    names = [list(PAINTS)[i % len(PAINTS)] for i in range(count)]
    images = np.stack([random.integers(0, 60, (24, 24, 3)) + np.array([20, 90, 20]) for _ in names])
    y, x = np.mgrid[:24, :24] - 11.5
    for image, name in zip(images, names, strict=True):
        image[y**2 + x**2 < 64] = np.array(PAINTS[name]) * random.uniform(0.7, 1.05)
    captions = tuple(f"a flower with {name} petals" for name in names)
    ranges = torch.stack([torch.arange(count), torch.arange(count) + 1], dim=1)
    pixels = torch.from_numpy(images.clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2)
    return CaptionedImages("flowers102-24-sentence", "train", pixels, captions, ranges)


def test_captions_name_a_colour_when_they_name_one():
    captions = [
        "Red petals",
        "petals are red and yellow",
        "a flower",
        "redder than ever",
        "pale lavender, blue",
        "blue.",
    ]
    assert named_colours(captions, ("red", "yellow", "blue")).tolist() == [0, -1, -1, -1, -1, 2]


def test_colours_are_recognised_in_images_it_has_not_seen_and_no_others():
    judge = ColourJudge.fit(blossoms(80, 0), tuple(PAINTS))
    unseen = blossoms(40, 1)
    report = judge.report(unseen.images, unseen.captions)
    assert report is not None
    assert report.accuracy > 0.95
    assert report.count == 40
    assert set(report.by_colour) == set(PAINTS)
    shuffled = judge.report(unseen.images.roll(1, 0), unseen.captions)
    assert shuffled is not None
    assert shuffled.accuracy < 0.05
    assert judge.report(unseen.images, ["a flower"] * 40) is None
    # It looks at the middle: leaves do not make a flower green, nor a border blue.
    framed = unseen.images.clone()
    framed[:, :, :3], framed[:, 2, :3] = 0, 255
    again = judge.report(framed, unseen.captions)
    assert again is not None
    assert again.accuracy > 0.9


def test_a_colour_without_images_can_not_be_calibrated():
    with pytest.raises(ValueError, match="0 images"):
        ColourJudge.fit(blossoms(20, 0), (*PAINTS, "pink"))


def test_only_colours_that_enough_images_show_are_judged():
    assert set(judged_colours("flowers102-24-sentence", blossoms(80, 0))) == {"red", "yellow", "blue", "white"}
    assert set(judged_colours("flowers102-24-sentence", blossoms(78, 0))) == {"red", "yellow"}
    assert judged_colours("flowers102-24-sentence", blossoms(76, 0)) == ()
