import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from textvae.runs.metrics import Metrics, _shown, table
from textvae.utils.errors import UserError

PROTOCOL = {"model": "label-dense", "data": "fashion-mnist", "split": "test", "num_samples": 10000}


def example() -> Metrics:
    frechet = {"efficientnet-lite0": 12.345678}
    return Metrics(
        PROTOCOL,
        {
            "generation": {"frechet": frechet, "confusion": [[3, 1], [0, 4]], "judge_accuracy": 0.875},
            "likelihood": {"describes": "8-bit pixels [grey]", "active_units": 17},
        },
        {"generation.frechet.inception": "its weights are not here [yet]"},
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    example().write(path)
    assert Metrics.read(path) == example()
    assert json.loads(path.read_text()) == example().to_dict()


@pytest.mark.parametrize("value", [math.nan, math.inf, None, True, [1.0, math.nan], {"a": {"b": None}}])
def test_only_finite_numbers_are_results(value: object) -> None:
    with pytest.raises(ValueError, match="finite number"):
        Metrics(PROTOCOL, {"speed": {"images_per_second": value}})


def test_a_result_has_a_protocol_and_an_absence_a_reason() -> None:
    with pytest.raises(ValueError, match="protocol"):
        Metrics({"model": "label-dense"}, {})
    with pytest.raises(ValueError, match="finite"):
        Metrics({**PROTOCOL, "guidance": math.nan}, {})
    with pytest.raises(ValueError, match="section"):
        Metrics(PROTOCOL, {"absent": {"generation.frechet": "no weights"}})
    with pytest.raises(ValueError, match="reason"):
        Metrics(PROTOCOL, {}, {"generation.frechet": " "})
    with pytest.raises(ValueError, match="both"):
        Metrics(PROTOCOL, {"generation": {"frechet": 1.0}}, {"generation.frechet": "no weights"})


def test_values_are_found_by_name() -> None:
    assert example().get("generation.frechet.efficientnet-lite0") == 12.345678
    assert example().get("generation.frechet.inception") is None
    assert example().get("nonsense.frechet") is None
    assert example().get("generation.judge_accuracy.deeper") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"protocol": []}',
        '{"protocol": {"model": "m", "data": "d"}, "extra": 1}',
        '{"protocol": {"model": "m", "data": "d"}, "absent": {"speed": 1}}',
        '{"protocol": {"model": "m", "data": "d"}, "speed": {"a": NaN}}',
        '{"protocol": {"model": "m", "data": "d"}, "speed": {"a": null}}',
        '{"protocol": {"model": "m", "data": "d"}, "speed": {"a": 1e999}}',
        "\udcff",
    ],
)
def test_a_file_that_is_no_metrics_says_so_to_the_user(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UserError, match=r"metrics\.json") as caught:
        Metrics.read(path)
    assert "textvae evaluate" in caught.value.cure


def test_a_missing_file_says_so_to_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        Metrics.read(tmp_path / "metrics.json")


def test_the_table_shows_numbers_absences_and_protocol() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table(example()))
    text = capture.get()
    for part in (
        "12.35",
        "0.8750",
        "17",
        "8-bit pixels [grey]",
        "its weights are not here [yet]",
        "num_samples: 10000",
    ):
        assert part in text
    assert "confusion" not in text


@given(st.one_of(st.integers(-(10**12), 10**12), st.floats(-1e300, 1e300)))
def test_a_shown_number_is_the_number_to_four_digits(value: float) -> None:
    assert float(_shown(value).replace(",", "")) == pytest.approx(value, rel=6e-4)
