"""The comparison with other packages, without installing or training any of them."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from textvae.papers.results import section

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with sides that take 700 seconds each and judges that see nothing."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("time_to_quality")
    monkeypatch.setattr(module, "Measure", Judge)
    return module


class Judge:
    """In the place of the measurement."""

    class judge:
        name = "none"

    def __init__(self, test: Any) -> None:
        pass

    def __call__(self, images: Any, labelled: bool) -> dict[str, Any]:
        return {"frechet": {"judge": 1.0}, "judge_accuracy": 0.75 if labelled else None}


def ran(side: str) -> dict[str, Any]:
    facts = {"package": f"{side} 1", "model": "net", "parameters": 10**6, "images": 5, "sampler": "8 steps"}
    quality = {"frechet": {"judge": 2.0}, "judge_accuracy": None, "images_per_second": 3.0}
    return facts | quality | {"training_seconds": 700.0, "other_processes_cores": 0.0}


@pytest.mark.slow
def test_a_side_is_run_once_and_the_peers_have_as_long_as_ours_took(benchmark, tiny_data, tmp_path, monkeypatch):
    asked: dict[str, float] = {}

    def run(side: str, work: Path, peers: Path, order: dict[str, Any], measure: Any) -> dict[str, Any]:
        assert side not in asked
        asked[side] = order["seconds"]
        return ran(side)

    monkeypatch.setattr(benchmark, "run", run)
    words = ["x", "--work", str(tmp_path / "work"), "--out", str(tmp_path), "--samples", "20", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "torchcfm", "textvae"])
    benchmark.main()
    assert asked == {"textvae": 600.0, "torchcfm": 700.0}
    monkeypatch.setattr(sys, "argv", words)
    benchmark.main()
    assert list(asked) == [
        "textvae",
        "torchcfm",
        *(side for side in benchmark.SIDES if side not in ("textvae", "torchcfm")),
    ]
    found = json.loads((tmp_path / "benchmark-time-to-quality.json").read_text(encoding="utf-8"))
    assert list(found["sides"]) == list(benchmark.SIDES)
    assert found["reference"]["judge_accuracy"] == 0.75
    table = section("peers", {"benchmark-time-to-quality": found})
    assert all(f"{side} 1" in table for side in benchmark.SIDES)


def test_every_side_has_its_script(benchmark):
    for script, _ in benchmark.SIDES.values():
        assert (BENCHMARKS / "peers" / f"side_{script}.py").is_file()


@pytest.mark.parametrize(
    "words", [["--minutes", "0"], ["--samples", "3"], ["--threads", "-1"], ["--only", "nothing"], []]
)
def test_wrong_arguments_are_refused(benchmark, words, tmp_path):
    with pytest.raises(SystemExit) as left:
        benchmark.parse([*words, "--work", str(tmp_path)] if words else words)
    assert left.value.code == 2


def test_numbers_of_a_busy_machine_do_not_enter_the_package(benchmark):
    with pytest.raises(SystemExit, match="other processes"):
        benchmark.write({"machine": {"other_processes_cores": 0.5}}, None)
