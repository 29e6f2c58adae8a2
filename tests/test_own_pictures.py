"""From a folder of pictures to a model, by one command or one call."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.photos import encoded, picture
from helpers.pictures import folder_of_pictures
from PIL import Image

import textvae as library
from textvae import data, own_pictures
from textvae.evaluation import fitted_judge as fitted
from textvae.evaluation.evaluators import colour, word_sensitivity
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.experiment import minutes as measuring
from textvae.export.model import export
from textvae.models.with_flow import WithFlow
from textvae.own_pictures import is_pictures, look_at, recipe_for, run_folder
from textvae.pretrained import efficientnet
from textvae.recipes import RECIPES
from textvae.runs.card import card_of
from textvae.runs.files import CARD, CONFIG, METRICS, MODEL, SAMPLES
from textvae.runs.run import open_run, read_history
from textvae.utils.errors import UserError
from textvae.utils.files import write_json

RECIPES_PHOTOS = RECIPES["latent-flow-photos"]


@pytest.fixture
def tiny_photos(tiny_data, monkeypatch, tmp_path) -> None:
    """The recipe, made tiny; a cache of the test's own; every step takes a tenth of a second of the minutes."""
    tiny.pictures_in_this_process(monkeypatch.setitem)
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fitted, "STEPS", 1)
    monkeypatch.setattr(measuring, "_seconds_a_step", lambda training: (next(training.steps()), 0.1)[1])


@pytest.mark.slow
def test_a_folder_becomes_a_model_by_one_command(tiny_photos, textvae, tmp_path, monkeypatch):
    monkeypatch.setattr(word_sensitivity, "LEAST_IMAGES", 5)
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    folder_of_pictures(tmp_path / "boats", 60)
    code, out, err = textvae("train", "boats", "--watch", "--minutes", "0.02", "--precision", "fp32", "--threads", "1")
    assert code == 0, err
    assert "watch the training: http://127.0.0.1:" in err
    run = Path("runs/boats")
    assert {CONFIG, MODEL, METRICS, CARD, SAMPLES} <= {path.name for path in run.iterdir()}
    assert "60" in err
    assert err.count("54 train") == 1
    assert err.count("unknown words ignored") == 1, "each held-out picture's number, once for all measures"
    assert "what to expect" in err
    assert "increase --minutes" in err
    metrics = json.loads((run / METRICS).read_text())
    assert metrics["protocol"]["num_samples"] == 6
    assert {"mse_sum", "ssim"} <= metrics["reconstruction"].keys()
    assert metrics["generation"]["nearest_training_image"].keys() == {"samples", "real_test"}
    assert "textvae train boats --minutes 0.02 --size 64" in (run / CARD).read_text()
    # The last line is a command that draws.
    command = out.splitlines()[-1].removeprefix("draw: ")
    assert textvae(*shlex.split(command)[1:], "--out", tmp_path / "drawn.png")[0] == 0
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.width >= 64
    # The same command finds all of it done.
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    code, again, _ = textvae("train", "boats", "--minutes", "0.02", "--precision", "fp32", "--threads", "1")
    assert (code, again) == (0, out)
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
    # Held-out pictures of which one was replaced are measured anew.
    monkeypatch.setattr(own_pictures, "NETS", ())
    stale = json.loads((run / METRICS).read_text())
    fingerprint, stale["protocol"]["fingerprints"]["data"] = stale["protocol"]["fingerprints"]["data"], "0"
    write_json(run / METRICS, stale)
    assert textvae("train", "boats", "--minutes", "0.02", "--precision", "fp32", "--threads", "1")[0] == 0
    assert json.loads((run / METRICS).read_text())["protocol"]["fingerprints"]["data"] == fingerprint
    code, _, err = textvae("generate", "runs/boat", "a red block")
    assert (code, "did you mean 'runs/boats'" in err) == (2, True)


@pytest.mark.slow
def test_a_call_returns_a_model_that_draws(tiny_photos, tmp_path, monkeypatch):
    monkeypatch.setattr(own_pictures, "NETS", ())
    folder = folder_of_pictures(tmp_path / "boats", 55)
    flow = {"trainer": {"seed": 3}}
    model = library.train(folder, minutes=0.01, flow=flow, precision="fp32", threads=1)
    assert isinstance(model.load_model(), WithFlow)
    command = f"textvae train {folder} --minutes 0.01 --size 64 --flow.trainer.seed 3 --precision fp32"
    assert command in (model.path / CARD).read_text()
    pictures = model("a red block", num_images=2)
    assert [picture.size for picture in pictures] == [(64, 64)] * 2
    assert pictures[0].tobytes() == library.TextToImage.load(model)("a red block", num_images=2)[0].tobytes()
    with pytest.raises(UserError, match="take no"):
        library.train(folder, data="fashion-mnist")
    with pytest.raises(UserError, match="no folder"):
        library.train(tmp_path / "nowhere")


def test_what_is_taken_for_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boats").mkdir()
    (tmp_path / "label-conv").mkdir()
    assert is_pictures("boats")
    assert is_pictures("hf://datasets/someone/boats")
    assert not is_pictures("label-conv"), "a recipe keeps its name"
    assert not is_pictures("nowhere")
    assert run_folder("hf://datasets/someone/boats", "a") == run_folder("boats", "b") == Path("runs/boats")
    write_json(Path("runs/boats/config.json"), {"recipe": "latent-flow-photos", "data": {"name": "boats-64-words"}})
    assert run_folder("boats", "boats-64-words") == Path("runs/boats")
    assert run_folder(tmp_path / "boats", "boats-2-64-words") == Path("runs/boats-2"), "pictures from elsewhere"
    assert is_pictures(["boats", "nowhere"]), "a list is never a recipe"
    assert run_folder(["boats", tmp_path / "label-conv"], "a") == Path("runs/boats+label-conv")
    many = [tmp_path / f"{number:02d}{'x' * 40}" for number in range(10)]
    for folder in many:
        folder.mkdir()
    assert run_folder(many, "a") == Path(f"runs/{many[0].name}+9-more")
    with pytest.raises(UserError, match="no folder"):
        look_at(["boats", "nowhere"])
    with pytest.raises(UserError, match="no photographs"):
        look_at([])


@pytest.mark.slow
def test_several_folders_become_one_model(tiny_photos, textvae, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(own_pictures, "NETS", ())
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    datasets.disable_progress_bars()
    folder_of_pictures(tmp_path / "boats", 40)
    folder_of_pictures(tmp_path / "elsewhere" / "boats", 20, first=40)
    # A folder OWNER/NAME is to the datasets library what a data set of the hub is.
    images = [{"bytes": encoded(picture(n)), "path": f"{n}.jpg"} for n in range(60, 80)]
    table = datasets.Dataset.from_dict({"image": images, "text": [f"a kite, picture {n}" for n in range(60, 80)]})
    table.cast_column("image", datasets.Image()).to_parquet(tmp_path / "owner" / "kites" / "train.parquet")
    places = ("boats", "elsewhere/boats", "hf://datasets/owner/kites")
    code, _, err = textvae("train", *places, "--minutes", "0.01", "--precision", "fp32", "--threads", "1")
    assert code == 0, err
    run = open_run("runs/boats+boats+kites")
    assert run.recipe.data == "boats+boats-2+owner-kites-64-words"
    assert "80 images (72 train, 8 test)" in err
    assert f"textvae train {' '.join(places)} --minutes 0.01" in (run.path / CARD).read_text()
    assert {"kite", "red"} <= set(run.recipe.text.words)
    # Its prompts are captions of these pictures; an export and a card for the hub need some.
    captions = data.load(run.recipe.data, "train").captions
    assert len(run.recipe.prompts) > 1
    assert set(run.recipe.prompts) <= set(captions)
    assert export(run, tmp_path / "exported")["prompts"] == list(run.recipe.prompts)
    assert f"textvae generate hf://me/boats {shlex.quote(run.recipe.prompts[0])}" in card_of(run, "hf://me/boats")
    # In Python it is the same run, which is found complete.
    again = library.train(list(places), minutes=0.01, precision="fp32", threads=1)
    assert again.path == run.path


def test_too_few_pictures_and_other_sizes_are_refused(tiny_photos, tmp_path):
    folder = folder_of_pictures(tmp_path / "few", 12)
    (tmp_path / "unseen").mkdir()
    with pytest.raises(UserError, match="12 usable pictures"):
        look_at(folder)
    with pytest.raises(UserError, match="96 pixels"):
        look_at(folder, 96)
    with pytest.raises(UserError, match="-1 minutes"):
        library.train(tmp_path / "unseen", minutes=-1.0)


def test_settings_that_pictures_do_not_take_are_refused_before_they_are_looked_at(tiny_photos, tmp_path):
    (tmp_path / "unseen").mkdir()
    for epochs in ({"trainer": {"epochs": 3}}, {"flow": {"trainer": {"epochs": 3}}}):
        with pytest.raises(UserError, match="minutes choose the numbers of epochs"):
            library.train(tmp_path / "unseen", **epochs)
    with pytest.raises(UserError, match="sample_every"):
        library.train(tmp_path / "unseen", sample_every=5)


@pytest.mark.slow
def test_the_recipe_fits_the_pictures(tiny_photos, tmp_path, monkeypatch, capsys):
    found = look_at(folder_of_pictures(tmp_path / "boats", 60), 128)
    assert (found.images, found.skipped) == ({"train": 54, "test": 6}, {})
    assert found.sheet.is_file()
    monkeypatch.setitem(RECIPES, "latent-flow-photos", RECIPES_PHOTOS)
    recipe = recipe_for(found, 128)
    assert recipe.model.image_shape == (3, 128, 128)
    assert recipe.model.build().prior.latent_shape == (8, 16, 16)
    # Of few captions, a word that occurs once is learned; captions of five words are read whole.
    assert (recipe.text.least, recipe.text.length) == (1, 5)
    assert recipe_for(found, 128, {"model": {"beta": 1.0}}).model.beta == 1.0
    assert recipe.model.perceptual > 0
    monkeypatch.setattr(efficientnet, "weights_path", lambda: None)
    assert recipe_for(found, 128).model.perceptual == 0
    assert "less sharp" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "latents"), [("64", (16, 8, 8)), ("128", (8, 16, 16)), ("256", (8, 16, 16))])
def test_every_size_has_the_latents_that_the_recipe_says(size, latents):
    recipe = RECIPES_PHOTOS()
    config = recipe.model if size == "64" else recipe.presets[size]["model"]
    model = config.build()
    assert model.prior.latent_shape == latents
    images = torch.rand(1, 3, int(size), int(size))
    assert model.reconstruct(images, torch.zeros(1, 4)).shape == images.shape


@pytest.mark.slow
def test_a_judge_that_is_fitted_tells_captions_apart(monkeypatch):
    monkeypatch.setattr(fitted, "STEPS", 1)
    colours = ["red", "green", "blue", "yellow"]
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(200) % 4
    features = torch.randn(200, 32, generator=generator) + 3 * torch.eye(4, 32)[kinds]
    captions = [f"a {colours[kind]} block number {number}" for number, kind in enumerate(kinds.tolist())]
    rows = torch.arange(200)
    train = data.CaptionedImages(
        "blocks",
        "train",
        torch.zeros(200, 3, 8, 8, dtype=torch.uint8),
        tuple(captions),
        torch.stack([rows, rows + 1], 1),
    )
    judge = fitted.fitted_judge(train, features)
    fresh = torch.randn(4, 32, generator=generator) + 3 * torch.eye(4, 32)
    texts = [f"a {colour} block" for colour in colours]
    assert retrieval_precision(judge.embed_images(fresh), judge.embed_captions(texts), texts) == 1.0
    assert "200 training images" in judge.name


@pytest.mark.slow
def test_colours_that_captions_name_often_are_judged(tiny_photos, tmp_path):
    found = look_at(folder_of_pictures(tmp_path / "boats", 120))
    train = found.train
    judged = colour.judged_colours(train.name, train)
    assert set(judged) <= {"red", "green", "blue", "white"}
    assert len(judged) >= 2


@pytest.mark.slow
def test_a_model_to_start_from_keeps_its_first_stage_and_learns_new_words(tiny_photos, textvae, tmp_path, monkeypatch):
    monkeypatch.setattr(own_pictures, "NETS", ())
    how = ("--minutes", "0.01", "--precision", "fp32", "--threads", "1")
    folder_of_pictures(tmp_path / "boats", 60)
    others = folder_of_pictures(tmp_path / "others", 64)
    file = others / "metadata.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("block", "sail"), encoding="utf-8")
    assert textvae("train", "boats", *how)[0] == 0
    code, _, err = textvae("train", "others", *how, "--from", "runs/boats", "--out", "sails")
    assert code == 0, err
    first, second = open_run("runs/boats"), open_run("sails")
    before, after = first.load_model(), second.load_model()
    assert all(value.equal(before.vae.state_dict()[name]) for name, value in after.vae.state_dict().items())
    known = first.recipe.text.words
    assert second.recipe.text.words[: len(known)] == known
    assert "sail" in second.recipe.text.words[len(known) :]
    assert second.recipe.flow.model.size == len(second.recipe.text.words) + 1
    assert {row["stage"] for row in read_history(Path("sails"))} == {"flow"}
    # Its flow began with the other's weights, and went on from there.
    old, new = (model.prior.features.embedding.weight[1 : len(known) + 1] for model in (before, after))
    assert 0 < (old - new).abs().max() < 0.5
    assert "--from runs/boats" in (Path("sails") / CARD).read_text()
    # So does the training of a recipe, whose card names the folder too.
    recipe = ("latent-flow-photos", "--data", second.recipe.data, *how[2:], "--out", "again")
    assert textvae("train", *recipe, "--from", "runs/boats")[0] == 0
    assert "--from runs/boats" in (Path("again") / CARD).read_text()
    assert textvae("train", *recipe, "--from", tmp_path / "runs/boats")[0] == 0  # the same model: trained already
    # What is set for the flow counts, but not the size of its network, which the weights have.
    asked = (
        "--flow.model.prior.guidance-input",
        "5.0",
        "--flow.guidance-epochs",
        "1",
        "--flow.model.prior.steps",
        "3",
        "--out",
        "reads",
    )
    assert textvae("train", *recipe[:-2], *asked, "--from", "runs/boats")[0] == 0
    prior = open_run("reads").recipe.flow.model.prior
    assert (prior.guidance_input, prior.steps, prior.width) == (5.0, 3, first.recipe.flow.model.prior.width)
    # Starting from a model that reads the guidance scale: the recipe decides whether the new one learns that too.
    code, _, err = textvae("train", *recipe[:-2], "--from", "reads", "--out", "two")
    assert code == 0, err
    assert open_run("two").recipe.flow.model.prior.guidance_input == 0
    code, _, err = textvae(
        "train", *recipe[:-2], "--flow.model.prior.width", "64", "--from", "runs/boats", "--out", "w"
    )
    assert code == 2
    assert "keeps its width" in err
    # It resumes as it was begun only.
    assert textvae("train", "others", *how, "--from", "runs/boats", "--out", "sails")[0] == 0
    code, _, err = textvae("train", "others", *how, "--out", "sails")
    assert code == 2
    assert "started from" in err
    code, _, err = textvae("train", "others", *how, "--from", "fashion", "--out", "more")
    assert code == 2
    assert "learned words" in err
