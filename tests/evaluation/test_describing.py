"""A captioner from training to describing pictures, and the round trip from captions over drawn pictures back."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from textvae import data, library
from textvae.data.captioned_images import CaptionedImages
from textvae.data.in_memory import InMemory
from textvae.evaluation import describing
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.describing import Describer, describer_of
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators.description import description
from textvae.evaluation.metrics.words import colours_recovered, word_f1
from textvae.experiment.train import train_recipe
from textvae.models.captioner import Captioner
from textvae.pretrained.feature_nets import FeatureNet, Unavailable
from textvae.recipes.resolve import resolve
from textvae.runs.run import SNAPSHOT, open_run
from textvae.utils.device import Execution
from textvae.utils.errors import UserError

pytestmark = pytest.mark.slow

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
NAME = "coco-mini-64-sentence-features"


def seen(images: torch.Tensor) -> torch.Tensor:
    """Features: the mean colour."""
    return images.float().mean((2, 3)) / 255


def coloured(split: str) -> CaptionedImages:
    """Features of pictures of one colour, with captions of four or five words."""
    pixels = torch.tensor([*COLOURS.values()], dtype=torch.uint8)[:, :, None, None]
    captions = tuple(f"this is {'all ' if name == 'red' else ''}{name} paint" for name in COLOURS)
    rows = torch.arange(121) % 3
    features = seen(pixels)[rows][:, :, None, None]
    # Stored vectors of the captions, which a captioner does not use.
    stored = torch.zeros(3, 4)
    ranges = torch.stack([rows, rows + 1], 1)
    return CaptionedImages(NAME, split, features, captions, ranges, conditions=stored, encoder="sentence")


@pytest.fixture
def captioner(tmp_path, monkeypatch):
    """A run of a small captioner of three colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data.SOURCES, NAME, InMemory(NAME, {split: coloured(split) for split in ("train", "test")}))
    net = FeatureNet(describing.FEATURES, 3, "none", seen)
    monkeypatch.setattr(describing, "feature_net", lambda name: net)
    recipe = resolve("captioner-coco-mini")
    recipe = dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, image_features=3, image_size=8, width=16, dropout=0.0),
        trainer=dataclasses.replace(
            recipe.trainer, epochs=40, batch_size=30, learning_rate=1e-2, validation_images=0, patience=0
        ),
    )
    assert train_recipe(
        recipe, tmp_path / "runs" / "captioner-coco-mini", Execution(torch.device("cpu"), "fp32", 1, ())
    )
    return tmp_path / "runs" / "captioner-coco-mini"


def test_the_same_words_count_whatever_their_order():
    assert word_f1(["a red flower", "blue"], ["a flower, red!", "green"]) == 0.5
    assert word_f1(["one two"], ["two three four five"]) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="no captions"):
        word_f1([], [])


def test_only_captions_that_name_one_colour_are_asked_for_it():
    written = ["a red petal with blue", "white", "green", "pink"]
    captions = ["red flower", "blue flower", "a red and green one", "no colour"]
    assert colours_recovered(written, captions, ["red", "green", "blue"]) == (0.5, 2)
    assert colours_recovered(written[3:], captions[3:], ["red"]) is None


def test_it_learns_to_write_and_stops(captioner, textvae):
    run = open_run(captioner)
    assert run.recipe.model.num_tokens == len(run.recipe.text.words) + 1
    pictures = [Image.new("RGB", (20, 12), colour) for colour in COLOURS.values()]
    expected = ["this is all red paint", "this is green paint", "this is blue paint"]
    assert Describer(run).describe(pictures) == expected
    assert library.describe(captioner, pictures[1:]) == expected[1:]
    with pytest.raises(UserError, match="no images"):
        library.describe(captioner, [])
    found = evaluate_run(run, torch.device("cpu")).to_dict()["captions"]
    assert found["word_f1"]["real"] == found["colour"]["real"] == 1.0
    assert found["colour"]["count"] == 121
    assert found["word_f1"]["shuffled"] < 1 > found["colour"]["shuffled"]
    pictures[0].save("red.png")
    code, out, _ = textvae("describe", captioner, "red.png", "--json")
    assert (code, json.loads(out)) == (0, {"captions": [{"image": "red.png", "caption": expected[0]}]})
    code, _, err = textvae("describe", "fashion", "red.png")
    assert (code, "not a captioner" in err) == (2, True)


def test_what_was_asked_for_is_read_off_drawn_pictures(captioner, monkeypatch):
    class Context(EvaluationContext):
        """A model that draws everything right but blue, which comes out red."""

        def __init__(self) -> None:
            pass

        run = dataclasses.replace(
            open_run(captioner), recipe=dataclasses.replace(open_run(captioner).recipe, data="coco-mini-64-words")
        )
        in_colour = True
        captions = ["red paint", "green paint", "blue paint", "green"]  # noqa: RUF012
        mismatched = torch.tensor([1, 2, 3, 0])
        real_features = {describing.FEATURES: torch.eye(3)[[0, 1, 2, 1]]}  # noqa: RUF012
        generated_features = {describing.FEATURES: torch.eye(3)[[0, 1, 0, 1]]}  # noqa: RUF012

    photographs = data.photographs(NAME) or data.catalog.photograph_set("coco-mini")
    monkeypatch.setattr(data, "photographs", lambda name: photographs)
    found = description(Context())
    assert found.numbers["description"]["colour"] == {"samples": 0.75, "real": 1.0, "shuffled": 0.0, "count": 4}
    f1 = found.numbers["description"]["word_f1"]
    assert f1["shuffled"] < f1["samples"] < f1["real"]
    assert found.protocol["description"]["captioner"].startswith("captioner-coco-mini ")
    monkeypatch.chdir("/")
    # A snapshot of a model in the same folder finds it, too.
    kept = captioner.parent / "model" / "epochs" / "3"
    snapshot = dataclasses.replace(Context.run, path=kept, config={**Context.run.config, SNAPSHOT: 3})
    assert isinstance(describer_of(snapshot), Describer)
    monkeypatch.setattr(Context, "run", dataclasses.replace(Context.run, path=captioner.parents[1] / "other" / "run"))
    missing = describer_of(Context.run)
    assert isinstance(missing, Unavailable)
    assert "textvae train captioner-coco-mini" in description(Context()).absent["generation.description"]


def test_no_features_no_captioner():
    assert isinstance(resolve("captioner-flowers102").model, Captioner.Config)
    with pytest.raises(UserError, match="no recipe"):
        resolve("captioner-nothing")
