"""A training that is cut off at any moment, and goes on by the same command, ends in the same bits."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from helpers import tiny

from textvae import data
from textvae.experiment import stages
from textvae.experiment import train as experiment
from textvae.experiment.early_stopping import EarlyStopping
from textvae.experiment.stages import start_stage, trainer_of
from textvae.models.with_flow import WithFlow
from textvae.recipes.conditions import training_conditions
from textvae.recipes.resolve import resolve
from textvae.runs import checkpoint
from textvae.runs import run as runs
from textvae.runs.checkpoint import STATE, read_state
from textvae.runs.files import CARD, CONFIG, HISTORY, MODEL
from textvae.runs.run import open_run, read_history
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.errors import UserError
from textvae.utils.images import read_metadata
from textvae.utils.processes import Processes

EMA = (
    *("--trainer.epochs", "3", "--trainer.batch-size", "48"),
    *("--trainer.ema-decay", "0.9", "--trainer.schedule", "cosine"),
)
"""3 x 6 steps."""
MUON = (*EMA, "--trainer.optimizer", "muon", "--model.channels", "4", "32", "32")
EARLY = (
    *("--trainer.epochs", "30", "--trainer.batch-size", "48", "--trainer.learning-rate", "5e-2"),
    *("--trainer.validation-images", "64", "--trainer.patience", "2"),
)
"""4 steps an epoch; the rate is so high that patience runs out after a few."""


def words(out: Path, *settings: str) -> list[str]:
    """The training that is cut off here."""
    return ["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *settings]


def step_of(out: Path) -> int:
    """Where the checkpoint stands; 0 before there is one."""
    state = read_state(out)
    return state["training"]["step"] if state else 0


def stopped(out: Path, settings: tuple[str, ...], number: signal.Signals, at: int) -> tuple[int, str, str]:
    """Runs the command in a process, with a checkpoint each step, until step ``at``; then sends it a signal."""
    process = tiny.start(*words(out, *settings), TINY_CHECKPOINT_S="0", TINY_STEP_S="0.05")
    deadline = time.monotonic() + 240
    while step_of(out) < at:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    return tiny.finished(process)


@pytest.mark.slow
def test_killed_twice_ends_in_the_same_bits(tmp_path, textvae):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for at in (2, 9):
        code, out, _ = stopped(cut, EMA, signal.SIGKILL, at)
        assert (code, out) == (-signal.SIGKILL, "")
        assert at <= step_of(cut) < 18
    code, _, err = tiny.finished(tiny.start(*words(cut, *EMA)))
    assert code == 0, err
    assert f"{cut}: resuming at step" in err
    assert textvae(*words(whole, *EMA))[0] == 0
    assert step_of(whole) == 18
    assert (cut / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    # Rows of the history are means since the row before, across a resumption too.
    losses = [[(row["step"], row["loss"]) for row in read_history(run)] for run in (cut, whole)]
    assert [step for step, _ in losses[0]] == [6, 12, 18]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_ctrl_c_and_a_termination_finish_the_step_and_end_in_the_same_bits(tmp_path, textvae):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for number, at in ((signal.SIGINT, 1), (signal.SIGTERM, 6)):
        code, out, err = stopped(cut, EARLY, number, at)
        assert code == 130, err
        assert out.startswith(f"{cut}: interrupted")
        assert "the same command resumes there" in err
        assert "Traceback" not in err
        assert not read_state(cut)["complete"]
    assert textvae(*words(cut, *EARLY))[0] == 0
    assert textvae(*words(whole, *EARLY))[0] == 0
    # Stopped early, with the weights of the best epoch.
    losses = [row["validation"]["loss"] for row in read_history(whole)]
    assert len(losses) < 30
    assert losses.index(min(losses)) == len(losses) - 3
    assert read_state(whole)["best"]["loss"] == min(losses)
    assert (cut / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    assert [row["validation"] for row in read_history(cut)] == [row["validation"] for row in read_history(whole)]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [EMA, EARLY, MUON], ids=["ema", "early-stopping", "muon"])
def test_a_crash_in_any_write_of_any_step_changes_nothing(tmp_path, textvae, monkeypatch, settings):
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY_S", 0.0)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert textvae(*words(whole, *settings))[0] == 0
    for writer in ("write_weights", "write_history", "sync_folder"):
        plain = getattr(checkpoint, writer)
        for survives in (0, 1, 2):
            left = [survives]

            def write(*arguments, plain=plain, left=left):
                if left[0] == 0:
                    raise OSError(errno.ENOSPC, "the disk is full")
                left[0] -= 1
                plain(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(checkpoint, writer, write)
                code, _, err = textvae(*words(cut, *settings))
                assert code == 2
                assert "the disk is full" in err
    assert textvae(*words(cut, *settings))[0] == 0
    assert (cut / MODEL).read_bytes() == (whole / MODEL).read_bytes()


@pytest.mark.slow
def test_the_same_command_after_the_end_does_nothing(tmp_path, textvae):
    out = tmp_path / "run"
    assert textvae(*words(out, *EMA))[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    code, text, err = textvae(*words(out, *EMA))
    assert code == 0
    assert "trained already" in err
    assert text.startswith(f"{out}: trained in ")
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.fixture
def copied_run(tiny_run, tmp_path) -> Path:
    """A copy of the finished run, to break."""
    return Path(shutil.copytree(tiny_run, tmp_path / "copy"))


def again(out: Path) -> list[str]:
    """The command that made the finished run."""
    from conftest import TINY_RUN

    return words(out, *TINY_RUN)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (("--trainer.seed", "1"), "trainer.seed was 0, now 1"),
        (("--model.latent-dim", "5"), "model.latent_dim was 4, now 5"),
        (("--limit", "100"), "data.fingerprint was"),
        (("--precision", "bf16"), "was trained in fp32, not bf16"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_lost(copied_run, textvae, other, said):
    before = {path.name: path.read_bytes() for path in copied_run.iterdir()}
    code, out, err = textvae(*again(copied_run), *other)
    assert code == 2
    assert out == ""
    assert said in err
    assert {path.name: path.read_bytes() for path in copied_run.iterdir()} == before


def test_another_recipe_is_refused(copied_run, textvae):
    code, _, err = textvae("train", "label-dense", "--out", copied_run)
    assert code == 2
    assert "recipe was 'label-conv', now 'label-dense'" in err


def test_a_folder_that_is_no_run_is_left_alone(tmp_path, textvae):
    (tmp_path / "thesis.txt").write_text("years of work")
    for out in (tmp_path, tmp_path / "thesis.txt"):
        code, _, err = textvae(*words(out))
        assert code == 2
        assert "exists and is not a run" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.slow
def test_an_empty_folder_is_welcome(tmp_path, textvae):
    assert textvae(*words(tmp_path, "--trainer.epochs", "1"))[0] == 0
    assert {CONFIG, MODEL, STATE, HISTORY} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("left", [".lock", ".config.json.abcd1234.part"])
def test_what_a_killed_training_left_does_not_make_a_folder_foreign(tmp_path, textvae, left):
    (tmp_path / left).touch()
    assert textvae(*words(tmp_path, "--trainer.epochs", "1"))[0] == 0
    assert not (tmp_path / left).exists()


@pytest.mark.slow
def test_a_second_training_of_a_run_is_refused_and_the_lock_ends_with_the_process(tmp_path, textvae):
    out = tmp_path / "run"
    process = tiny.start(*words(out, *EMA), TINY_STEP_S="0.5")
    while not (out / CONFIG).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    code, _, err = textvae(*words(out, *EMA))
    assert code == 2
    assert "is being trained by another process" in err
    assert process.poll() is None
    process.kill()
    tiny.finished(process)
    assert textvae(*words(out, *EMA))[0] == 0


def test_a_planted_link_is_not_followed(tmp_path, textvae):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "thesis.txt")
    code, _, err = textvae(*words(tmp_path / "run"))
    assert code == 2
    assert "symbolic link" in err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(copied_run, tmp_path, textvae):
    torch.save({"training": Payload(tmp_path / "owned")}, copied_run / STATE)
    code, _, err = textvae(*again(copied_run))
    assert code == 2
    assert "as a checkpoint" in err
    assert not (tmp_path / "owned").exists()
    # The file is dangerous indeed.
    torch.load(copied_run / STATE, weights_only=False)
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused(copied_run, textvae, share):
    content = (copied_run / STATE).read_bytes()
    (copied_run / STATE).write_bytes(content[: int(share * len(content))])
    code, _, err = textvae(*again(copied_run))
    assert code == 2, err
    assert "as a checkpoint" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("state", [{}, [], {"training": 3}, {"training": {"step": 1}, "best": {}, "complete": False}])
def test_a_checkpoint_of_something_else_is_refused(copied_run, textvae, state):
    torch.save(state, copied_run / STATE)
    code, _, err = textvae(*again(copied_run))
    assert code == 2, err
    assert "as a checkpoint" in err


def moments(state: dict) -> dict[int, dict[str, torch.Tensor]]:
    return state["training"]["optimizer"]["state"]


def too_small(state: dict) -> None:
    for entry in moments(state).values():
        entry["exp_avg"] = entry["exp_avg_sq"] = torch.zeros(1)


def of_another_type(state: dict) -> None:
    moments(state)[0]["exp_avg"] = moments(state)[0]["exp_avg"].double()


def sparse(state: dict) -> None:
    moments(state)[0]["exp_avg"] = moments(state)[0]["exp_avg"].to_sparse()


def not_finite(state: dict) -> None:
    moments(state)[0]["exp_avg_sq"].fill_(torch.nan)


def of_more_parameters(state: dict) -> None:
    moments(state)[10_000] = moments(state)[0]


def ruined(state: dict) -> None:
    next(iter(state["training"]["model"].values())).fill_(torch.inf)


def of_another_kind(state: dict) -> None:
    state["training"]["optimizer"] = {"muon": {}, "adam": {}}


@pytest.mark.parametrize(
    "change",
    [
        too_small,
        of_another_type,
        sparse,
        not_finite,
        of_more_parameters,
        ruined,
        of_another_kind,
        lambda state: state["training"].update(step=-1),
        lambda state: state["training"].update(step=10**6),
        lambda state: state["training"].update(step=3.5),
        lambda state: state.update(seconds=float("inf")),
        lambda state: state.update(history=[{"loss": "low"}]),
        lambda state: state.update(best={"loss": "low"}),
        lambda state: state.update(best={"weights": {"weight": torch.zeros(1)}}),
        lambda state: state.update(stage="flaw"),
        lambda state: state.update(weights="0" * 64),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(copied_run, textvae, change):
    state = read_state(copied_run)
    state["complete"] = False
    change(state)
    torch.save(state, copied_run / STATE)
    code, _, err = textvae(*again(copied_run))
    assert code == 2, err
    assert "as a checkpoint" in err


@pytest.mark.slow
def test_moments_of_the_wrong_size_do_not_corrupt_memory(copied_run, textvae):
    state = read_state(copied_run)
    state["complete"], state["training"]["step"] = False, 0
    too_small(state)
    torch.save(state, copied_run / STATE)
    code, _, err = tiny.finished(tiny.start(*again(copied_run)))
    assert code == 2, err  # not -11, a segmentation fault
    assert "does not have its parameter's shape" in err


def test_step_sizes_come_from_the_settings_and_not_from_the_checkpoint(copied_run, tiny_data, cpu):
    recipe, state = open_run(copied_run).recipe, read_state(copied_run)
    for group in state["training"]["optimizer"]["param_groups"]:
        group["lr"], group["weight_decay"] = 1e9, 1e9
    conditions = training_conditions(tiny_data, recipe)
    training = start_stage("model", recipe, tiny_data, conditions, cpu, copied_run, {}, Processes()).training
    training.load_state_dict(state["training"])
    assert {group["lr"] for group in training.optimizer.param_groups} == {recipe.trainer.learning_rate}
    assert {group["weight_decay"] for group in training.optimizer.param_groups} == {0.0}
    stored = read_state(copied_run)["training"]["optimizer"]["state"]
    loaded = training.optimizer.state_dict()["state"]
    assert all(loaded[i][name].equal(stored[i][name]) for i in stored for name in stored[i])


def test_a_flipped_bit_in_the_weights_is_noticed(copied_run):
    content = bytearray((copied_run / MODEL).read_bytes())
    content[-100] ^= 1
    (copied_run / MODEL).write_bytes(content)
    with pytest.raises(UserError, match="checksum"):
        open_run(copied_run).load_model()


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.99])
def test_truncated_weights_are_refused(copied_run, share):
    content = (copied_run / MODEL).read_bytes()
    (copied_run / MODEL).write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="does not hold this model"):
        open_run(copied_run).load_model()


def test_weights_of_another_model_are_refused(copied_run):
    runs.write_weights(copied_run, {"weight": torch.zeros(2)})
    with pytest.raises(UserError, match="does not hold this model"):
        open_run(copied_run).load_model()


def test_missing_weights_are_explained(copied_run):
    (copied_run / MODEL).unlink()
    with pytest.raises(UserError, match=f"has no {MODEL}"):
        open_run(copied_run).load_model()


@pytest.mark.slow
def test_a_divergence_keeps_the_last_checkpoint(tmp_path, textvae, monkeypatch):
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY_S", 0.0)
    plain = Training._update

    def update(self) -> None:
        plain(self)
        if self.step == 6:  # the seventh step ruins the weights, behind a loss that is finite
            with torch.no_grad():
                self.model.to_grid.weight.fill_(torch.inf)

    monkeypatch.setattr(Training, "_update", update)
    code, out, err = textvae(*words(tmp_path / "run", *EMA))
    assert (code, out) == (2, "")
    assert "step 7: the term 'weights' is not finite" in err
    assert step_of(tmp_path / "run") == 6
    weights = open_run(tmp_path / "run").load_model().state_dict()
    assert all(weight.isfinite().all() for weight in weights.values())
    monkeypatch.setattr(Training, "_update", plain)
    assert textvae(*words(tmp_path / "run", *EMA))[0] == 0


@pytest.mark.slow
def test_a_stop_in_the_last_step_of_a_stage_is_obeyed(tmp_path, textvae, monkeypatch):
    plain = Training._update

    def update(self) -> None:
        plain(self)
        if self.step + 1 == self.total_steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "_update", update)
    out = tmp_path / "run"
    asked = words(out, *FLOW)
    for stage in ("model", "flow"):
        code, _, err = textvae(*asked)
        assert code == 130, err
        state = read_state(out)
        assert (state["stage"], state["complete"]) == (stage, True)
    # In the last step of the last stage there is nothing left to stop.
    assert textvae(*asked)[0] == 0
    assert (out / CARD).is_file()
    # A card that was not written, or before a later stage was trained, is written now.
    (out / CARD).write_text("old")
    assert textvae(*asked)[0] == 0
    assert "label-conv" in (out / CARD).read_text()


def test_another_torch_or_device_is_told(tmp_path, textvae, copied_run):
    config = json.loads((copied_run / CONFIG).read_text())
    config["execution"] |= {"torch": "1.0\x1b[2J", "device": "cuda:0"}
    (copied_run / CONFIG).write_text(json.dumps(config))
    code, _, err = textvae(*again(copied_run))
    assert code == 0, err
    assert "torch 1.0\\x1b[2J before" in err
    assert "device cuda:0 before, cpu now" in err


def test_config_json_says_how_it_was_carried_out(tiny_run):
    config = json.loads((tiny_run / CONFIG).read_text())
    assert config["recipe"] == "label-conv"
    assert config["model"]["channels"] == [4, 8, 8]
    assert config["data"]["name"] == "fashion-mnist"
    assert config["execution"]["precision"] == "fp32"
    assert open_run(tiny_run).recipe.model.channels == (4, 8, 8)
    assert open_run(tiny_run).recipe.trainer.epochs == 40


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("recipe", "label-conf", "label-conf"),
        ("recipe", 3, "it names no recipe"),
        ("model", {"chanels": [4, 8, 8]}, "there is no setting 'chanels'"),
        ("model", {"latent_dim": "4"}, "'4' is a str, not a int"),
        ("model", {"latent_dim": True}, "True is a bool, not a int"),
        ("model", {"latent_dim": None}, "None is a NoneType, not a int"),
        ("trainer", None, "trainer"),
        ("model", {"channels": [4, 8]}, "channels"),
        ("model", {"likelihood": "poisson"}, "likelihood"),
        ("model", [], "model"),
        ("trainer", {"epochs": 0}, "epochs 0 is out of range"),
        ("minutes", "ten", "its minutes is no number"),
        ("start", {}, "its start names no model"),
        ("prompts", [1], "its prompts are no list of texts"),
        ("prompts", "a dress", "its prompts are no list of texts"),
    ],
)
def test_a_config_json_that_makes_no_sense_is_refused(copied_run, part, value, said):
    config = json.loads((copied_run / CONFIG).read_text())
    (copied_run / CONFIG).write_text(json.dumps(config | {part: value}))
    with pytest.raises(UserError, match=said):
        open_run(copied_run)


@pytest.mark.parametrize("wrong", [{"validation": [1]}, {"epoch": "x"}, {"stage": [1]}, {"loss": {"kl": None}}])
def test_a_history_that_makes_no_sense_is_refused(copied_run, wrong):
    rows = read_history(copied_run)
    (copied_run / HISTORY).write_text(json.dumps(rows[0] | wrong) + "\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_history(copied_run)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_config_json_that_is_no_json_object_is_refused(copied_run, content):
    (copied_run / CONFIG).write_text(content)
    with pytest.raises(UserError, match="be read"):
        open_run(copied_run)


TWO_STAGES = (
    *("--prior", "flow", "--trainer.epochs", "1", "--trainer.batch-size", "48"),
    *("--flow.trainer.epochs", "2", "--flow.trainer.batch-size", "64"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)
FLOW = (*TWO_STAGES, "--flow.stride-epochs", "1")
"""6 steps of the model, 8 of its flow, 4 of the flow's strides."""
GUIDED = (*TWO_STAGES, "--flow.guidance-epochs", "1", "--flow.model.prior.guidance-input", "4.0")
"""6 steps of the model, 8 of its flow, 4 in which it learns to read the guidance scale."""
AUTOGUIDED = (*GUIDED, "--flow.autoguidance", "1.5")
"""The same, also guided away from a weak version of the flow."""
STAGES = [("model", 6), ("flow", 4), ("flow", 8), ("strides", 4)]


def standing(out: Path) -> tuple[str, int]:
    """The stage and the step of the checkpoint."""
    state = read_state(out)
    return (state["stage"], state["training"]["step"]) if state else ("", 0)


@pytest.fixture(scope="module")
def flow_run(tiny_cache, tmp_path_factory) -> Path:
    """A run of three stages that was never cut off; read it, don't write into it."""
    out = tmp_path_factory.mktemp("runs") / "flow"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTVAE_CACHE", str(tiny_cache))
        patch.delenv("TEXTVAE_DATA", raising=False)
        code, _, err = tiny.finished(tiny.start(*words(out, *FLOW)))
    assert code == 0, err
    return out


@pytest.mark.slow
def test_stages_follow_each_other_and_history_names_them(flow_run):
    history = read_history(flow_run)
    assert [(row["stage"], row["step"]) for row in history] == STAGES
    assert [sorted(row["loss"]) for row in history] == [
        ["kl", "reconstruction", "total"],
        ["total", "velocity"],
        ["total", "velocity"],
        ["stride", "total", "velocity"],
    ]
    seconds = [row["seconds"] for row in history]
    assert seconds == sorted(seconds)
    model = open_run(flow_run).load_model()
    assert isinstance(model, WithFlow)
    assert bool(model.prior.strides)
    assert json.loads((flow_run / CONFIG).read_text())["flow"]["stride_epochs"] == 1


@pytest.mark.slow
def test_strides_are_learned_in_quarter_steps_and_begin_with_the_flow_s_average(flow_run, tiny_data, cpu):
    recipe, images = open_run(flow_run).recipe, tiny_data
    before = read_state(flow_run)["training"]
    conditions = training_conditions(images, recipe)
    stage = start_stage("strides", recipe, images, conditions, cpu, flow_run, before, Processes())
    assert stage.config.learning_rate == pytest.approx(recipe.flow.trainer.learning_rate / 4)
    assert stage.config.epochs == 1
    model = stage.training.model
    assert model.few_step
    kept = before["averaged" if recipe.flow.trainer.ema_decay else "model"]
    assert all(weight.equal(kept[f"prior.{name}"]) for name, weight in model.prior.named_parameters())
    assert start_stage("flow", recipe, images, conditions, cpu, flow_run, {}, Processes()).config == recipe.flow.trainer


@pytest.mark.slow
def test_the_flow_holds_out_images_of_which_no_mirrored_one_is_trained_on(flow_run, tiny_data, cpu):
    recipe = open_run(flow_run).recipe
    conditions = training_conditions(tiny_data, recipe)

    def moments(**settings):
        trainer = dataclasses.replace(recipe.flow.trainer, **settings)
        chosen = dataclasses.replace(recipe, flow=dataclasses.replace(recipe.flow, trainer=trainer))
        training = start_stage("flow", chosen, tiny_data, conditions, cpu, flow_run, {}, Processes()).training
        return training, training.rows.gather(torch.arange(len(training.rows)), torch.zeros(len(training.rows)))[0]

    both, everything = moments(flip=True)
    training, found = moments(flip=True, validation_images=56)
    assert (both.num_training, training.num_training, len(found)) == (512, 400, 456)
    torch.testing.assert_close(found[:200], everything[:200])
    torch.testing.assert_close(found[200:400], everything[256:456])
    torch.testing.assert_close(found[400:], everything[200:256])


@pytest.mark.slow
def test_killed_in_every_stage_ends_in_the_same_bits(tmp_path, tiny_data, flow_run):
    cut = tmp_path / "cut"
    for at in (("model", 3), ("flow", 5), ("strides", 2)):
        process = tiny.start(*words(cut, *FLOW), TINY_CHECKPOINT_S="0", TINY_STEP_S="0.05")
        deadline = time.monotonic() + 240
        while standing(cut) < at if standing(cut)[0] == at[0] else standing(cut)[0] != at[0]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        assert tiny.finished(process)[0] == -signal.SIGKILL
    code, _, err = tiny.finished(tiny.start(*words(cut, *FLOW)))
    assert code == 0, err
    assert "resuming at step" in err
    assert (cut / MODEL).read_bytes() == (flow_run / MODEL).read_bytes()
    assert [(row["stage"], row["step"]) for row in read_history(cut)] == STAGES


@pytest.mark.slow
def test_a_crash_in_any_write_of_any_stage_changes_nothing(tmp_path, textvae, monkeypatch, flow_run):
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY_S", 0.0)
    cut = tmp_path / "cut"
    for survives in (5, 2, 3, 0, 4, 1):
        for writer in ("write_weights", "sync_folder"):
            plain, left = getattr(checkpoint, writer), [survives]

            def write(*arguments, plain=plain, left=left):
                if left[0] == 0:
                    raise OSError(errno.ENOSPC, "the disk is full")
                left[0] -= 1
                plain(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(checkpoint, writer, write)
                with contextlib.suppress(OSError):
                    textvae(*words(cut, *FLOW))
    assert textvae(*words(cut, *FLOW))[0] == 0
    assert (cut / MODEL).read_bytes() == (flow_run / MODEL).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("options", [GUIDED, AUTOGUIDED], ids=["guidance", "autoguidance"])
def test_the_teacher_of_guidance_is_the_finished_flow_also_after_a_crash(tmp_path, textvae, monkeypatch, options):
    monkeypatch.setattr(experiment, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(stages, "WEAK_STEPS", 4)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert textvae(*words(whole, *options))[0] == 0
    plain, failed = checkpoint.write_weights, []

    def write(folder, weights):
        if standing(cut) == ("guidance", 2) and not failed:
            failed.append(folder)
            raise OSError(errno.ENOSPC, "the disk is full")
        plain(folder, weights)

    with monkeypatch.context() as patch, contextlib.suppress(OSError):
        patch.setattr(checkpoint, "write_weights", write)
        textvae(*words(cut, *options))
    assert standing(cut) == ("guidance", 2)
    assert textvae(*words(cut, *options))[0] == 0
    assert (cut / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    history = read_history(cut)
    assert [(row["stage"], row["step"]) for row in history] == [*STAGES[:3], ("guidance", 4)]
    assert sorted(history[-1]["loss"]) == ["guidance", "total", "velocity"]
    model = open_run(cut).load_model()  # no teacher is in it
    assert not bool(model.prior.strides)
    assert model.prior.velocity.guidance.abs().max() > 0
    flow = tmp_path / "flow"
    assert textvae(*words(flow, *TWO_STAGES, "--flow.model.prior.guidance-input", "0.0"))[0] == 0
    found, wanted = read_state(cut)["training"]["model"], read_state(flow)["training"]
    for name, weight in wanted["averaged" if "averaged" in wanted else "model"].items():
        assert weight.equal(found[name.replace("prior.", "teacher.", 1)])


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "epoch"), [(4, 1), (500, 2)], ids=["early", "at the end of a shorter training"])
def test_autoguidance_keeps_the_flow_as_it_was_after_some_steps(tmp_path, textvae, monkeypatch, steps, epoch):
    monkeypatch.setattr(stages, "WEAK_STEPS", steps)
    out = tmp_path / "run"
    assert textvae(*words(out, *AUTOGUIDED, "--keep-epochs", "1,2"))[0] == 0
    kept = read_state(out)["training"]["model"]
    teacher = {name: weight for name, weight in kept.items() if name.startswith("teacher.")}
    assert all(weight.equal(kept[name.replace("teacher", "weak", 1)]) for name, weight in teacher.items()) == (
        epoch == 2
    )
    snapshot = open_run(out / "epochs" / str(epoch)).load_model().prior.state_dict()
    assert {key.removeprefix("weak.") for key in kept if key.startswith("weak.")} == set(snapshot)
    assert all(kept[f"weak.{name}"].equal(weight) for name, weight in snapshot.items())
    assert not any("weak" in name for name in open_run(out).load_model().state_dict())


def test_a_wrong_monitor_is_refused_in_the_first_step(tmp_path, textvae):
    stopping = ("--trainer.patience", "2", "--trainer.validation-images", "64", "--trainer.monitor", "klo")
    code, _, err = textvae(*words(tmp_path / "run", *stopping, "--trainer.epochs", "2"))
    assert code == 2
    assert "choose one of: loss, reconstruction, kl" in err
    assert not (tmp_path / "run" / MODEL).exists()


def test_a_term_of_the_training_alone_is_no_term_to_monitor():
    training = Mock(Training, config=TrainerConfig(patience=2, validation_images=9, monitor="perceptual"))
    EarlyStopping.check(training.config, ("kl", "perceptual"))
    with pytest.raises(UserError, match="cannot monitor 'perceptual'") as refused:
        EarlyStopping().update(training, {"loss": 2.0, "kl": 1.0})
    assert refused.value.cure == "choose one of: loss, kl"


def test_the_last_stages_monitor_what_their_loss_has():
    flow = ("flow", {"trainer": {"monitor": "contrastive", "patience": 2, "validation_images": 9}})
    recipe = resolve("latent-flow-flowers", overrides={flow[0]: flow[1]})
    assert [trainer_of(recipe, stage).monitor for stage in ("flow", "guidance")] == ["contrastive", "loss"]
    flow[1]["trainer"]["monitor"] = "velocity"
    assert trainer_of(resolve("latent-flow-flowers", overrides=dict([flow])), "guidance").monitor == "velocity"


@pytest.mark.slow
def test_a_finished_run_gets_a_flow_and_keeps_its_model(tmp_path, textvae, flow_run):
    out = tmp_path / "run"
    assert textvae(*words(out, *FLOW[2:6]))[0] == 0
    before = open_run(out).load_model().state_dict()
    assert textvae(*words(out, *FLOW))[0] == 0
    assert (out / MODEL).read_bytes() == (flow_run / MODEL).read_bytes()
    after = open_run(out).load_model()
    assert all(weight.equal(after.vae.state_dict()[name]) for name, weight in before.items())
    # It has one now; the command without it would be another training.
    code, _, err = textvae(*words(out, *FLOW[2:6]))
    assert code == 2
    assert "it has a flow prior (add --prior flow)" in err


def test_a_judge_has_no_prior_to_exchange(tmp_path, textvae):
    code, _, err = textvae("train", "judge-fashion", "--prior", "flow", "--out", tmp_path)
    assert code == 2
    assert "judge-fashion does not train a VAE" in err


@pytest.mark.slow
def test_generate_leads_a_flow_and_nothing_else(tmp_path, textvae, flow_run, tiny_run):
    led = ("--guidance", "3", "--steps", "2", "--negative", "a bag", "--num-images", "2")
    code, _, err = textvae("generate", flow_run, "a dress", *led, "--out", tmp_path / "led.png")
    assert code == 0, err
    facts = read_metadata(tmp_path / "led.png")
    assert (facts["guidance"], facts["steps"], facts["negative"]) == ("3.0", "2", "a bag")
    code, _, err = textvae("generate", tiny_run, "a dress", *led, "--out", tmp_path / "refused.png")
    assert code == 2
    assert "neither a guidance scale nor steps" in err
    assert not (tmp_path / "refused.png").exists()


def test_a_validation_split_with_fewer_images_than_are_held_out_is_refused(tmp_path, tiny_data, cpu, monkeypatch):
    source = Mock(spec=data.SOURCES["fashion-mnist"], splits=("train", "val", "test"))
    source.load = lambda split: tiny_data.first(20) if split == "val" else tiny_data
    monkeypatch.setitem(data.SOURCES, "fashion-mnist", source)
    recipe = resolve("label-conv", overrides={"trainer": {"validation_images": 21}})
    with pytest.raises(UserError, match="has 20 validation images, not 21"):
        experiment.train_recipe(recipe, tmp_path / "run", cpu)
    assert not (tmp_path / "run").exists()
