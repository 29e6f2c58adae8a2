from typing import Any

import pytest

from textvae.papers.findings import ours, published
from textvae.papers.stored import seeds_of
from textvae.papers.tables.flows import flow
from textvae.papers.tables.papers import epochs_table, named_words


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
    told = published.paper_b(near | far)
    assert "samples 313.0 ± 8.544 against 310.0 ± 10.000 (not significant)" in told
    assert "0.303 ± 0.006 against 0.103 ± 0.006 (significantly better)" in told
    # Word sensitivity is not what paper b claims, so nothing is decided.
    assert "274.2).* **Undecided.** MSE" in told
    assert "0.010 ± 0.000" in told


def test_one_seed_is_said_to_be_one():
    told = published.paper_b({"clip-latent-64-add": row(300), "clip-latent-64-concat": row(200)})
    assert "samples 200.0 against 300.0 (one seed)" in told


def test_longer_training_is_told_of_the_epochs_that_are_measured():
    grids = {"clip-grid-64": row(300)}
    assert "Longer training" not in published.paper_a(grids)
    told = published.paper_a(grids | {"clip-grid-64-epochs-30": row(270)})
    assert "samples 300.0 after 10, 270.0 after 30 epochs; retrieval precision 0.010 after 10" in told
    assert "Reconstructions improve" not in told
    # The models that one training kept, while it goes on.
    kept = {f"clip-grid-64-scenes-epochs-{epochs}": row(400 - epochs) for epochs in (100, 50)}
    told = published.paper_a(kept)
    assert "the paper's epochs: Fréchet distance of samples 350.0 after 50, 300.0 after 100 epochs" in told
    lines = epochs_table(kept).splitlines()
    assert [line.split(" | ")[:4] for line in lines[-2:]] == [
        ["| 50", "326.7 \\| -", "0.195 \\| -", "350.0"],
        ["| 100", "321.9 \\| -", "0.202 \\| -", "300.0"],
    ]
    assert epochs_table(grids) == ""
    # Neither the epochs' rows nor another latent's are seeds of the plain one.
    assert seeds_of(grids, "clip-grid-64") == ["clip-grid-64"]


def test_reconstructions_are_told_by_epochs_and_by_the_size_of_the_latent():
    kept = {f"clip-grid-64-scenes-epochs-{epochs}": row(300, mse=9.0 + epochs) for epochs in (100, 50)}
    assert "test images: MSE 59.000 after 50, 109.0 after 100 epochs; SSIM" in published.paper_a(kept)
    latents = seeded("clip-grid-64", row(300, mse=4.0), row(300, mse=6.0)) | {
        "clip-grid-64-latent-512": row(1, mse=3.0)
    }
    assert "MSE of reconstructions 5.000 ± 1.414 with 128, 3.000 with 512 dimensions" in published.paper_a(latents)


def test_paper_b_has_a_finding_for_each_size_and_for_both_kinds_of_layers():
    stored = {f"clip-latent-{side}-{how}": row(side) for side in (128, 256) for how in ("add", "concat")}
    told = published.paper_b(stored)
    assert [told.count(f"At {side} pixels, concatenation") for side in (64, 128, 256)] == [0, 1, 1]
    assert "SSIM of reconstructions 0.500 at 128, 0.500 at 256 pixels" in told
    labels = {"label-conv": row(1, mse=3.0), "label-dense": row(1, mse=8.0)}
    assert "MSE 3.000 against 8.000 (one seed)" in published.paper_b_labels(labels)


def test_samples_of_labels_are_told_beside_real_images():
    dense = {"generation": {"judge_accuracy": 0.7}, "reference": {"real_test": {"judge_accuracy": 0.9}}}
    told = published.paper_a_labels({"onehot-dense-fashion": dense})
    assert "`onehot-dense-fashion`: judge accuracy 0.700 (real test images: 0.900)" in told


def test_a_failed_seed_is_not_hidden_by_the_mean():
    def lost(loss: float) -> dict[str, Any]:
        return {"training": {"best_validation_loss": loss}}

    stored = seeded("clip-dual-64-text-dropout", lost(4852.0), lost(2617.0))
    told = published.paper_c(stored | seeded("clip-dual-64-image-dropout", lost(2666.0), lost(2660.0)))
    assert "each seed of `clip-dual-64-text-dropout`, validation loss: 4852.0, 2617.0" in told


@pytest.mark.parametrize(
    ("mse", "frechet", "verdict"),
    [
        ((1.0, 1.1), (100, 101), "Holds"),
        ((9.0, 9.1), (100, 101), "Holds in part"),
        ((9.0, 9.1), (300, 301), "Does not hold"),
        ((4.0, 6.0), (190, 210), "Undecided"),
    ],
)
def test_a_verdict_follows_from_the_significant_differences(mse, frechet, verdict):
    ours = seeded("clip-latent-64-concat", *(row(f, mse=m) for f, m in zip(frechet, mse, strict=True)))
    theirs = seeded("clip-latent-64-add", row(200, mse=5.0), row(201, mse=5.1))
    assert (
        f"At 64 pixels, concatenation is slightly better than addition (table 2: MSE 184.8 against 195.2, FID 272.2 "
        f"against 274.2).* **{verdict}.**" in published.paper_b(ours | theirs)
    )


def test_no_difference_is_what_some_claims_say():
    plain, deeper = "clip-grid-64-scenes-latent-128", "clip-grid-64-scenes-deeper"
    same = seeded(plain, row(200), row(210)) | seeded(deeper, row(203), row(208))
    assert "significant improvement (section 4.2).* **Holds.**" in published.paper_a(same)
    better = seeded(plain, row(200), row(201)) | seeded(deeper, row(103), row(104))
    assert "significant improvement (section 4.2).* **Does not hold.**" in published.paper_a(better)
    worse = seeded(plain, row(200), row(201)) | seeded(deeper, row(303), row(304))
    assert "significant improvement (section 4.2).* **Holds.**" in published.paper_a(worse)


def test_a_trend_counts_where_it_goes_the_same_way_at_every_step():
    def told(*distances: float) -> str:
        epochs = dict(zip(("-epochs-5", "", "-epochs-30"), distances, strict=True))
        return published.paper_a({f"clip-grid-64{name}": row(distance) for name, distance in epochs.items()})

    assert "295.4 after 300).* **Holds.**" in told(300, 290, 280)
    assert "295.4 after 300).* **Undecided.**" in told(300, 310, 280)
    assert "295.4 after 300).* **Does not hold.**" in told(300, 310, 320)


def test_the_best_epoch_decides_on_the_reconstructions():
    kept = {
        f"clip-grid-64-scenes-epochs-{epochs}": row(300, mse=abs(250 - epochs) + 1.0) for epochs in range(50, 300, 50)
    }
    last = {"clip-grid-64-scenes": row(300, mse=60.0)}
    assert "figure 6).* **Holds.**" in published.paper_a(kept | last)
    assert "figure 6).* **Undecided.**" in published.paper_a(kept)
    assert "figure 6).* **Does not hold.**" in published.paper_a(kept | {"clip-grid-64-scenes": row(300, mse=0.5)})


@pytest.mark.parametrize(("precision", "verdict"), [(0.01, "Does not hold"), (0.3, "Holds")])
def test_images_show_their_caption_from_half_of_the_way_to_real_ones(precision, verdict):
    grid = row(300)
    grid["generation"]["retrieval_precision"]["samples"] = precision
    assert f"what their caption says.* **{verdict}.** Retrieval" in published.paper_a({"clip-grid-64": grid})


def test_every_comparison_says_how_long_its_rows_were_trained():
    def trained(seconds: float) -> dict[str, Any]:
        return row(300) | {"training": {"seconds": seconds}}

    seeds = seeded("clip-latent-64-concat", trained(100.0), trained(140.0))
    told = published.paper_b(seeds | {"clip-latent-64-add": trained(59.0)})
    assert "Training time: `clip-latent-64-concat` 2 min, `clip-latent-64-add` 59 s." in told
    unsaid = published.paper_b({"clip-latent-64-concat": row(1), "clip-latent-64-add": row(2)})
    assert "Training time" not in unsaid


def test_longer_embeddings_are_compared_with_those_of_length_one():
    unit = seeded("clip-grid-64", row(300, strength=0.01), row(300, strength=0.02))
    assert "too short" not in published.paper_a(unit)
    long = seeded("clip-grid-64-sqrt", row(300, strength=0.4), row(300, strength=0.41))
    told = published.paper_a(unit | long)
    assert "too short for the model to use (our addition).* **Holds.** Length" in told
    assert "word sensitivity (strength) 0.405 ± 0.007 against 0.015 ± 0.007 (significantly better)" in told
    dual = {"clip-dual-64-image-code-nature": row(300), "clip-dual-64-image-code-nature-sqrt": row(300, strength=0.2)}
    assert "word sensitivity (strength) 0.200 against 0.100 (one seed)" in published.paper_c(dual)


def test_each_word_that_paper_c_names_has_its_column():
    def shifted(drawn: float) -> dict[str, Any]:
        return {"generation": {"word_sensitivity": {"words": {"sky": {"drawn": drawn, "real": -0.2}}}}}

    seeds = seeded("clip-dual-64-image-code-nature", shifted(-0.1), shifted(0.1))
    words = named_words(seeds | {"clip-dual-64-text": shifted(-0.02), "clip-grid-64": shifted(-0.2)})
    assert "| `clip-dual-64-image-code-nature` | - | 0.000 ± 0.707 | - | - |" in words
    assert "| `clip-dual-64-text` | - | 0.100 | - | - |" in words
    assert "clip-grid" not in words
    assert named_words({"clip-dual-64-text": {}}) == ""
    told = published.paper_c(seeds)
    assert "samples of `clip-dual-64-image-code-nature`, relative to real images: sky 0.000 ± 0.707" in told


@pytest.mark.parametrize(
    "paper",
    [
        published.paper_a,
        published.paper_a_labels,
        published.paper_b,
        published.paper_b_labels,
        published.paper_c,
        published.paper_d,
    ],
)
def test_nothing_is_concluded_from_nothing(paper):
    assert paper({}) == ""
    assert ours.digits_and_garments({}) == ours.photographs({}) == []


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
        )
        | {"training": {"seconds": 102.0}},
        "flowers102-clip-two": measured(
            "flowers102-64-sentence", {"efficientnet-lite0": 300.0}, retrieval_precision=retrieved(0.02)
        ),
        # Of other images, however good.
        "products-clip-one": measured("products-64-sentence", {"efficientnet-lite0": 1.0}),
        "clip-grid-64": measured("coco-mini-64-sentence", {"efficientnet-lite0": 1.0}),
    }
    (told,) = [line for line in ours.photographs(stored) if line.startswith("- ")]
    assert "against the best of 2 rows" in told
    assert "(efficientnet-lite0): 100.0, against 250.0 for `flowers102-clip-one` (2.50 times" in told
    assert "`flowers102-clip-one` (2.50 times as large, trained for 1 min 42 s)" in told
    assert "(inception-768): 2.000, against 5.000 for `flowers102-clip-one` (2.50 times" in told
    assert [share for share in ("0.100", "0.020", "0.500") if share in told] == ["0.100", "0.020", "0.500"]
    assert "1.20 times" in told


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
        "caption-rnn-arithmetic": measured("digits-arithmetic", {"judge": 21.0}),
        # Models of ours are no rivals of ours, and are named beside them.
        "caption-prior-arithmetic-flow": measured("digits-arithmetic", {"judge": 8.0}, judge_accuracy=0.997),
    }
    garments, sums = (line for line in ours.digits_and_garments(stored) if line.startswith("- "))
    assert "0.910" in garments
    assert "(judge): 10.000, against 120.0 for `label-conv` (12.00 times" in garments
    assert "(efficientnet-lite0): 50.000, against 200.0 for `label-conv` (4.00 times" in garments
    assert "3.500 (real test images: 3.600; copies: 0)" in garments
    assert "seen 0.990, test-beyond 0.980" in sums
    assert "21.000 for `caption-rnn-arithmetic` (10.50 times" in sums
    assert "Our `caption-prior-arithmetic-flow`: Fréchet distance 8.000, judge accuracy 0.997" in sums


def test_a_flow_fitted_to_a_model_is_told_against_the_model_as_it_was():
    def metrics(distance: float, accuracy: float) -> dict:
        told = {"model": "label-conv", "data": "fashion-mnist", "num_samples": 9, "split": "test", "seed": 0}
        told |= {"feature_nets": {"judge": "none"}, "importance_samples": 1, "likelihood_of": "8-bit images"}
        found = {"frechet": {"judge": distance}, "judge_accuracy": accuracy}
        return {"protocol": told | {"weights": "0"}, "generation": found}

    stored = {"label-conv": metrics(171.42, 0.7279), "label-conv-flow": metrics(47.32, 0.8321)}
    (finding,) = [line for line in flow(stored).splitlines() if line.startswith("- *A flow prior")]
    assert "from 171.4 to 47.320" in finding
    assert "from 0.728 to 0.832" in finding
    # With nothing to compare to, nothing is concluded.
    assert "- *A flow prior" not in flow({"label-conv-flow": metrics(47.32, 0.8321)})


def test_paper_d_compares_models_on_longer_sums_and_explains_figure_3():
    authors = {
        "generation": {"caption_accuracy": {"seen": 0.74, "test-within": 0.188, "test-beyond": 0.106}},
        "authors_classifier": {"caption_accuracy": {"seen": 0.995}},
        "perfect_generator": {"arithmetic": {"train": {"mean": 0.148}, "test": {"mean": 0.142}}},
        "figure_3": {"mean": 0.141},
    }
    stored = {published.AUTHORS_D: authors}
    told = published.paper_d(stored)
    assert "0.740, 0.188, 0.106" in told
    assert all(share in told for share in ("0.148", "0.142", "0.141", "0.995"))
    ours = {"generation": {"caption_accuracy": {"seen": 1.0, "test-within": 0.9, "test-beyond": 0.8}}}
    assert "1.000, 0.900, 0.800" in published.paper_d(stored | {"caption-prior-arithmetic": ours})
    # Without the authors' weights nothing is said about figure 3.
    assert "figure 3" not in published.paper_d({"caption-prior-arithmetic": ours})


def test_paper_d_says_how_often_the_models_of_its_wishes_are_right():
    accuracy = {"seen": 0.25, "test-unseen": 0.5, "real_held_out": 0.75, "samples_each": 2000}
    told = published.paper_d({"caption-tree-numbers": {"generation": {"number_accuracy": accuracy}}})
    assert told.count("- *") == 1
    right = "0.250 for training captions, 0.500 for unseen captions (real images: 0.750)"
    assert f"right samples of `caption-tree-numbers`: {right}" in told
