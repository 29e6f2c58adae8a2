"""The page's JavaScript reads prompts, draws noise and solves as Python does, by one golden file."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import textvae.serve
from textvae.exported.spec import text_encoder_of
from textvae.priors.flow.solvers import solve, spaced
from textvae.utils.errors import UserError
from textvae.utils.random import normals

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
PAGE = Path(textvae.serve.__file__).parent / "page"


def test_python_draws_the_noise_of_the_golden_file() -> None:
    for case in GOLDEN["noise"]:
        numbers = normals(case["seed"], (case["count"],), case["draw"]).numpy()
        assert hashlib.sha256(numbers.tobytes()).hexdigest() == case["sha256"]


@pytest.mark.parametrize("name", GOLDEN["texts"])
def test_python_reads_the_prompts_of_the_golden_file(name: str) -> None:
    case = GOLDEN["texts"][name]
    encoder = text_encoder_of(case["text"])
    for read in case["read"]:
        assert encoder.rows([read["prompt"]])[0].tolist() == read["row"], read["prompt"]
    for prompt in case["refused"]:
        with pytest.raises(UserError):
            encoder.rows([prompt])


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_reads_draws_and_solves_the_same() -> None:
    process = subprocess.run(
        ["node", HERE / "golden.mjs", PAGE, HERE / "golden.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    start = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    for solver, numbers in found["solved"].items():
        ends = [
            solve(lambda x, t: -x * (1 + t[:, None]), start, times, solver)
            for times in (spaced(5, 1.8), spaced(5)[::-1])
        ]
        torch.testing.assert_close(torch.cat(ends).flatten().tolist(), numbers)
    # A guidance scale that the network reads costs one evaluation; others, and a negative prompt, cost two.
    assert found["evaluated"] == [1, 1, 1, 2, 2, 2]
    assert found["noise"] == [case["sha256"] for case in GOLDEN["noise"]]
    for name, case in GOLDEN["texts"].items():
        assert found["rows"][name] == [read["row"] for read in case["read"]], name
        assert all(found["refusals"][name]), f"{name}: {case['refused']} must all be refused"
