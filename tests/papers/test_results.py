from pathlib import Path

import pytest

from textvae.papers.results import SECTIONS, Places, results, section
from textvae.papers.rows import NEAREST
from textvae.papers.stored import stored_metrics, trained_for
from textvae.papers.tables.table import number, protocol
from textvae.utils.files import write_json

ROOT = Path(__file__).parents[2]


def row(data: str = "roses", count: int = 1200, draws: int = 8, **more: str) -> dict:
    protocol = {"model": "label-conv", "data": data, "split": "test", "num_samples": count, "seed": 0}
    protocol |= {"feature_nets": {"judge": "none"}, "importance_samples": draws, "likelihood_of": "8-bit images"}
    return {"protocol": protocol | {"weights": "0"} | more}


@pytest.mark.slow
def test_the_page_is_what_the_stored_metrics_give():
    places = Places.of_repository(ROOT)
    page = results(stored_metrics(places.metrics), "docs/figures")
    assert places.report.read_text(encoding="utf-8") == page


def test_the_page_is_written_without_runs(textvae, tmp_path):
    places = Places.under(tmp_path / "results")
    words = ("reproduce", "b", "--runs", tmp_path, "--tables-only")
    assert textvae(*words)[0] == 2
    metrics = row("fashion-mnist") | {"generation": {"frechet": {"judge": 171.42}, "judge_accuracy": 0.7279}}
    write_json(places.metrics / "label-conv.json", metrics)
    write_json(places.metrics / "label-conv-flow.json", metrics)
    code, out, err = textvae(*words)
    assert code == 0, err
    page = places.report.read_text(encoding="utf-8")
    assert "| 0.728 | 171.4 |" in page
    assert "| 0.728 | 171.4 |" in out
    assert "label-conv-flow" not in out
    assert "![label-conv](figures/label-conv.png)" in page
    assert "FIGURES" not in page


def test_old_noise_is_stated_only_if_some_row_has_it():
    generation = {"generation": {"judge_accuracy": 0.5}}
    stored = {"one": row(noise="philox") | generation, "two": row() | generation}
    keyed, old = (results({name: stored[name] for name in names}, "figures") for names in (["one"], ["one", "two"]))
    assert len(old) > len(keyed)
    assert "philox (one)" in protocol(stored, ["one", "two"])
    assert "Noise" not in protocol(stored, ["two"])


def test_the_protocol_names_every_judge_and_feature_network_of_its_rows():
    stored = {"one": row("garments", 10, 1, judge="judge-fashion 1"), "two": row("digits", 10, 1)}
    stored["two"]["protocol"] |= {"attribute_judge": "judge-plants 2", "feature_nets": {"judge": "none", "big": "x"}}
    told = protocol(stored, ["one", "two"])
    assert "of their input]: judge [none], big [x]. Judge (classifier): judge-fashion 1, judge-plants 2." in told
    stored["one"]["protocol"] |= {"feature_nets": {}}
    del stored["one"]["protocol"]["judge"]
    assert "of their input]: none. Judge (classifier): none." in protocol(stored, ["one"])


def test_the_protocol_states_the_images_and_latents_of_each_set():
    stored = {"one": row(), "two": row("shoes", 3000, 1)}
    assert "(1,200 of roses, 3,000 of shoes)" in protocol(stored, ["one", "two"])
    assert "1 or 8 latents" in protocol(stored, ["one", "two"])
    assert "Protocol: 1,200 test images" in protocol(stored, ["one"])


def test_sections_of_nothing_are_empty():
    assert [section(paper, {}) for paper in SECTIONS] == [""] * len(SECTIONS)


def test_numbers_keep_three_decimals_where_they_are_small():
    assert [number(value) for value in (0.12345, -97.1849, 1234.56, None)] == ["0.123", "-97.185", "1234.6", "-"]


def test_a_row_without_likelihood_bounds_names_none():
    bound = row()
    free = row()
    del free["protocol"]["likelihood_of"], free["protocol"]["importance_samples"]
    assert "Likelihood" not in protocol({"free": free}, ["free"])
    assert "8 latents per image, of 8-bit images" in protocol({"free": free, "bound": bound}, ["free", "bound"])


def test_the_picture_of_the_readme_says_how_long_its_models_were_trained():
    stored = stored_metrics(Places.of_repository(ROOT).metrics)
    caption = " ".join(
        (ROOT / "README.md").read_text(encoding="utf-8").partition("photographs-beside.png")[2][:900].split()
    )
    for ours, theirs in NEAREST.items():
        for name in (theirs, f"latent-flow-{ours}"):
            assert trained_for(stored[name]) in caption, name
