import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFont
from torch import nn

from textvae.evaluation import curves as module
from textvae.evaluation.curves import sampling_curves
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.papers import figures
from textvae.priors import FlowPrior
from textvae.recipes.recipe import FlowStage
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run, write_config, write_weights

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path, tiny_data):
    """A run folder of a small latent-flow-fashion with random weights and learned strides."""
    named = resolve("latent-flow-fashion")
    small = FlowStage(FlowConfig(FlowPrior.Config(width=16, depth=1, heads=2, steps=2)), named.flow.trainer)
    named = dataclasses.replace(named, model=SpatialVAE.Config(channels=(4, 8), latent_channels=2), flow=small)
    torch.manual_seed(0)
    vae = named.model.build()
    prior = small.model.build(vae)
    prior.strides.fill_(True)
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.2)
    write_config(tmp_path / "run", named, "0", {})
    write_weights(tmp_path / "run", WithFlow(vae, prior).state_dict())
    return open_run(tmp_path / "run")


@pytest.mark.slow
def test_curves_are_measured_and_drawn(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GUIDANCE", (1.0, 3.0))
    monkeypatch.setattr(module, "STEPS", (1, 2, 4))
    found = sampling_curves(run, CPU, num_samples=24)
    curves = found["curves"]
    assert [row["guidance"] for row in curves["guidance"]] == [1.0, 3.0]
    assert [row["evaluations"] for row in curves["solver"]] == [2, 4, 8]
    assert [row["evaluations"] for row in curves["strides"]] == [1, 2]
    assert [set(row) for row in curves["edits"]] == [{"guidance", "edited", "changed", "kept"}] * 2
    assert len({row["kept"] for row in curves["edits"]}) == 2
    # Each point is another way to draw: no two distances agree.
    distances = [row["frechet_judge"] for name in ("guidance", "solver", "strides") for row in curves[name]]
    assert len(set(distances)) == len(distances)
    drawn: list[str] = []
    monkeypatch.setattr(figures, "play_figures", lambda run, folder: drawn.append(run.name))
    # Curves are those of all rows that were ever measured, whether their runs are here or not.
    stored = {"latent-flow-fashion": found, "latent-flow-elsewhere": found, "label-conv": {}}
    figures.draw("flow", {"latent-flow-fashion": run}, tmp_path, stored)
    names = {path.stem for path in Path(tmp_path).glob("*.png")}
    ways = {f"flow-{over}-{what}" for over in ("guidance", "steps") for what in ("frechet-judge", "judge-accuracy")}
    assert names == ways | {"latent-flow-fashion", "flow-edit-balance"}
    assert drawn == ["run"]
    with Image.open(tmp_path / "flow-edit-balance.png") as picture:
        assert picture.text["textvae:model"] == "latent-flow-fashion, latent-flow-elsewhere"
    assert curves["samples"] == 24


@pytest.mark.slow
def test_what_was_drawn_is_edited_beside_itself(run, tmp_path):
    figures.drawn_edits(run, (("a dress", "a coat"), ("a bag", "a boot")), tmp_path / "edits.png", pictures=2)
    with Image.open(tmp_path / "edits.png") as picture:
        assert picture.text["textvae:prompt"] == "a coat | a boot"
        pixels = torch.tensor(list(picture.convert("L").tobytes())).view(picture.height, picture.width)
        # Titles of two lines are as wide as the longer one.
        longest = max(ImageFont.load_default(size=18).getlength(line) for line in ("a dress", "to a coat: 100% kept"))
        assert picture.width < longest + 16 + 4 * 60 + 4
    # Two pairs a row, twice their size, behind the titles.
    right = pixels[:, -4 * 60 :]
    before, after = right[4:60, 4:60], right[4:60, 64:120]
    assert (before != after).any()


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0.0, 5.0, [0, 1, 2, 3, 4, 5]),
        (0.73, 1.0, [0.8, 0.9, 1.0]),
        (-210.0, -40.0, [-200, -150, -100, -50]),
        (3.0, 3.0, [3]),
    ],
)
def test_axes_are_marked_at_round_numbers(low, high, marks):
    assert figures._ticks(low, high) == pytest.approx(marks)


def test_two_models_are_drawn_beside_each_other(run, tiny_run, tmp_path):
    figures.beside([(open_run(tiny_run), run)], tmp_path / "beside.png", rows=2, columns=3)
    with Image.open(tmp_path / "beside.png") as picture:
        prompts = run.recipe.prompts[:2]
        assert picture.text["textvae:prompt"] == " | ".join(prompts)
        width = picture.width
        pixels = picture.convert("L").crop((width - 7 * 30 - 2, 0, width, picture.height))
    # Three of one model, an empty place, three of the other; the two sides differ.
    rows = torch.tensor(list(pixels.tobytes())).view(pixels.height, pixels.width)
    left, empty, right = (rows[2:, 2 + 30 * at :][:, : 28 * n] for at, n in ((0, 1), (3, 1), (4, 1)))
    assert (empty == 255).all()
    assert (left != 255).any()
    assert (right != 255).any()
    assert (left != right).any()


def test_without_a_flow_there_are_no_curves(tiny_run, tiny_data):
    assert sampling_curves(open_run(tiny_run), CPU) == {}
