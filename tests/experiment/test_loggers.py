"""Loggers get what history.jsonl holds, once, also over a resume."""

import json
import sys
import types
from pathlib import Path

import pytest
from helpers import tiny
from PIL import Image

from textvae import UserError
from textvae.experiment.loggers import Logger, Logging, TensorBoard, logging_to
from textvae.experiment.stages import Stage
from textvae.runs.files import SAMPLES
from textvae.runs.run import read_history

EVENTS = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


class Recorder:
    """A logger that keeps what it gets."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, dict[str, float]]] = []
        self.rates: list[tuple[int, dict[str, float]]] = []
        self.samples: list[int] = []

    def log_losses(self, step: int, losses: dict[str, float]) -> None:
        self.losses.append((step, dict(losses)))

    def log_rates(self, step: int, rates: dict[str, float]) -> None:
        self.rates.append((step, dict(rates)))

    def log_samples(self, step: int, samples: Image.Image) -> None:
        self.samples.append(step)


def written(out: Path, *rows: dict) -> None:
    (out / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(stage: str, step: int, seconds: float, **more: object) -> dict:
    return {"stage": stage, "step": step, "epoch": 1, "seconds": seconds, "loss": {"total": float(step)}, **more}


def test_rows_are_logged_once_with_steps_that_count_on_over_stages(tmp_path):
    log = Recorder()
    assert isinstance(log, Logger)
    callback = Logging(log)
    rows = [row("model", 10, 1.0), row("model", 30, 3.0, validation={"kl": 2.0}, watched={"mine": 7.0})]
    written(tmp_path, *rows)
    Image.new("RGB", (4, 4)).save(tmp_path / SAMPLES)
    stage = object.__new__(Stage)
    optimizer = types.SimpleNamespace(param_groups=[{"lr": 0.5}])
    stage.training = types.SimpleNamespace(optimizer=optimizer)  # type: ignore[assignment]
    callback.on_checkpoint(stage, tmp_path)
    callback.on_checkpoint(stage, tmp_path)
    assert log.losses == [
        (10, {"model/total": 10.0}),
        (30, {"model/total": 30.0, "model/validation/kl": 2.0, "model/watched/mine": 7.0}),
    ]
    assert log.rates == [(30, {"steps_per_second": 10.0}), *[(30, {"learning_rate/0": 0.5})] * 2]
    assert log.samples == [30]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EVENTS.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    assert events.Tags()["images"] == ["samples"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.slow
def test_tensorboard_shows_what_history_says_also_after_more_epochs(textvae, tmp_path):
    run = tmp_path / "run"
    words = ("train", "label-conv", "--out", run, "--log", "tensorboard", *tiny.HOW, *tiny.SMALL_CONV)
    for epochs in ("1", "2"):
        code, _, err = textvae(*words, "--trainer.epochs", epochs)
        assert code == 0, err
        history, shown = read_history(run), scalars(run / "tensorboard")
        for name in history[-1]["loss"]:
            expected = [(one["step"], pytest.approx(one["loss"][name], rel=1e-5)) for one in history]
            assert shown[f"model/{name}"] == expected
        assert shown["rates/learning_rate/0"][-1] == (history[-1]["step"], pytest.approx(1e-3))


@pytest.mark.slow
@pytest.mark.parametrize("package", ["trackio", "wandb"])
def test_dashboards_get_the_same(textvae, tmp_path, monkeypatch, package):
    got: list[dict] = []
    module = types.ModuleType(package)
    module.init = lambda **facts: got.append(facts)  # type: ignore[attr-defined]
    module.log = lambda values, step: got.append(values)  # type: ignore[attr-defined]
    module.Image = lambda image: image.size  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, module)
    words = ("train", "label-conv", "--out", tmp_path / "run", "--log", package, *tiny.HOW, *tiny.SMALL_CONV)
    assert textvae(*words, "--trainer.epochs", "1")[0] == 0
    assert got[0] == {"project": "textvae", "name": "run"}
    assert {name for values in got[1:] for name in values} >= {"model/total", "rates/learning_rate/0", "samples"}


def test_a_logger_that_is_not_installed_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UserError, match="pip install trackio"):
        logging_to("trackio", tmp_path)
    with pytest.raises(UserError, match="tensorboard"):
        logging_to("stdout", tmp_path)
    assert isinstance(logging_to("tensorboard", tmp_path).logger, TensorBoard)
    assert not list(tmp_path.iterdir())
