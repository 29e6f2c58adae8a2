import pytest
import torch
from helpers.flows import untrained_flow_run

from textvae.evaluation import curves as module
from textvae.evaluation.curves import sampling_curves
from textvae.runs.run import open_run

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path, tiny_data):
    """A run folder of a small latent-flow-fashion with random weights and few-step sampling."""
    return untrained_flow_run(tmp_path / "run")


@pytest.mark.slow
def test_curves_are_measured(run, monkeypatch):
    monkeypatch.setattr(module, "GUIDANCE", (1.0, 3.0))
    monkeypatch.setattr(module, "STEPS", (1, 2, 4))
    monkeypatch.setattr(module, "CLASSIFIED", 24)
    found = sampling_curves(run, CPU)
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
