"""A training that several processes share: killed or not, the same bits; by another number of them, nearly the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers import tiny
from helpers.together import commands

from textvae.runs.checkpoint import read_state
from textvae.runs.files import MODEL
from textvae.runs.run import read_history

FLOW = (
    *("--prior", "flow", "--trainer.epochs", "2", "--trainer.batch-size", "50", "--trainer.ema-decay", "0.9"),
    *("--trainer.validation-images", "20", "--trainer.patience", "5", "--flow.trainer.flip"),
    *("--flow.trainer.epochs", "1", "--flow.trainer.batch-size", "100", "--flow.stride-epochs", "1"),
    *("--flow.model.prior.width", "16", "--flow.model.prior.depth", "1", "--flow.model.prior.heads", "2"),
)
"""Three stages of 10, 5 and 5 steps; the last batch of an epoch has fewer images."""
STEPS = 20
LEFT = {"README.md", "config.json", "history.jsonl", "model.safetensors", "samples.png", "state.pt"}


def words(out: Path) -> list[str]:
    return ["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *FLOW]


def case(out: Path, processes: int, kill: int | None = None, after: float = 0.0) -> dict[str, Any]:
    return {"words": words(out), "processes": processes, "kill": kill, "after": after}


def ran(folder: Path, cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return commands(folder, cases, TINY_CHECKPOINT_S="0")


def check_killed(result: dict[str, Any], kill: int) -> None:
    """The others end by themselves, in one line, unless all were done."""
    if result["codes"][kill] == 0:
        assert set(result["codes"]) == {0}
        return
    assert result["codes"][kill] == -signal.SIGKILL
    others = [rank for rank in range(len(result["codes"])) if rank != kill]
    assert {result["codes"][rank] for rank in others} <= {0, 2, -signal.SIGTERM}, result["stderr"]
    told = "".join(result["stderr"][rank] for rank in others)
    assert "Traceback" not in told
    assert told.count("another process of this command has ended") <= 1


def check_whole(result: dict[str, Any], out: Path) -> None:
    assert result["codes"] == [0] * len(result["codes"]), result["stderr"]
    assert "trained in" in result["stdout"][0]
    assert result["stdout"][1:] == result["stderr"][1:] == [""] * (len(result["codes"]) - 1)
    assert {path.name for path in out.iterdir()} == LEFT


def check_close(found: Path, expected: Path) -> None:
    """Losses agree closely, weights as far as Adam, which turns rounding errors of a gradient near zero into steps."""
    rows = [[(row["stage"], row["step"]) for row in read_history(out)] for out in (found, expected)]
    assert rows[0] == rows[1]
    for row, other in zip(read_history(found), read_history(expected), strict=True):
        for part in row.keys() & {"loss", "validation"}:
            assert row[part] == pytest.approx(other[part], rel=1e-3, abs=1e-4), (row, other)
    weights = [safetensors.torch.load_file(out / MODEL) for out in (found, expected)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight.float(), weights[1][name].float(), rtol=2e-2, atol=5e-3, msg=name)


def check_kills(folder: Path, seed: int, kills: int) -> None:
    whole, cut = folder / "whole", folder / "cut"
    cut_cases: list[dict[str, Any]] = []
    chance = random.Random(seed)
    started = time.monotonic()
    (result,) = ran(folder, [case(whole, 3)])
    check_whole(result, whole)
    # A fork takes less time than the program that forks, and a process that is killed early has done nothing.
    seconds = time.monotonic() - started
    for _ in range(kills):
        cut_cases.append(case(cut, 3, chance.randrange(3), chance.uniform(0, 0.6 * seconds)))
    *killed, last = ran(folder, [*cut_cases, case(cut, 3)])
    for asked, found in zip(cut_cases, killed, strict=True):
        check_killed(found, asked["kill"])
    assert last["codes"] == [0, 0, 0], last["stderr"]
    assert {path.name for path in cut.iterdir()} == LEFT
    assert (cut / MODEL).read_bytes() == (whole / MODEL).read_bytes()


@pytest.mark.slow
def test_three_processes_killed_at_random_moments_end_in_the_same_bits(tmp_path, tiny_data):
    check_kills(tmp_path, seed=0, kills=2)


@pytest.mark.robust
@pytest.mark.timeout(1200)
def test_three_processes_killed_at_many_random_moments_end_in_the_same_bits(tmp_path, tiny_data):
    began = time.monotonic()
    for seed in range(1, 10):
        (tmp_path / str(seed)).mkdir()
        check_kills(tmp_path / str(seed), seed=seed, kills=4)
        if time.monotonic() - began > 120:
            break


@pytest.mark.slow
def test_one_two_and_three_processes_train_the_same_also_one_after_another(tmp_path, tiny_data, textvae):
    alone, three, mixed = (tmp_path / name for name in ("alone", "three", "mixed"))
    assert textvae(*words(alone))[0] == 0
    (whole,) = ran(tmp_path, [case(three, 3)])
    check_whole(whole, three)
    check_close(three, alone)
    for processes, until in ((3, 4), (2, 12)):
        stop_at(tmp_path, mixed, processes, until)
    code, _, err = textvae(*words(mixed))
    assert code == 0
    assert "resuming at step" in err
    check_close(mixed, alone)


def steps_done(out: Path) -> int:
    """Steps of all stages that the checkpoint has."""
    state = read_state(out)
    if state is None:
        return 0
    return {"model": 0, "flow": 10, "strides": 15}[state["stage"]] + int(state["training"]["step"])


def torchrun(processes: int, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    return subprocess.Popen(
        [*command, *options, tiny.__file__, *words(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TINY_CHECKPOINT_S": "0", "TINY_STEP_S": "0.1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while steps_done(out) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stop_at(folder: Path, out: Path, processes: int, step: int) -> None:
    """Asks torchrun to end, so that all processes finish the same step and the first one saves it."""
    process = torchrun(processes, out)
    wait_for_step(process, out, step)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("the same command resumes there") == 1
    assert step <= steps_done(out) < STEPS


@pytest.mark.slow
def test_torchrun_restarts_a_training_whose_process_is_killed(tmp_path, tiny_data):
    out, whole = tmp_path / "run", tmp_path / "whole"
    process = torchrun(3, out, "--max-restarts=1")
    wait_for_step(process, out, 6)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    stdout, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert stdout.count("trained in") == 1
    assert "resuming at step" in err
    (result,) = ran(tmp_path, [case(whole, 3)])
    check_whole(result, whole)
    assert (out / MODEL).read_bytes() == (whole / MODEL).read_bytes()
