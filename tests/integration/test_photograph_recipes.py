import dataclasses
import statistics

import pytest
import torch
from helpers.declared import declare
from helpers.toys import TEST, TRAIN, D, Toys, toy, toys

from textvae import data
from textvae.evaluation import evaluate
from textvae.evaluation import judges as judge
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators import likelihood
from textvae.experiment.train import train_recipe
from textvae.models.clip_dual import ClipDual
from textvae.models.clip_grid import ClipGrid
from textvae.papers import reproduce
from textvae.papers import tables as report
from textvae.recipes import RECIPES
from textvae.recipes.conditions import image_conditions_of, training_conditions
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.errors import UserError

__all__ = ["toys"]


def test_every_photograph_recipe_fits_its_own_set():
    photographs = [make() for name, make in RECIPES.items() if name.startswith("clip-")]
    assert len(photographs) == 22
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
    pixels, told = training._gather(chosen)
    assert told.equal(images.image_conditions[chosen])
    assert pixels.equal(images.images[chosen] / 255)


def test_captions_are_drawn_where_text_is_told(cpu):
    images = Toys("toys").load("train")
    conditions, ranges = training_conditions(images, toy())
    training = Training(ClipGrid.Config(32, D, 4).build(), images, conditions, TrainerConfig(), cpu, ranges)
    own = images.conditions.view(TRAIN, 2, D)
    drawn = torch.stack([training._gather(torch.arange(TRAIN))[1] for _ in range(20)])
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
    from textvae.utils.images import to_uint8

    again = to_uint8(model.reconstruct(test.images / 255, test.image_conditions)).double() / 255
    expected = (again - test.images.double() / 255).square().flatten(1).sum(1).mean()
    assert found["reconstruction"]["mse_sum"] == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.slow
def test_rows_are_trained_measured_drawn_and_reported(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "PHOTOGRAPH_NETS", ())
    monkeypatch.setattr(judge, "JUDGES", {})
    monkeypatch.setattr("textvae.evaluation.evaluators.word_sensitivity.LEAST_IMAGES", 5)
    name = "clip-dual-64-toy"
    mine = dataclasses.replace(
        toy("image", validation_images=8, patience=2), name=name, published={"training.best_validation_loss": 2376.0}
    )
    monkeypatch.setitem(RECIPES, name, lambda: mine)
    row = reproduce.Row(name, name, {"latent_dim": 2}, {"epochs": 1}, importance_samples=2, paper="a thousand epochs")
    monkeypatch.setitem(reproduce.PAPERS, "c", reproduce._seeds(row, 1))
    found = reproduce.reproduce_paper("c", tmp_path / "runs", reproduce.Places.under(tmp_path / "results"), 10_000)
    metrics = found["rows"][name]
    # All that the test set has, and what was told in the row.
    assert metrics["protocol"]["num_samples"] == TEST
    assert metrics["likelihood"]["latent_dimensions"] == 2
    assert metrics["training"]["epochs"] == 1
    assert metrics["protocol"]["importance_samples"] == 2
    assert f"1 epochs of {TRAIN - 8} images (paper: a thousand epochs)" in found["table"]
    # The other seed is another training, has its numbers and no pictures, and the spread is told.
    errors = [found["rows"][own]["reconstruction"]["mse_sum"] for own in (name, f"{name}-seed1")]
    assert errors[0] != errors[1]
    spread = f"{statistics.mean(errors):.1f} ± {report.cells.number(statistics.stdev(errors))}"
    assert f"| `{name}` | 2 | {spread} |" in found["table"]
    assert f"{name}-seed1.png" not in found["table"]
    best = metrics["training"]["best_validation_loss"]
    assert f"| `{name}` | 2376.0 \\| {best:.1f} |" in found["table"]
    for picture in (f"{name}.png", "paper-c-loss-curves-64.png"):
        assert (tmp_path / "results" / "figures" / picture).is_file()
        assert picture in found["table"]
    # Other people's photographs stay out of what a repository holds.
    assert (tmp_path / "runs" / name / "reconstructions.png").is_file()
    assert not list((tmp_path / "results").rglob("*reconstructions.png"))


@pytest.mark.parametrize("paper", ["a", "b", "c"])
def test_every_row_of_the_papers_can_be_built(paper):
    rows = reproduce.PAPERS[paper]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        settings = row.settings()
        assert {"epochs", "latent_dim", "seed"} >= {*row.trainer, *row.model} - {"likelihood"}
        # Whatever does less than its paper says so.
        assert bool(row.paper) == row.recipe.startswith("clip-")
        if "-seed" in row.name:
            assert settings.trainer.seed == int(row.name[-1]) != 0
            alone = next(other for other in rows if other.name == row.name[: -len("-seed1")]).settings()
            assert settings == dataclasses.replace(
                alone, trainer=dataclasses.replace(alone.trainer, seed=settings.trainer.seed)
            )
        for number in (n for n in row.name.split("-") if n.isdecimal() and int(n) >= 256):
            assert int(number) in (settings.model.latent_dim, settings.model.image_size, settings.trainer.epochs)
    if paper == "a":
        latents = [row.settings().model.latent_dim for row in rows if "latent" in row.name]
        assert sorted({*latents}) == [256, 512, 1024]
        assert [row.settings().trainer.epochs for row in rows if "epochs" in row.name] == [5, 30]
    # What is compared has seen as many images.
    same = {row.settings().trainer.epochs for row in rows if row.name.startswith(("clip-grid-64", "clip-latent-64"))}
    assert same <= {reproduce.PASSES, 5, 30}


def test_flows_are_compared_on_the_same_photographs_with_prompts_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    for source in ("flowers102", "products"):
        declare(f"{source}-64-sentence", source, 64, "sentence")
    settings = {row.name: row.settings() for row in reproduce.PAPERS["flow"]}
    assert len(settings) == len(reproduce.PAPERS["flow"])
    for source, flow in (("flowers102", "flowers"), ("products", "products")):
        ours = settings[f"latent-flow-{flow}"]
        theirs = [own for name, own in settings.items() if name.startswith(f"{source}-")]
        assert len(theirs) == 4
        for paper in theirs:
            assert paper.data == f"{source}-64-sentence"
            assert ours.data == f"{source}-64-words"
            assert paper.prompts == ours.prompts
    assert settings["latent-flow-flowers"].prompts != settings["latent-flow-products"].prompts


def test_a_row_may_take_a_preset_of_its_recipe():
    plain, tiny = (reproduce.Row("row", "latent-flow-fashion", preset=name).settings() for name in ("", "tiny"))
    assert tiny.trainer == resolve("latent-flow-fashion").presets["tiny"]["trainer"]
    assert tiny.flow.trainer.epochs < plain.flow.trainer.epochs
