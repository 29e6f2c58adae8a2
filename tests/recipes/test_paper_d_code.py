"""The recipes of paper d's program."""

import pytest

from textvae import data
from textvae.data.mnist import MNIST
from textvae.recipes.resolve import resolve

FAMILIES = ("label", "sentence", "logic", "arithmetic")


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_are_the_program_s(family):
    chosen = resolve(f"caption-rnn-{family}-code")
    trainer = chosen.trainer
    assert (trainer.batch_size, trainer.learning_rate, trainer.optimizer) == (128, 1e-3, "adam")
    assert (trainer.patience, trainer.monitor) == (10, "reconstruction")
    assert (chosen.model.hidden, chosen.model.latent_dim, chosen.model.decoder_hidden) == (30, 100, 500)
    assert chosen.model.num_tokens == chosen.text.num_tokens
    assert chosen.published == {}
    bits = chosen.model.build().reader.embedding.weight.shape[1]
    assert bits == (6 if family == "sentence" else 5)


@pytest.mark.slow
@pytest.mark.skipif(MNIST.find() is None, reason="MNIST is not here: textvae data fetch mnist")
def test_it_trains_on_all_training_images_and_stops_on_the_test_images():
    chosen = resolve("caption-rnn-arithmetic-code")
    train, val = (data.load(chosen.data, split) for split in ("train", "val"))
    assert train.images.equal(MNIST.load("train").images)
    assert val.images.equal(MNIST.load("test").images)
    assert chosen.trainer.validation_images == len(val)
    assert train.captions == data.load("digits-arithmetic", "train").captions
    assert len(train.captions) == 127
