"""A run folder that textvae wrote before its modules moved still opens, draws the same pictures, and resumes."""

import shutil
from pathlib import Path

import safetensors.torch
import torch
from helpers import tiny

from textvae.models.base import TextVAE
from textvae.runs.run import open_run

OLD = Path(__file__).parents[1] / "helpers" / "old_run"
SETTINGS = (
    "--trainer.epochs", "4", "--trainer.batch-size", "32", "--trainer.ema-decay", "0.9", "--prior", "flow",
    "--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.trainer.epochs", "2",
    "--flow.stride-epochs", "1",
)  # fmt: skip
"""As it was trained."""


def test_its_weights_mean_what_they_meant() -> None:
    model = open_run(OLD).load_model()
    assert isinstance(model, TextVAE)
    expected = safetensors.torch.load_file(OLD / "expected.safetensors")
    drawn = model.sample(expected["condition"], expected["noise"])
    torch.testing.assert_close(drawn, expected["drawn"], rtol=0, atol=1e-5)
    again = model.reconstruct(expected["drawn"], expected["condition"])
    torch.testing.assert_close(again, expected["reconstructed"], rtol=0, atol=1e-5)


def test_the_command_that_trained_it_finds_it_finished(textvae, tmp_path) -> None:
    run = shutil.copytree(OLD, tmp_path / "run")
    before = (run / "model.safetensors").read_bytes()
    code, _, err = textvae("train", "label-conv", "--out", run, *tiny.HOW, *tiny.SMALL_CONV, *SETTINGS)
    assert code == 0, err
    assert "trained already" in err
    assert (run / "model.safetensors").read_bytes() == before
