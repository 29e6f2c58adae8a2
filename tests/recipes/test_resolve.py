"""What a recipe becomes on each kind of data set, with presets, priors and settings; through the command line too."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.declared import declare

from textvae import data
from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.manifest import SetContents, contents_of, read_manifest
from textvae.data.prepared import conventional_contents
from textvae.data.sprouts import SPROUTS
from textvae.models.with_flow import FlowConfig
from textvae.recipes import RECIPES
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import resolve
from textvae.text.caption_words import CaptionWords
from textvae.text.sentence import SentenceText
from textvae.text.sprout_grammar import SproutVectors
from textvae.utils.errors import UserError

KINDS = ("words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair")
WIDTH = {"sentence": 384, "sentence-tokens": 384, "clip": 512, "clip-tokens": 512, "pair": 128}
ENCODER = {
    "words": "CaptionWords", "sentence": "SentenceText", "sentence-tokens": "SentenceText", "clip": "ClipText",
    "clip-tokens": "ClipText", "pair": "DualEncoderText",
}  # fmt: skip
POOLED = ("sentence", "clip", "pair")

LABELS = ("label-conv", "onehot-dense-fashion", "judge-digits", "latent-flow-fashion")
CAPTIONS = ("caption-rnn-sentence", "caption-prior-arithmetic", "latent-flow-digits", "caption-tree-numbers")
READERS = ("latent-flow-flowers", "latent-flow-products", "latent-flow-coco", "latent-flow-scenes")
VECTORS = ("clip-grid-64", "clip-latent-64-add", "clip-dual-64-text")
IMAGES = ("clip-dual-64-image", "clip-dual-64-image-shifted")
PAIRS = ("pair-coco-mini", "pair-judge-coco-mini")


@pytest.fixture(autouse=True)
def sets(tmp_path, monkeypatch) -> None:
    """A set of each kind, called without a word of what it holds."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    for kind in KINDS:
        declare(f"mine, {kind.upper()}", "flowers102", 64, kind, kind if kind in ("clip", "pair") else "efficientnet")


def trained(monkeypatch, capsys, *words: str) -> Recipe | str:
    """What ``textvae train`` would train; or, where it refuses, the error."""
    from textvae import cli

    found: list[Recipe] = []

    def train_recipe(recipe: Recipe, out: Path, *_: Any, **__: Any) -> bool:
        found.append(recipe)
        return False

    monkeypatch.setattr("textvae.experiment.train.train_recipe", train_recipe)
    monkeypatch.setattr("textvae.runs.run.read_history", lambda _: [])
    with pytest.raises(SystemExit) as exit_:
        cli.main(["train", *words])
    err = capsys.readouterr().err
    if not found:
        assert exit_.value.code == 2
        assert len(err.splitlines()) == 2, err
        return err
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*LABELS, *CAPTIONS, *READERS, *VECTORS, *IMAGES, *PAIRS])
def test_every_recipe_on_every_kind_of_set(name, kind, monkeypatch, capsys) -> None:
    data_set = f"mine, {kind.upper()}"
    found = trained(monkeypatch, capsys, name, "--data", data_set)
    own = RECIPES[name]()
    refused = {
        **dict.fromkeys((*LABELS, *CAPTIONS), f"{name} can only be trained on {own.data}"),
        **(dict.fromkeys(VECTORS, "no pooled embedding") if kind not in POOLED else {}),
        **(dict.fromkeys(IMAGES, "in the space of the captions") if kind == "sentence" else {}),
        **(dict.fromkeys(IMAGES, "no pooled embedding") if kind not in POOLED else {}),
        **(dict.fromkeys(PAIRS, "sentence vectors and image features") if kind != "sentence" else {}),
    }
    if name in refused:
        assert isinstance(found, str)
        assert refused[name] in found
        return
    assert isinstance(found, Recipe), found
    assert type(found.text).__name__ == ENCODER[kind]
    assert getattr(found.text, "name", "words") == kind
    if name in PAIRS:
        assert found.data == f"{data_set}-features"
        assert (found.model.text_features, found.model.image_features) == (384, 1280)
        return
    assert found.data == data_set
    assert found.prompts == PHOTOGRAPHS["flowers102"].prompts
    if kind == "pair":
        assert found.text.run == "runs/pair-flowers102"
    if name in READERS:
        assert own.flow is not None
        assert found.flow is not None
        assert found.model == own.model
        reader = {"words": "words", "sentence-tokens": "vectors", "clip-tokens": "vectors"}.get(kind, "none")
        assert (found.flow.model.reader, found.flow.model.size) == (reader, WIDTH.get(kind, 1))
        # Only words can be left out.
        word_dropout = own.flow.model.prior.word_dropout if kind == "words" else 0.0
        assert found.flow.model.prior == dataclasses.replace(own.flow.model.prior, word_dropout=word_dropout)
        if kind == "words":
            assert found.text.length == PHOTOGRAPHS["flowers102"].caption_length
    else:
        assert found.flow is None
        assert found.model == dataclasses.replace(own.model, condition_dim=WIDTH[kind])


@pytest.mark.slow
def test_the_documented_command_trains(monkeypatch, capsys) -> None:
    declare("flowers102-64-sentence-tokens", "flowers102", 64, "sentence-tokens")
    found = trained(monkeypatch, capsys, "latent-flow-flowers", "--data=flowers102-64-sentence-tokens")
    assert isinstance(found, Recipe), found
    assert found.text == SentenceText(32)
    # Options of the command line come last.
    words = ("--trainer.epochs", "3", "--flow.model.prior.width", "64", "--model.channels", "8", "16")
    found = trained(monkeypatch, capsys, "latent-flow-flowers", "--data", "flowers102-64-sentence-tokens", *words)
    assert isinstance(found, Recipe), found
    assert found.flow is not None
    assert (found.trainer.epochs, found.model.channels) == (3, (8, 16))
    assert (found.flow.model.reader, found.flow.model.size, found.flow.model.prior.width) == ("vectors", 384, 64)


@pytest.mark.slow
def test_the_command_line_takes_presets_and_priors(monkeypatch, capsys) -> None:
    tiny = trained(monkeypatch, capsys, "latent-flow-fashion", "--preset", "tiny", "--trainer.seed", "4")
    assert isinstance(tiny, Recipe), tiny
    parts = RECIPES["latent-flow-fashion"]().presets["tiny"]
    assert tiny == dataclasses.replace(
        RECIPES["latent-flow-fashion"](), trainer=dataclasses.replace(parts["trainer"], seed=4), flow=parts["flow"]
    )
    without = trained(monkeypatch, capsys, "latent-flow-fashion", "--prior", "own")
    assert isinstance(without, Recipe), without
    assert without.flow is None
    flow = trained(
        monkeypatch, capsys, "clip-grid-64", "--data", "mine, PAIR", "--prior=flow", "--flow.trainer.epochs", "2"
    )
    assert isinstance(flow, Recipe), flow
    assert flow.flow is not None
    assert (flow.flow.model.reader, flow.flow.model.size, flow.flow.trainer.epochs) == ("none", 128, 2)
    fitted = trained(monkeypatch, capsys, "label-conv", "--prior", "flow", "--flow.trainer.epochs", "2")
    assert isinstance(fitted, Recipe), fitted
    assert fitted.flow is not None
    assert fitted.flow.model == FlowConfig(fitted.flow.model.prior, "none", 10)
    assert fitted.flow.trainer.epochs == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("latent-flow-flowers", "--data", "flowers102-64-sentence-tokens"), "has not been prepared"),
        (("latent-flow-flowers", "--data", "no such set"), "no data set is called"),
        (("latent-flow-flowers", "--data", "mnist"), "can only be trained on flowers102-64-words"),
        (("clip-grid-64", "--data", "mine, SENTENCE-features"), "features in the place of pixels"),
        (("clip-grid-128", "--data", "mine, SENTENCE"), "128 pixels"),
        (("latent-flow-fashion", "--preset", "huge"), "no preset 'huge'"),
        (("latent-flow-fashon",), "no recipe"),
        (("judge-digits", "--prior", "flow"), "does not train a VAE"),
    ],
)
def test_what_does_not_fit_is_a_users_error(arguments, why, monkeypatch, capsys) -> None:
    found = trained(monkeypatch, capsys, *arguments)
    assert isinstance(found, str)
    assert why in found


def test_overrides_are_checked_and_come_last() -> None:
    found = resolve("label-conv", overrides={"trainer": {"epochs": 3}, "flow": {"stride_epochs": 1}}, prior="flow")
    assert found.flow is not None
    assert (found.trainer.epochs, found.flow.stride_epochs) == (3, 1)
    for overrides in (
        {"trainer": {"epoch": 3}},
        {"trainer": {"epochs": "3"}},
        {"flow": {"stride_epochs": 1}},
        {"x": {}},
    ):
        with pytest.raises(UserError, match=r"epoch|flow|x is no part"):
            resolve("label-conv", overrides=overrides)


def test_a_set_whose_pictures_show_text_is_not_mirrored() -> None:
    declare("shop", "products", 64, "words")
    found = resolve("latent-flow-flowers", data="shop")
    assert found.flow is not None
    assert not found.trainer.flip
    assert not found.flow.trainer.flip
    assert found.text.length == PHOTOGRAPHS["products"].caption_length
    assert resolve("latent-flow-flowers").trainer.flip


def test_a_set_says_where_its_encoder_came_from(tmp_path) -> None:
    (tmp_path / "pair").mkdir()
    declare("mine", "holiday", 64, "pair", weights=str(tmp_path / "pair"))
    found = resolve("clip-grid-64", data="mine")
    assert found.text.run == str(tmp_path / "pair")
    # Captions of a user's own photographs serve as prompts.
    assert found.prompts == ()
    declare("mine", "holiday", 64, "clip", weights="somebody/clip")
    assert resolve("clip-grid-64", data="mine").text.model == "somebody/clip"


def test_manifests_of_before_are_read_by_what_they_have() -> None:
    folder = declare("old", "coco-mini", 64, "sentence-tokens", "efficientnet")
    file = folder / "manifest.json"
    expected = data.contents("old")
    manifest = json.loads(file.read_text())
    del manifest["text"]["kind"], manifest["text"]["shape"], manifest["image"]["width"]
    for arrays in manifest["splits"].values():
        arrays["image"] = [9, 1280]
    file.write_text(json.dumps(manifest))
    assert expected is not None
    assert data.contents("old") == expected
    assert contents_of("old", read_manifest(folder)) == expected
    for part, value in (("text", {"name": "braille", "identity": ""}), ("text", {"name": "words"}), ("image", {})):
        file.write_text(json.dumps(manifest | {part: value}))
        with pytest.raises(UserError, match="cannot be read"):
            data.contents("old")


def test_what_a_set_holds_goes_into_a_file_and_back() -> None:
    for kind in KINDS:
        held = data.contents(f"mine, {kind.upper()}")
        assert held is not None
        assert SetContents.from_dict(held.name, json.loads(json.dumps(held.to_dict()))) == held
    with pytest.raises((ValueError, LookupError, TypeError)):
        SetContents.from_dict("x", held.to_dict() | {"side": "64"})


def test_names_of_sets_that_are_not_there_are_understood_where_they_are_conventional() -> None:
    held = conventional_contents("coco-mini-cow-0.1-128-sentence-tokens")
    assert held is not None
    assert (held.source, held.side, held.text.kind, held.text.shape) == ("coco-mini", 128, "tokens", (32, 384))
    assert conventional_contents("mine") is None


def test_every_named_set_has_its_dual_encoders() -> None:
    for name, entry in PHOTOGRAPHS.items():
        for recipe in (entry.pair, entry.retrieval_judge):
            assert resolve(recipe).name == recipe
            assert resolve(recipe).data == f"{name}-64-sentence-features"


def test_recipes_have_docstrings_of_fifteen_lines_at_most() -> None:
    for make in RECIPES.values():
        function = getattr(make, "func", make)
        lines = (function.__doc__ or "").strip().splitlines()
        assert 1 <= len(lines) <= 15, f"{function.__name__}: {len(lines)} lines"


def test_sprouts_are_read_by_their_grammar_where_a_model_takes_one_vector() -> None:
    moved = resolve("clip-latent-64-concat", data="sprouts")
    assert moved.text == SproutVectors()
    assert moved.model.condition_dim == SproutVectors().width
    flow = resolve("clip-latent-64-concat", data="sprouts", prior="flow").flow
    assert flow is not None
    assert flow.model.size == SproutVectors().width
    assert isinstance(resolve("latent-flow-flowers", data="sprouts").text, CaptionWords)
    with pytest.raises(UserError, match="no pooled embedding"):
        resolve("clip-dual-64-image", data="sprouts")
    # A run declares what it was trained on, which leaves the set's own recipes as they are.
    for name in ("latent-flow-sprouts", "judge-sprouts"):
        assert resolve(name, data=SPROUTS.contents) == RECIPES[name]()
