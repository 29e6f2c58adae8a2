"""Names of rows and of what they were measured on."""

import pytest

from textvae.papers.stored import images_of


@pytest.mark.parametrize(
    ("data", "images"),
    [
        ("coco-mini-64-sentence", "coco-mini-64"),
        ("scenes-nature-64-pair", "scenes-nature-64"),
        ("scenes-64-sentence-sqrt", "scenes-64"),
        ("coco-0.1-224-clip-raw", "coco-0.1-224"),
        ("flowers102-64-sentence-tokens", "flowers102-64"),
        ("sprouts", "sprouts"),
    ],
)
def test_images_are_named_without_the_encoding_of_their_captions(data, images):
    assert images_of({"protocol": {"data": data}}) == images
