from typing import Any

import pytest

from textvae.papers import findings as conclusions
from textvae.papers import tables as report
from textvae.papers.tables import claims
from textvae.papers.tables.cells import protocol


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


@pytest.mark.parametrize("paper", [conclusions.paper_a, conclusions.paper_b, conclusions.paper_c, conclusions.paper_d])
def test_nothing_is_concluded_from_nothing(paper):
    assert paper({}) == ""
    assert claims.drawings({}) == claims.photographs({}) == []


def measured(data: str, frechet: dict[str, float], **generation: Any) -> dict[str, Any]:
    return {"protocol": {"data": data}, "generation": {"frechet": frechet, **generation}}


def test_photographs_are_claimed_against_the_best_of_the_papers_rows_on_the_same_images():
    def retrieved(share: float) -> dict[str, float]:
        return {"samples": share, "real": 0.5}

    flowers, seen = "flowers102-64-words", {"accuracy": 0.9, "real": 0.75}
    stored = {
        "latent-flow-flowers": measured(
            flowers,
            {"efficientnet-lite0": 100.0, "inception-768": 2.0},
            retrieval_precision=retrieved(0.1),
            colour=seen,
        ),
        "flowers102-clip-one": measured(
            "flowers102-64-sentence",
            {"efficientnet-lite0": 250.0, "inception-768": 5.0},
            retrieval_precision=retrieved(0.01),
        ),
        "flowers102-clip-two": measured(
            "flowers102-64-sentence", {"efficientnet-lite0": 300.0}, retrieval_precision=retrieved(0.02)
        ),
        # Of other images, however good.
        "products-clip-one": measured("products-64-sentence", {"efficientnet-lite0": 1.0}),
        "clip-grid-64": measured("coco-mini-64-sentence", {"efficientnet-lite0": 1.0}),
    }
    (told,) = [line for line in claims.photographs(stored) if line.startswith("- ")]
    assert "against the best of 2 rows" in told
    assert "(efficientnet-lite0) 100.0, `flowers102-clip-one` 250.0: 2.50 times as far" in told
    assert "(inception-768) 2.000, `flowers102-clip-one` 5.000: 2.50 times as far" in told
    assert "nearest in 0.100 of the samples, theirs at most 0.020, real images 0.500" in told
    assert "shown 1.20 times as often" in told


def test_drawings_are_claimed_against_the_papers_models_of_the_same_data():
    near = {"samples": 3.5, "real_test": 3.6}
    within = {"judge": {"ratio": 0.91}, "pixels": {"ratio": 0.92}}
    kinds = {"seen": 0.99, "test-beyond": 0.98, "samples_each": 2000}
    both = {"judge": 10.0, "efficientnet-lite0": 50.0}
    stored = {
        "latent-flow-fashion": measured(
            "fashion-mnist", both, judge_accuracy=0.91, diversity_within_class=within, nearest_training_image=near
        ),
        "label-conv": measured("fashion-mnist", {"judge": 120.0, "efficientnet-lite0": 200.0}),
        "latent-flow-digits": measured("digits-arithmetic", {"judge": 2.0}, caption_accuracy=kinds),
        "caption-prior-arithmetic": measured("digits-arithmetic", {"judge": 21.0}),
        # A flow of ours is no rival of ours.
        "caption-prior-arithmetic-flow": measured("digits-arithmetic", {"judge": 8.0}),
    }
    garments, sums = (line for line in claims.drawings(stored) if line.startswith("- "))
    assert "in 0.910 of the samples" in garments
    assert "(judge) 10.000, `label-conv` 120.0: 12.00 times as far" in garments
    assert "(efficientnet-lite0) 50.000, `label-conv` 200.0: 4.00 times as far" in garments
    assert "3.500 away, from real test images 3.600" in garments
    assert "seen 0.990, test-beyond 0.980" in sums
    assert "`caption-prior-arithmetic` 21.000: 10.50 times as far" in sums


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


def test_paper_d_says_what_each_model_does_on_longer_sums_and_what_figure_3_measures():
    authors = {
        "generation": {"caption_accuracy": {"seen": 0.74, "test-within": 0.188, "test-beyond": 0.106}},
        "authors_classifier": {"caption_accuracy": {"seen": 0.995}},
        "perfect_generator": {"arithmetic": {"train": {"mean": 0.148}, "test": {"mean": 0.142}}},
        "figure_3": {"mean": 0.141},
    }
    stored = {conclusions.AUTHORS_D: authors}
    told = conclusions.paper_d(stored)
    assert "weights 0.740, 0.188, 0.106." in told
    assert "scores 0.148 on training and 0.142 on validation captions" in told
    assert "score 0.141 that way and 0.995 with the labels in place" in told
    ours = {"generation": {"caption_accuracy": {"seen": 1.0, "test-within": 0.9, "test-beyond": 0.8}}}
    assert "ours, 1.000, 0.900, 0.800." in conclusions.paper_d(stored | {"caption-prior-arithmetic": ours})
    # Without the authors' weights nothing is said of figure 3.
    assert "figure 3" not in conclusions.paper_d({"caption-prior-arithmetic": ours})
