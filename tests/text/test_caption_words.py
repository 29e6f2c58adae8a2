import dataclasses
import json

import pytest
import torch
from helpers import photos

from textvae import data
from textvae.experiment.stages import FLOW_STAGE, start_stage
from textvae.experiment.train import train_recipe
from textvae.pipeline import TextToImage
from textvae.preparation.prepare import prepare
from textvae.priors import FlowPrior
from textvae.recipes import RECIPES
from textvae.recipes.conditions import training_conditions, with_captions
from textvae.recipes.resolve import resolve
from textvae.runs.files import CONFIG
from textvae.runs.run import open_run
from textvae.text.caption_words import CaptionWords
from textvae.utils.config import updated
from textvae.utils.device import Execution
from textvae.utils.errors import UserError
from textvae.utils.pixels import unit_interval
from textvae.utils.processes import Processes

CAPTIONS = ["A red flower, red!", "a red rose", "the white flower's petals", "A white tulip"]


def test_common_words_are_learned_the_commonest_first():
    text = CaptionWords(least=2).learned_from(CAPTIONS, [1] * 4)
    assert text.words == ("a", "red", "flower", "white")
    assert text.num_tokens == 5
    assert CaptionWords(least=2, most=2).learned_from(CAPTIONS, [1] * 4).words == ("a", "red")


def test_words_of_few_captions_are_learned_where_many_images_share_them():
    text = CaptionWords(least=2).learned_from(["rotes Boot", "blaues Haus", "rotes Haus"], [30, 29, 1])
    assert text.words == ("haus", "rotes", "boot")


def test_unknown_words_are_left_out_and_said(capsys):
    text = CaptionWords(("red", "white", "flower"), length=2)
    rows = text.encode(["A RED flower", "none", "wagon", "white-red flower"])
    assert rows.tolist() == [[1, 3], [0, 0], [0, 0], [2, 1]]
    err = capsys.readouterr().err
    assert '"wagon"' in err
    assert '"a"' in err
    assert "truncated to 2 words: 1" in err
    text.encode(["red flower"])
    assert capsys.readouterr().err == ""


def test_a_prompt_without_a_known_word_is_refused():
    text = CaptionWords(("red", "white"))
    with pytest.raises(UserError, match='"ein Haus"') as error:
        text.encode(["ein Haus"])
    assert "red white" in error.value.cure
    with pytest.raises(UserError):
        CaptionWords(("red", "red"))
    with pytest.raises(UserError, match="words: 2 is a int"):
        updated(CaptionWords(), {"words": ["red", 2]})


@pytest.fixture
def blocks(tmp_path, monkeypatch) -> str:
    """The name of a prepared set of 16-pixel blocks, on which the recipe "toy" is trained."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    folder = photos.image_folder(tmp_path / "blocks", {"train": 24, "test": 8})
    name = str(prepare(str(folder), side=16, text="words", workers=1)["name"])
    monkeypatch.setitem(RECIPES, "toy", lambda: _small(name))
    return name


@pytest.mark.slow
def test_a_run_reads_without_its_data(blocks, cpu: Execution, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    assert train_recipe(resolve("toy"), out, cpu)
    words = json.loads((out / CONFIG).read_text(encoding="utf-8"))["text"]["words"]
    assert {"red", "green", "blue", "white", "block"} <= set(words)
    # The same command again finds the same words, and nothing left to do.
    assert train_recipe(resolve("toy"), out, cpu)
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    generator = TextToImage.load(out)
    assert generator.text.encode(["a red block"]).count_nonzero() == 3
    red, blue = generator(["a red block", "a blue one"], seed=1)
    assert red.size == (16, 16)
    assert red.tobytes() != blue.tobytes()
    assert "one" in capsys.readouterr().err


@pytest.mark.slow
def test_words_of_an_edited_run_are_checked(blocks, cpu: Execution, tmp_path):
    out = tmp_path / "run"
    assert train_recipe(resolve("toy"), out, cpu)
    config = json.loads((out / CONFIG).read_text(encoding="utf-8"))
    config["text"]["words"] = config["text"]["words"][:-2]
    config["flow"]["model"]["size"] -= 2
    (out / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="does not hold this model"):
        open_run(out).load_model()


def test_a_recipe_with_a_closed_vocabulary_stays_as_it_is(blocks):
    digits = resolve("latent-flow-digits")
    assert with_captions(digits, data.load(blocks, "train")) is digits


def test_a_set_of_one_s_own_is_drawn_by_its_own_captions(blocks):
    elsewhere = dataclasses.replace(resolve("toy"), data="flowers102-16-words")
    toy, images = resolve(elsewhere, data=blocks), data.load(blocks, "train")
    assert toy.prompts == ()
    found = with_captions(toy, images)
    assert 1 < len(found.prompts) <= 5
    assert len(set(found.prompts)) == len(found.prompts)
    assert set(found.prompts) <= set(images.captions)
    # Each caption counts once, and besides with the images that share it.
    stretches = images.caption_range.tolist()
    shared = [sum(start <= number < stop for start, stop in stretches) for number in range(len(images.captions))]
    assert found.text.words == toy.text.learned_from(images.captions, shared).words


def _small(name: str):
    """latent-flow-flowers as a toy."""
    named = resolve("latent-flow-flowers")
    flow = named.flow
    assert flow is not None
    return dataclasses.replace(
        named,
        name="toy",
        data=name,
        prompts=("a red block",),
        model=dataclasses.replace(named.model, image_shape=(3, 16, 16), channels=(8, 32), latent_channels=2),
        trainer=dataclasses.replace(named.trainer, epochs=1, batch_size=12),
        flow=dataclasses.replace(
            flow,
            model=dataclasses.replace(flow.model, prior=FlowPrior.Config(width=32, depth=1, heads=2, steps=2)),
            trainer=dataclasses.replace(flow.trainer, epochs=8, batch_size=12, learning_rate=1e-2, ema_decay=0.0),
            guidance_epochs=0,
            autoguidance=1.0,
        ),
    )


@pytest.mark.slow
def test_a_flow_learns_the_latents_of_mirrored_images_under_the_same_captions(blocks, cpu: Execution, tmp_path):
    out, toy = tmp_path / "run", resolve("toy")
    assert train_recipe(dataclasses.replace(toy, flow=None), out, cpu)
    images = data.load(blocks, "train")
    known = with_captions(toy, images)
    stage = start_stage(FLOW_STAGE, known, images, training_conditions(images, known), cpu, out, {}, Processes())
    latents, ranges = stage.training.rows.images, stage.training.rows.condition_range
    assert len(latents) == len(ranges) == 2 * len(images)
    assert ranges[: len(images)].equal(images.caption_range)
    assert ranges[len(images) :].equal(images.caption_range)
    vae = open_run(out).load_model()
    seen = unit_interval(images.images.flip(3), cpu.device)
    torch.testing.assert_close(latents[len(images) :, :2], vae.posterior(seen, torch.zeros(24, 1)).mean)
