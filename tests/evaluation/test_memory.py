"""Sets of images may be larger than memory: they are only ever converted to floating point in chunks."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.evaluators.colour import ColourJudge
from textvae.evaluation.evaluators.reconstruction import similarity
from textvae.evaluation.metrics import chunks
from textvae.evaluation.metrics.chunks import chunk_rows, mean_of_rows
from textvae.evaluation.metrics.diversity import mean_pairwise_distance, nearest_neighbours
from textvae.evaluation.metrics.image_statistics import image_statistics

IMAGES, SIDE, LIMIT = 400, 24, 2**13
COLOURS = ("red", "blue")


class Largest(TorchDispatchMode):
    """Records the number of elements of the largest floating-point tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                self.elements = max(self.elements, leaf.untyped_storage().size() // leaf.element_size())
        return result


@pytest.fixture
def images(tmp_path, monkeypatch) -> CaptionedImages:
    """Memory-mapped colour images, ten times as many pixels as a chunk may have elements."""
    monkeypatch.setattr(chunks, "MAX_ELEMENTS", LIMIT)
    pixels = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=(IMAGES, 3, SIDE, SIDE))
    pixels[:] = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    captions = [f"a {COLOURS[number % 2]} thing, number {number}" for number in range(IMAGES)]
    rows = torch.arange(IMAGES)
    return CaptionedImages("toys", "train", torch.from_numpy(pixels), captions, torch.stack([rows, rows + 1], dim=1))


MEASURES: dict[str, Callable[[CaptionedImages], object]] = {
    "mean image": lambda some: mean_of_rows(some.images),
    "similarity": lambda some: similarity(some.images, some.images.flip(0)),
    "nearest": lambda some: nearest_neighbours(some.images[:100].flatten(1), some.images.flatten(1)),
    "diversity": lambda some: mean_pairwise_distance(some.images.flatten(1)),
    "statistics": lambda some: image_statistics(some.images),
    "colours": lambda some: ColourJudge.fit(some, COLOURS).report(some.images, some.captions),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_no_more_than_a_chunk_is_converted_at_once(images, name):
    assert images.images.numel() > 10 * LIMIT
    with Largest() as largest:
        MEASURES[name](images)
    # Five statistics of a chunk, one per colour channel and more, are stacked; histograms of all images are few.
    assert LIMIT / 2 < largest.elements <= max(2 * LIMIT, 1.1 * IMAGES * 152)


def test_a_chunk_is_bounded_in_elements_and_in_rows(monkeypatch):
    monkeypatch.setattr(chunks, "MAX_ELEMENTS", 100)
    monkeypatch.setattr(chunks, "MAX_ROWS", 8)
    rows = [chunk_rows(torch.empty(shape)) for shape in ((50, 3), (50, 5, 6), (50, 1000), (0, 4))]
    assert rows == [8, 3, 1, 8]


def test_the_mean_of_8_bit_pixels_is_exact_in_any_chunks(images):
    expected = images.images.numpy().mean(0, dtype=np.float64)
    np.testing.assert_array_equal(mean_of_rows(images.images).numpy(), expected)
