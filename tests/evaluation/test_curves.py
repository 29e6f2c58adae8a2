import dataclasses

import pytest
import torch
from torch import nn

from textvae.evaluation import curves as module
from textvae.evaluation.curves import sampling_curves
from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.priors import FlowPrior
from textvae.recipes.recipe import FlowStage
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run, write_config, write_weights

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path, tiny_data):
    """A run folder of a small latent-flow-fashion with random weights and few-step sampling."""
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
def test_curves_are_measured(run, monkeypatch):
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
    assert curves["samples"] == 24


def test_without_a_flow_there_are_no_curves(tiny_run, tiny_data):
    assert sampling_curves(open_run(tiny_run), CPU) == {}
