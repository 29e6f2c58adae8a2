import dataclasses

import pytest
import torch
from helpers.toys import TEST, TRAIN, D, Toys, toy, toys

from textvae import data
from textvae.evaluation import evaluate
from textvae.evaluation import judges as judge
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators import likelihood
from textvae.experiment.train import train_recipe
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_grid import ClipGrid
from textvae.recipes import RECIPES
from textvae.recipes.conditions import image_conditions_of, training_conditions
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.errors import UserError
from textvae.utils.random import Draws

__all__ = ["toys"]


def test_every_photograph_recipe_fits_its_own_set():
    photographs = [make() for name, make in RECIPES.items() if name.startswith("clip-")]
    assert len(photographs) == 27
    for found in photographs:
        source, size, encoder = found.data.rsplit("-", 2)
        assert source == "coco-mini"
        assert int(size) == found.model.image_size
        assert found.model.condition_dim == {"sentence": 384, "pair": 128}[encoder]
        assert found.name.startswith(("clip-grid", "clip-mid", "clip-latent", "clip-dual"))
        assert (found.condition_on == "text") == ("image" not in found.name)
    assert resolve("clip-dual-64-image-shifted").condition_on == "shifted-image"
    noised = resolve("clip-dual-64-image-noised")
    assert isinstance(noised.model, ClipDual.Config)
    assert noised.model.condition_noise > 0
    assert resolve("clip-dual-64-image").model.dropout == 0 < resolve("clip-dual-64-image-dropout").model.dropout


def test_images_are_told_by_their_own_embedding(cpu):
    images = Toys("toys").load("train")
    conditions, ranges = training_conditions(images, toy("image"))
    assert conditions.equal(images.image_conditions)
    assert (ranges[:, 1] - ranges[:, 0]).unique().tolist() == [1]
    training = Training(ClipGrid.Config(32, D, 4).build(), images, conditions, TrainerConfig(), cpu, ranges)
    chosen = torch.tensor([5, 0, 17])
    pixels, told = training.rows.gather(chosen, Draws(0, 1, chosen).uniform())
    assert told.equal(images.image_conditions[chosen])
    assert pixels.equal(images.images[chosen] / 255)


def test_captions_are_drawn_where_text_is_told(cpu):
    images = Toys("toys").load("train")
    conditions, ranges = training_conditions(images, toy())
    training = Training(ClipGrid.Config(32, D, 4).build(), images, conditions, TrainerConfig(), cpu, ranges)
    own = images.conditions.view(TRAIN, 2, D)
    every = torch.arange(TRAIN)
    drawn = torch.stack([training.rows.gather(every, Draws(0, step, every).uniform())[1] for step in range(20)])
    which = (drawn[:, :, None] == own).all(3)
    assert which.any(2).all()
    assert which.any(0).all()


def test_shifted_embeddings_lie_where_captions_do():
    images = Toys("toys").load("train")
    shifted, _ = training_conditions(images, toy("shifted-image"))
    torch.testing.assert_close(shifted.mean(0), images.conditions.mean(0))
    moved = shifted - images.image_conditions
    torch.testing.assert_close(moved, moved[:1].expand_as(moved))
    # Test images move as training images do, whatever their own mean is.
    test = Toys("toys").load("test")
    told = image_conditions_of(test, toy("shifted-image"), images)
    torch.testing.assert_close(told - test.image_conditions, moved[: len(test)])
    # Held-out images have no say in the means.
    held_out, _ = training_conditions(images, toy("shifted-image", validation_images=30))
    trained = images.first(TRAIN - 30)
    torch.testing.assert_close(
        held_out[0] - images.image_conditions[0], images.conditions.mean(0) - trained.image_conditions.mean(0)
    )


def test_images_without_embeddings_are_refused():
    with pytest.raises(UserError, match="no embeddings of its images"):
        training_conditions(Toys("toys", images_embedded=False).load("train"), toy("image"))


@pytest.mark.slow
def test_a_run_on_another_set_is_opened_resumed_and_measured_on_it(toys, cpu, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(likelihood, "RETRIEVED", 8)
    monkeypatch.setattr(judge, "JUDGES", {})
    monkeypatch.setattr("textvae.evaluation.evaluators.word_sensitivity.LEAST_IMAGES", 5)
    chosen = resolve(lambda: toy("image"), data="others-32-sentence")
    monkeypatch.setitem(RECIPES, "toy", lambda: toy("image"))
    assert train_recipe(chosen, tmp_path / "run", cpu)
    run = open_run(tmp_path / "run")
    assert run.recipe.data == "others-32-sentence"
    assert train_recipe(dataclasses.replace(run.recipe), tmp_path / "run", cpu)
    found = evaluate_run(run, cpu.device, TEST, importance_samples=2, seed=0).to_dict()
    assert found["likelihood"]["retrieval_choices"] == 8
    assert 0 <= found["likelihood"]["retrieval_precision"] <= 1
    words = found["generation"]["word_sensitivity"]["words"]
    assert set(words) == {"red", "blue"}
    assert words["red"]["real"] * words["blue"]["real"] != 0
    # The reconstruction is told what training told: the image's own embedding.
    test = data.load("others-32-sentence", "test")
    model = run.load_model()
    from textvae.utils.pixels import to_uint8

    again = to_uint8(model.reconstruct(test.images / 255, test.image_conditions)).double() / 255
    expected = (again - test.images.double() / 255).square().flatten(1).sum(1).mean()
    assert found["reconstruction"]["mse_sum"] == pytest.approx(float(expected), rel=1e-3)
