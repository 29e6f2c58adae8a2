from pathlib import Path
from typing import Any

import pytest

from textvae.papers.results import BEGIN, END, Places, section, with_peers, write_results
from textvae.papers.stored import stored_metrics
from textvae.utils.files import write_json

ROOT = Path(__file__).parents[2]


def side(package: str, judge: float, **more: Any) -> dict[str, Any]:
    quality = {"frechet": {"judge": judge, "inception-768": 0.25}, "judge_accuracy": None}
    facts = {"model": "a net", "parameters": 1_234_567, "images": 300_000, "sampler": "8 steps"}
    return {"package": package, **facts, **quality, "images_per_second": 412.3, **more}


def stored(**sides: dict[str, Any]) -> dict[str, dict[str, Any]]:
    protocol = {"threads": 2, "minutes": 10.0, "samples": 2000, "test_images": 10_000}
    reference = {"frechet": {"judge": 1.5}, "judge_accuracy": 0.98}
    return {"benchmark-time-to-quality": {"protocol": protocol, "sides": sides, "reference": reference}}


def test_each_side_has_a_row_and_what_is_missing_a_dash():
    found = stored(
        textvae=side("textvae 1", 20.5, judge_accuracy=0.9), other=side("other 2", 99.25, images_per_second=2950.4)
    )
    lines = section("peers", found).splitlines()
    rows = [line for line in lines if "a net" in line]
    assert "| **textvae 1** | a net | 1.2 M | 300,000 | 20.500 | 0.250 | 0.900 | 412 | 8 steps |" in rows
    assert "| other 2 | a net | 1.2 M | 300,000 | 99.250 | 0.250 | - | 2,950 | 8 steps |" in rows
    assert "| real training images |  |  |  | 1.500 | - | 0.980 |  |  |" in lines
    assert "2,000 samples" in " ".join(lines)


def test_the_readme_gets_the_table_between_its_marks_and_nothing_else_changes(tmp_path):
    readme = f"# before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    empty = with_peers(readme, {})
    assert empty == f"# before\n\n{BEGIN}\n{END}\n\nafter\n"
    found = stored(textvae=side("textvae 1", 20.5))
    filled = with_peers(empty, found)
    assert section("peers", found) in filled
    assert filled.startswith("# before\n")
    assert filled.endswith(f"{END}\n\nafter\n")
    assert with_peers(filled, {}) == empty
    with pytest.raises(ValueError, match="no place"):
        with_peers("no marks", {})

    write_json(tmp_path / "metrics" / "benchmark-time-to-quality.json", found["benchmark-time-to-quality"])
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    places = Places(tmp_path / "metrics", tmp_path, tmp_path / "RESULTS.md", tmp_path / "README.md")
    write_results(places)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == filled
    assert section("peers", found) in places.report.read_text(encoding="utf-8")


def test_the_readme_says_what_is_stored():
    places = Places.of_repository(ROOT)
    assert places.readme is not None
    readme = places.readme.read_text(encoding="utf-8")
    assert readme == with_peers(readme, stored_metrics(places.metrics))
