"""Model cards: metadata of the hub, the command, what is said only where it is known."""

import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from torch import nn

from textvae import Recipe, TrainerConfig
from textvae.data.prepared import conventional_contents
from textvae.models.base import Trainable
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.runs.card import card_of, training_command
from textvae.runs.files import CARD, CONFIG, METRICS
from textvae.runs.find import shipped_models
from textvae.runs.run import LIMIT, START, open_run, write_config
from textvae.runs.ship import ship
from textvae.text.labels import FASHION
from textvae.utils.config import to_dict

REWRITE = (
    "from textvae.runs.card import write_card; from textvae.runs.find import shipped_models; "
    "from textvae.runs.run import open_run; "
    "[write_card(open_run(path)) for path in shipped_models().values()]"
)


def front_matter(card: str) -> dict:
    opening, text, _ = card.split("---\n", 2)
    assert opening == ""
    return yaml.safe_load(text)


def read(name: str) -> str:
    return (shipped_models()[name] / CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", shipped_models())
def test_stored_cards_are_those_that_the_code_writes(name):
    assert read(name) == card_of(open_run(name)), f"write them anew: python -c '{REWRITE}'"


@pytest.mark.parametrize("name", shipped_models())
def test_metadata_is_what_was_measured(name):
    metadata = front_matter(read(name))
    assert metadata["license"] == "mit"
    assert metadata["library_name"] == "textvae"
    judge = name.startswith("judge")
    assert metadata["pipeline_tag"] == ("image-classification" if judge else "text-to-image")
    assert metadata["pipeline_tag"] in metadata["tags"]
    (index,) = metadata["model-index"]
    assert index["name"] == name
    (result,) = index["results"]
    measured = json.loads((shipped_models()[name] / METRICS).read_text(encoding="utf-8"))
    assert result["dataset"]["name"] == measured["protocol"]["data"]
    assert [result["dataset"]["type"]] == metadata["datasets"]
    assert result["metrics"]
    for metric in result["metrics"]:
        section, key, *rest = metric["type"].split(".")
        value = measured[section][key]
        for part in rest:
            value = value[part]
        assert metric["value"] == pytest.approx(value, rel=1e-3)


def test_the_hub_reads_the_metadata():
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(read("flowers")).data
    assert data.pipeline_tag == "text-to-image"
    assert {result.dataset_type for result in data.eval_results} == {"flowers102"}


class Scorer(Trainable):
    """A model of a user's own, which scores images and draws none."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int = 2

        def build(self) -> "Scorer":
            return Scorer(self.width)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(784, width)

    def loss(self, images, condition, draws):
        return {"score": self.score(images.flatten(1)).mean()}


def test_a_model_that_is_no_vae_is_not_said_to_draw(tmp_path):
    scorer = Recipe("scorer", "scores images", "a test", "fashion-mnist", FASHION, Scorer.Config(), TrainerConfig(), ())
    write_config(tmp_path, scorer, "", {"precision": "fp32"})
    card = card_of(open_run(tmp_path, scorer), "hf://me/scorer")
    assert front_matter(card)["pipeline_tag"] == "other"
    assert "text-to-image" not in card
    assert "textvae generate" not in card
    assert "valid only for data like" in card


def test_a_model_whose_class_is_not_declared_is_looked_at(monkeypatch):
    scorer = Recipe("scorer", "scores images", "a test", "fashion-mnist", FASHION, Scorer.Config(), TrainerConfig(), ())
    monkeypatch.setattr(Scorer.Config, "build", lambda self: Scorer(self.width))
    assert not scorer.draws
    monkeypatch.setattr(Scorer.Config, "build", lambda _: RECIPES["label-dense"]().model.build())
    assert scorer.draws


def test_recipes_say_whether_they_draw(monkeypatch):
    monkeypatch.delattr(Recipe, "outline")  # the list of recipes builds no model
    scoring = {"judge", "pair", "captioner"}
    assert {name for name in RECIPES if not RECIPES[name]().draws} == {
        name for name in RECIPES if name.split("-")[0] in scoring
    }


@pytest.mark.slow
def test_the_command_trains_the_same_run(tiny_run, textvae, tmp_path):
    copy = Path(shutil.copytree(tiny_run, tmp_path / "copy"))
    command = training_command(open_run(copy))
    # The same settings find the training done; others are refused.
    code, _, err = textvae(*shlex.split(command)[1:], "--threads", "1", "--out", copy)
    assert code == 0, err
    code, _, err = textvae(*shlex.split(command)[1:], "--threads", "1", "--out", copy, "--trainer.seed", "1")
    assert code == 2


def test_options_of_the_command(tiny_run, tmp_path):
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    config["trainer"]["flip"] = not config["trainer"]["flip"]
    (path / CONFIG).write_text(json.dumps(config))
    words = shlex.split(training_command(open_run(path)))
    assert words[:3] == ["textvae", "train", "label-conv"]
    assert words[words.index("--model.channels") + 1 :][:3] == ["4", "8", "8"]
    assert "--trainer.flip" in words or "--trainer.no-flip" in words
    assert words[-2:] == ["--precision", "fp32"]
    assert "--trainer.seed" not in words


def test_a_preset_is_named_where_it_says_more_than_its_options(tiny_run, tmp_path):
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    tiny = resolve("latent-flow-fashion", "tiny")
    assert tiny.flow is not None
    config |= {"recipe": tiny.name, "model": to_dict(tiny.model), "trainer": to_dict(tiny.trainer)}
    config |= {"flow": to_dict(tiny.flow), "model_class": tiny.model_class}
    (path / CONFIG).write_text(json.dumps(config))
    assert training_command(open_run(path)) == "textvae train latent-flow-fashion --preset tiny --precision fp32"


@pytest.mark.parametrize(("preset", "words"), [(None, ""), ("128", " --preset 128")])
def test_presets_for_images_of_another_size_are_not_named(tiny_run, tmp_path, preset, words):
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    held = conventional_contents(f"products-{preset or 64}-words")
    photos = resolve("latent-flow-photos", preset, held)
    write_config(path, photos, "", {"precision": "fp32"})
    expected = f"textvae train latent-flow-photos{words} --data {photos.data} --precision fp32"
    assert training_command(open_run(path)) == expected


def test_a_shipped_model_keeps_what_its_training_started_from(tiny_run, tmp_path):
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    (path / CONFIG).write_text(json.dumps(config | {START: {"model": "flowers"}, LIMIT: 200}))
    shipped = ship(str(path), tmp_path / "shipped")
    assert training_command(shipped) == training_command(open_run(path))
    assert "--from flowers --limit 200" in training_command(shipped)


def test_a_card_without_numbers_claims_none(tiny_run, tiny_data):
    card = card_of(open_run(tiny_run))
    assert "model-index" not in front_matter(card)
    assert "numbers above" not in card
    assert "numbers above" in read("flowers")


@pytest.mark.parametrize(
    ("name", "only"), [("flowers", True), ("scenes", True), ("products", True), ("sprouts", False)]
)
def test_what_was_trained_on_photographs_of_others_is_for_research_only(name, only):
    assert ("- Intended use: research only" in read(name)) == only
