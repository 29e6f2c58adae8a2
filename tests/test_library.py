import dataclasses
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import textvae
from textvae import data
from textvae.models.label_conv import LabelConv
from textvae.recipes import RECIPES
from textvae.runs.files import METRICS, MODEL
from textvae.runs.run import read_history
from textvae.text.labels import FASHION

TOY = textvae.TrainerConfig(epochs=2, batch_size=64)
CPU = {"device": "cpu", "precision": "fp32", "threads": 1}


class OwnConv(LabelConv):
    """The same weights as its parent, another picture: inverted."""

    @dataclasses.dataclass(frozen=True)
    class Config(LabelConv.Config):
        def build(self) -> "OwnConv":
            return OwnConv(self)

    def decode(self, latent, condition):
        return super().decode(-latent, condition)


def own(name: str = "own") -> textvae.Recipe:
    model = OwnConv.Config(channels=(4, 4, 4), latent_dim=4)
    return textvae.Recipe(name, "a toy", "a test", "fashion-mnist", FASHION, model, TOY, ("a dress",))


@pytest.fixture
def sources(monkeypatch):
    monkeypatch.setattr(data, "SOURCES", dict(data.SOURCES))


def test_every_public_name_is_there_and_documented():
    assert set(textvae.__all__) <= set(dir(textvae))
    assert sorted(textvae.__all__) == sorted(set(textvae._SOURCES) | {"__version__"})
    for name in set(textvae.__all__) - {"__version__"}:
        assert getattr(textvae, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = textvae.trian


def test_importing_textvae_imports_nothing_heavy():
    program = "import sys, textvae; dir(textvae); print('torch' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


def test_lists_name_what_there_is(sources):
    assert textvae.list_recipes() == list(RECIPES)
    assert {"fashion", "digits"} <= set(textvae.list_models())
    assert "fashion-mnist" in textvae.list_data()


class Recorder(textvae.Callback):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_step(self, stage, step):
        self.calls.append(f"step {step.number}")
        torch.manual_seed(0)  # must not matter

    def on_epoch(self, stage, row):
        self.calls.append(f"epoch {row['epoch']} of {stage.name}")
        drawn = np.float64(len(stage.text_to_image()("a dress", 3)))  # not a number that a checkpoint may hold
        return {"pictures": drawn, "unknown": float("nan")}

    def on_checkpoint(self, stage, out):
        self.calls.append("checkpoint" if (out / MODEL).is_file() else "too early")


def test_a_training_rounds_subnormal_numbers_to_zero_and_leaves_them_to_others(tiny_data, tmp_path):
    tenths = []

    class Tenth(textvae.Callback):
        def on_step(self, stage, step):
            tenths.append(float(torch.tensor(1e-38) * 0.1))

    if not torch.set_flush_denormal(False):
        pytest.skip("this processor has no such setting")
    textvae.train(own, out=tmp_path / "run", trainer={"epochs": 1}, callbacks=[Tenth()], **CPU)
    assert tenths == [0.0] * 4
    assert torch.tensor(1e-38) * 0.1 > 0


@pytest.mark.slow
def test_a_recipe_of_ones_own_trains_with_callbacks_and_opens_again(tiny_data, tmp_path):
    recorder = Recorder()
    run = textvae.train(own, out=tmp_path / "run", callbacks=[recorder], **CPU)
    steps = [f"step {n}" for n in range(1, 9)]
    epochs = ["epoch 1 of model", "epoch 2 of model"]
    assert recorder.calls == [*steps[:4], epochs[0], *steps[4:], epochs[1], "checkpoint"]
    assert [row["watched"] for row in read_history(run.path)] == [{"pictures": 3.0}] * 2
    # Callbacks change nothing.
    plain = textvae.train(own(), out=tmp_path / "plain", **CPU)
    assert (plain.path / MODEL).read_bytes() == (run.path / MODEL).read_bytes()
    # A run folder holds no code: the recipe has to be given.
    with pytest.raises(textvae.UserError, match="own"):
        textvae.open_run(run.path)
    again = textvae.open_run(run.path, own)
    assert isinstance(again.load_model(), OwnConv)
    pictures = textvae.TextToImage.load(run)("a dress", 2)
    assert [p.tobytes() for p in textvae.TextToImage.load(again)("a dress", 2)] == [p.tobytes() for p in pictures]


def test_a_model_of_ones_own_under_a_known_name_does_not_open_as_its_parent(tiny_data, tmp_path):
    run = textvae.train(own("label-conv"), out=tmp_path / "run", trainer={"epochs": 1}, **CPU)
    with pytest.raises(textvae.UserError, match="OwnConv"):
        textvae.open_run(run.path)


@pytest.mark.slow
def test_an_interrupted_training_is_saved_and_resumes_in_the_same_bits(tiny_data, tmp_path):
    class Interrupt(textvae.Callback):
        def on_step(self, stage, step):
            if step.number == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        textvae.train(own, out=tmp_path / "cut", callbacks=[Interrupt()], **CPU)
    cut = textvae.train(own, out=tmp_path / "cut", **CPU)
    whole = textvae.train(own, out=tmp_path / "whole", **CPU)
    assert (cut.path / MODEL).read_bytes() == (whole.path / MODEL).read_bytes()


def test_settings_are_those_of_the_command_line(tiny_data, tmp_path):
    small = {"channels": [4, 4, 4], "latent_dim": 4}
    run = textvae.train("label-conv", tmp_path / "run", model=small, trainer={"epochs": 1}, limit=64, **CPU)
    assert (run.recipe.model.latent_dim, run.recipe.trainer.epochs) == (4, 1)
    assert run.recipe == textvae.open_run(run.path).recipe
    with pytest.raises(textvae.UserError, match="epoch"):
        textvae.train("label-conv", tmp_path / "other", trainer={"epoch": 1})
    with pytest.raises(textvae.UserError, match="limit of -1 images"):
        textvae.train("label-conv", tmp_path / "other", limit=-1)
    for epochs in ({"trainer": {"epochs": 1}}, {"prior": "flow", "flow": {"stride_epochs": 1}}):
        with pytest.raises(textvae.UserError, match="minutes choose the numbers of epochs"):
            textvae.train("label-conv", tmp_path / "other", minutes=0.01, model=small, **epochs, **CPU)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_evaluate_returns_and_writes_metrics(tiny_data, tmp_path):
    run = textvae.train(own, out=tmp_path / "run", trainer={"epochs": 1}, **CPU)
    found = textvae.evaluate(run, num_samples=24, importance_samples=2)
    assert found.get("reconstruction.mse_sum") > 0
    assert textvae.Metrics.read(run.path / METRICS).to_dict() == found.to_dict()


def test_pictures_of_ones_own_become_a_data_set(sources, tmp_path):
    pictures = [Image.new("RGB", (40, 28), colour) for colour in ("red", "blue", "red")]
    images = textvae.captioned_images(pictures, ["red", ["blue", "the sky"], "red"], size=(28, 28))
    assert images.image_shape == (3, 28, 28)
    assert images.images[1, :, 0, 0].tolist() == [0, 0, 255]
    assert (images.captions, images.caption_range.tolist()) == (("red", "blue", "the sky"), [[0, 1], [1, 3], [0, 1]])
    textvae.add_data("mine", images, images.first(1))
    assert "mine" in textvae.list_data()
    found = textvae.load_data("mine", "test")
    assert (found.name, found.split, len(found)) == ("mine", "test", 1)
    with pytest.raises(textvae.UserError, match="no split"):
        textvae.load_data("mine", "val")
    for wrong in (([], []), (pictures, ["red"]), (pictures, ["red", [], "red"])):
        with pytest.raises(textvae.UserError, match="caption"):
            textvae.captioned_images(*wrong)
