from typing import Any

import pytest

from textvae import conclusions, report
from textvae.report.cells import protocol


def row(frechet: float, **more: float) -> dict[str, Any]:
    return {
        "generation": {
            "frechet": {"efficientnet-lite0": frechet},
            "retrieval_precision": {"samples": 0.01, "real": 0.4},
            "word_sensitivity": {"strength": more.get("strength", 0.1)},
        },
        "reconstruction": {"mse_sum": more.get("mse", 1.0), "ssim": 0.5},
    }


def seeded(name: str, *rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name + (f"-seed{number}" if number else ""): found for number, found in enumerate(rows)}


def test_a_difference_is_called_one_only_beyond_the_spread_of_seeds():
    near = seeded("clip-latent-64-add", row(300, strength=0.1), row(310, strength=0.1), row(320, strength=0.11))
    far = seeded("clip-latent-64-concat", row(305, strength=0.3), row(312, strength=0.3), row(322, strength=0.31))
    told = conclusions.paper_b(near | far)
    assert "Fréchet of samples 313.0 ± 8.544 against 310.0 ± 10.000 (within the spread of seeds)" in told
    assert "samples 0.303 ± 0.006 against 0.103 ± 0.006 (more than the spread of seeds)" in told
    assert "in 0.010 ± 0.000 of the cases, to real images in 0.400" in told


def test_one_seed_is_said_to_be_one():
    told = conclusions.paper_b({"clip-latent-64-add": row(300), "clip-latent-64-concat": row(200)})
    assert "Fréchet of samples 200.0 against 300.0 (one seed)" in told


def test_longer_training_needs_all_its_rows():
    grids = {"clip-grid-64": row(300), "clip-grid-64-epochs-5": row(330)}
    assert "Longer training" not in conclusions.paper_a(grids)
    told = conclusions.paper_a(grids | {"clip-grid-64-epochs-30": row(270)})
    assert "Fréchet after 5, 10, 30 passes 330.0, 300.0, 270.0." in told
    # Neither the epochs' rows nor another latent's are seeds of the plain one.
    assert conclusions.seeds_of(grids, "clip-grid-64") == ["clip-grid-64"]


@pytest.mark.parametrize("paper", [conclusions.paper_a, conclusions.paper_b, conclusions.paper_c])
def test_nothing_is_concluded_from_nothing(paper):
    assert paper({}) == ""


def test_the_protocol_tells_how_many_images_each_set_lends():
    def measured(name, count, draws):
        told = {"data": name, "split": "test", "num_samples": count, "seed": 0, "feature_nets": {}, "weights": "w"}
        return {"protocol": told | {"importance_samples": draws, "likelihood_of": "8-bit images"}}

    stored = {"one": measured("roses", 1200, 8), "two": measured("shoes", 3000, 1)}
    assert "test images (1,200 of roses, 3,000 of shoes)" in protocol(stored, ["one", "two"])
    assert "1 or 8 draws" in protocol(stored, ["one", "two"])
    assert "Protocol: 1,200 test images against" in protocol(stored, ["one"])


def test_a_flow_fitted_to_a_model_is_told_against_the_model_as_it_was():
    def metrics(distance: float, accuracy: float) -> dict:
        told = {"model": "label-conv", "data": "fashion-mnist", "num_samples": 9, "split": "test", "seed": 0}
        told |= {"feature_nets": {"judge": "none"}, "importance_samples": 1, "likelihood_of": "8-bit images"}
        found = {"frechet": {"judge": distance}, "judge_accuracy": accuracy}
        return {"protocol": told | {"weights": "0"}, "generation": found}

    stored = {"label-conv": metrics(171.42, 0.7279), "label-conv-flow": metrics(47.32, 0.8321)}
    text = report.flows.flow(stored)
    assert "prior hole of `label-conv`" in text
    assert "(judge) from 171.4 to 47.320, judge accuracy from 0.728 to 0.832" in text
    # With nothing to compare to, nothing is concluded.
    assert "prior hole" not in report.flows.flow({"label-conv-flow": metrics(47.32, 0.8321)})
