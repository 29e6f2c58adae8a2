"""What a user can get wrong: exit code 2, a cause and a cure, no traceback, and nothing is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny
from PIL import Image
from safetensors.torch import load_file

from textvae.runs.files import CONFIG, METRICS, MODEL
from textvae.runs.run import write_weights

FLOW = ("--prior", "flow")
GUIDED = ("--flow.model.prior.guidance-input", "4.0", "--flow.guidance-epochs", "1")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The current folder, with files to be confused by."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.txt").write_bytes(b"a caf\xe9\n")
    (tmp_path / "captions.txt").write_text("a dress\na coat\n")
    Image.new("L", (28, 28), 99).save(tmp_path / "picture.png")
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    return tmp_path


def refused(textvae, *words: object) -> str:
    code, out, err = textvae(*words)
    assert (code, out) == (2, ""), err
    cause, cure = err.strip().splitlines()[-2:]
    assert cause.startswith("textvae: ")
    assert cure.strip()
    return cause


@pytest.mark.parametrize(
    "options",
    [
        *([f"--model.{name}", value] for name in ("latent-dim", "embedding-dim") for value in ("0", "-3")),
        ["--model.channels", "0", "8", "8"],
        *(["--trainer.learning-rate", value] for value in ("0", "-1", "inf", "nan")),
        ["--trainer.batch-size", "0"],
        ["--trainer.epochs", "0"],
        ["--trainer.seed", "-1"],
        ["--trainer.weight-decay", "inf"],
        ["--trainer.ema-decay", "1.5"],
        ["--trainer.validation-images", "300"],
        ["--limit", "-5"],
        ["--sample-every", "0"],
        ["--threads", "-3"],
        ["--threads", "100000"],
        ["--device", "cuda:99"],
        ["--out", "file"],
        ["--out", "file/run"],
        *([*FLOW, f"--flow.model.prior.{name}", "-1"] for name in ("width", "depth", "sides", "patch", "heads")),
        [*FLOW, "--flow.model.prior.guidance", "inf"],
        [*FLOW, "--flow.model.prior.steps", "0"],
        [*FLOW, "--flow.model.size", "0"],
        [*FLOW, "--flow.model.size", "7"],
        [*FLOW, "--flow.model.reader", "taught"],
        [*FLOW, "--flow.trainer.learning-rate", "inf"],
        [*FLOW, "--flow.stride-epochs", "-1"],
        [*FLOW, "--flow.model.prior.guidance-input", "1.2", "--flow.guidance-epochs", "1"],
        [*FLOW, "--flow.model.prior.guidance-input", "4.0"],
        [*FLOW, "--flow.guidance-epochs", "1"],
        [*FLOW, *GUIDED, "--flow.stride-epochs", "1"],
        [*FLOW, "--flow.autoguidance", "1.5"],
        [*FLOW, *GUIDED, "--flow.autoguidance", "0.5"],
        [*FLOW, "--flow.stride-epochs", "1", "--flow.model.prior.steps", "6"],
    ],
    ids=" ".join,
)
def test_train(textvae, place, options):
    before = sorted(place.rglob("*"))
    refused(textvae, "train", "label-conv", *tiny.HOW, *([] if "--out" in options else ["--out", "run"]), *options)
    assert [path for path in sorted(place.rglob("*")) if path.name != "run"] == before


@pytest.mark.parametrize(
    ("recipe", "options"),
    [("label-dense", ["--model.image-size", "32"]), ("latent-flow-fashion", ["--model.image-shape", "1", "56", "56"])],
)
def test_a_model_of_another_image_size_than_the_data(textvae, place, recipe, options):
    before = sorted(place.rglob("*"))
    cause = refused(textvae, "train", recipe, *tiny.HOW, "--out", "run", *options)
    assert "28 x 28 pixels of 1 channel" in cause
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        *(["generate", "RUN", "a dress", *options] for options in (
            ["--num-images", "0"], ["--num-images", "1000000000"], ["--scale", "10000"], ["--seed", "-1"],
            ["--out", "folder"], ["--out", "file/x.png"], ["--out", "x.pdf"], ["--out", "-"], ["--out", "/dev/null"],
            ["--prompts-file", "latin.txt"], ["--prompts-file", "folder"], ["--guidance", "nan"], ["--steps", "0"],
        )),
        ["generate", "RUN", "caf\udce9"],
        ["generate", "RUN", "\x1b[2Jgone"],
        ["interpolate", "RUN", "a dress", "a coat", "--frames", "100000"],
        ["interpolate", "RUN", "a dress", "a coat", "--seed", "-1"],
        *(["reconstruct", "RUN", name] for name in ("dot.png", "file", "folder", "missing.png")),
        ["caption", "RUN", "picture.png", "--choices", "latin.txt"],
        ["caption", "RUN", "picture.png", "--choices", "captions.txt", "--samples", "0"],
        ["caption", "RUN", "picture.png", "--choices", "captions.txt", "--seed", "-1"],
        *(["evaluate", "RUN", *options] for options in (
            ["--importance-samples", "0"], ["--num-samples", "1"], ["--num-samples", "65"], ["--seed", "-1"],
            ["--out", "folder"], ["--out", "file/x.json"],
        )),
        ["data", "prepare", "folder", "--workers", "-2"],
        ["data", "prepare", "folder", "--seed", "-1"],
        ["data", "prepare", "folder", "--fraction", "nan"],
        ["data", "describe", "fashion-mnist", "--out", "file/x.png"],
        ["sweep", "label-conv", "model.latent-dim", "0", "1", "--epochs", "1"],
        ["ship", "RUN", "../../evil"],
    ],
    ids=lambda words: " ".join(words).encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_other_verbs(textvae, tiny_run, place, words):
    cause = refused(textvae, *[str(tiny_run) if word == "RUN" else word for word in words])
    assert "\x1b" not in cause


@pytest.mark.slow
@pytest.mark.parametrize("black", [False, True])
def test_few_or_black_test_images_leave_metrics_absent(textvae, tiny_run, place, monkeypatch, black):
    from textvae import data

    plain = type(data.SOURCES["fashion-mnist"]).load

    def load(self, split: str):
        images = plain(self, split)
        if black:
            images.images.zero_()
        return images

    monkeypatch.setattr(type(data.SOURCES["fashion-mnist"]), "load", load)
    count = 20 if black else 2
    code, _, err = textvae(
        "evaluate", tiny_run, "--num-samples", count, "--importance-samples", 2, "--out", place / "m.json"
    )
    assert code == 0, err
    measured = json.loads((place / "m.json").read_text())
    assert any(name.startswith("generation.diversity_within_class") for name in measured["absent"])


@pytest.mark.slow
def test_a_run_of_a_later_version_is_refused_and_broken_metrics_are_replaced(textvae, tiny_run, place):
    run = Path(shutil.copytree(tiny_run, place / "run"))
    (run / METRICS).write_text("[]")
    code, _, err = textvae("evaluate", run, "--num-samples", 11, "--importance-samples", 2)
    assert code == 0, err
    config = json.loads((run / CONFIG).read_text())
    (run / CONFIG).write_text(json.dumps(config | {"textvae": "99.0.1"}))
    assert "99.0" in refused(textvae, "generate", run, "a dress")


def test_weights_that_are_not_finite_are_refused(textvae, tiny_run, place):
    run = Path(shutil.copytree(tiny_run, place / "run"))
    weights = load_file(run / MODEL)
    next(iter(weights.values())).fill_(torch.nan)
    write_weights(run, weights)
    for words in (["generate", run, "a dress"], ["evaluate", run, "--num-samples", 4]):
        assert "not finite" in refused(textvae, *words)


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii_gets_escapes(tiny_data, place):
    (place / "猫.txt").write_text("a dress\n")
    process = subprocess.run(
        [sys.executable, "-m", "textvae", "generate", "fashion", "--prompts-file", "猫.txt", "--num-images", "1",
         "--out", "猫.png"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("\\u732b.png")
    assert (place / "猫.png").is_file()
