import json

import pytest
import torch
from helpers.flows import untrained_flow_run
from PIL import Image

from textvae import data
from textvae.evaluation.captioning import caption_bounds, rank_captions
from textvae.evaluation.metrics.likelihood import importance_weighted_bound
from textvae.pipeline import TextToImage
from textvae.priors import FlowPrior
from textvae.utils.errors import UserError
from textvae.utils.pixels import unit_interval
from textvae.utils.random import Draws


@pytest.mark.slow
def test_a_trained_model_reads_what_it_was_shown(tiny_data, tiny_run):
    generator = TextToImage.load(tiny_run)
    test = data.load("fashion-mnist", "test")
    bounds = caption_bounds(generator, test.images, torch.eye(10), samples=4)
    assert bounds.shape == (64, 10)
    assert float((bounds.argmax(1) == test.labels).double().mean()) > 0.8
    ranked = rank_captions(generator, test.images[3], test.captions, samples=4)
    assert ranked[0].caption == test.captions[int(bounds[3].argmax())]
    assert [row.nats for row in ranked] == sorted((row.nats for row in ranked), reverse=True)
    assert sum(row.probability for row in ranked) == pytest.approx(1)
    assert ranked == rank_captions(generator, test.images[3], test.captions, samples=4)


def test_bounds_are_the_model_s_own_with_the_same_noise_for_all(tiny_data, tiny_run):
    generator = TextToImage.load(tiny_run)
    images = tiny_data.images[:5]
    conditions = torch.eye(10)[[2, 7, 2]]
    bounds = caption_bounds(generator, images, conditions, samples=3, seed=9)
    assert bounds[:, 0].equal(bounds[:, 2])
    draws = Draws(9, 0, torch.arange(5), "evaluation")
    pixels = unit_interval(images, generator.device)
    weights = generator.model.log_weights(pixels, conditions[1].expand(5, 10), 3, draws)
    torch.testing.assert_close(bounds[:, 1], importance_weighted_bound(weights.double()))
    with pytest.raises(UserError, match="takes images of shape"):
        caption_bounds(generator, images[:, :, :20], conditions, 1)


@pytest.mark.slow
def test_of_a_flow_captions_are_compared_without_its_integral(tmp_path, monkeypatch):
    generator = TextToImage.load(untrained_flow_run(tmp_path / "run"))
    monkeypatch.setattr(FlowPrior, "log_prob", None)
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    bounds = caption_bounds(generator, images, torch.eye(10)[[2, 7, 2]], samples=2, seed=9)
    assert bounds.isfinite().all()
    assert bounds[:, 0].equal(bounds[:, 2])
    assert not bounds[:, 0].equal(bounds[:, 1])
    ranked = rank_captions(generator, images[0], ["a dress", "a bag"], samples=2)
    assert sum(row.probability for row in ranked) == pytest.approx(1)


def test_the_verb_ranks_the_lines_of_a_file(textvae, tiny_run, tiny_data, tmp_path):
    picture, choices = tmp_path / "coat.png", tmp_path / "choices.txt"
    number = int((tiny_data.labels == 4).nonzero()[0])
    Image.fromarray(tiny_data.images[number, 0].numpy()).save(picture)
    choices.write_text("a sneaker\n\n  a warm coat \na bag\n", encoding="utf-8")
    words = ("caption", tiny_run, picture, "--choices", choices, "--samples", "8")
    code, out, err = textvae(*words)
    assert code == 0, err
    assert out.splitlines()[0].endswith("nats  a warm coat")
    code, out, _ = textvae(*words, "--json")
    ranked = json.loads(out)["captions"]
    assert {row["caption"] for row in ranked} == {"a sneaker", "a warm coat", "a bag"}
    assert ranked[0]["nats"] > ranked[1]["nats"] > ranked[2]["nats"]


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        ("a coat\na spaceship\n", (), "spaceship"),
        ("\n\n", (), "holds no captions"),
        (None, (), "can't be read"),
        ("a coat\n", ("--samples", "0"), "--samples"),
    ],
)
def test_mistakes_are_told(textvae, tiny_run, tmp_path, content, more, said):
    picture, choices = tmp_path / "coat.png", tmp_path / "choices.txt"
    Image.new("L", (28, 28)).save(picture)
    if content is not None:
        choices.write_text(content, encoding="utf-8")
    code, _, err = textvae("caption", tiny_run, picture, "--choices", choices, *more)
    assert code == 2
    assert said in err
