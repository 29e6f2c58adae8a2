"""A run folder that textvae wrote before its modules moved still opens, draws the same pictures, and resumes."""

import json
import shutil
from pathlib import Path

import safetensors.torch
import torch
from helpers import tiny

from textvae.models.base import TextVAE
from textvae.runs.find import shipped_models
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


def test_a_setting_of_later_versions_means_what_was_done_before_it_existed(tmp_path) -> None:
    run = shutil.copytree(shipped_models()["flowers"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    later = {"prior": ("spacing", "solver", "word_dropout"), "trainer": ("weight_decay", "optimizer")}
    for name in later["prior"]:
        del config["flow"]["model"]["prior"][name]
    for name in later["trainer"]:
        del config["flow"]["trainer"][name]
    del config["model"]["perceptual"]
    (run / "config.json").write_text(json.dumps(config))
    recipe, today = open_run(run).recipe, open_run("flowers").recipe
    assert recipe.flow is not None
    assert today.flow is not None
    prior = recipe.flow.model.prior
    assert (prior.spacing, prior.solver, prior.word_dropout) == (1.0, "heun", 0.0)
    assert (prior.guidance, prior.width) == (today.flow.model.prior.guidance, today.flow.model.prior.width)
    assert (recipe.flow.trainer.weight_decay, recipe.flow.trainer.optimizer) == (0.0, "adam")
    assert recipe.model.perceptual == 0.0
    assert recipe.flow.trainer.epochs == today.flow.trainer.epochs
