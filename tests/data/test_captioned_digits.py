import pytest
import torch

from textvae import data
from textvae.data.captioned_digits import CAPTIONED_DIGITS
from textvae.data.mnist import MNIST
from textvae.text.digit_grammar import digit_of

pytestmark = pytest.mark.skipif(MNIST.find() is None, reason="MNIST is not here: textvae data fetch mnist")


@pytest.mark.slow
@pytest.mark.parametrize("source", CAPTIONED_DIGITS, ids=lambda source: source.name)
def test_every_image_has_exactly_the_captions_that_mean_it(source):
    assert isinstance(source, data.Source)
    assert data.source(source.name) is source
    for split in source.splits:
        images = source.load(split)
        meaning = torch.tensor([digit_of(caption) for caption in images.captions])
        for digit in range(10):
            start, stop = images.caption_range[images.labels == digit].unique(dim=0)[0].tolist()
            assert (meaning[start:stop] == digit).all()
            assert stop - start == int((meaning == digit).sum())


@pytest.mark.slow
def test_images_are_mnist_divided():
    source = data.source("digits-arithmetic")
    train, val, test = (source.load(split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (55_000, 5_000, 10_000)
    assert torch.cat([train.images, val.images]).equal(MNIST.load("train").images)
    assert test.images.equal(MNIST.load("test").images)
    assert test.images.equal(source.load("test-beyond").images)
    assert train.split == "train"
    assert train.name == "digits-arithmetic"
