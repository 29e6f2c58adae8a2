import json
from pathlib import Path

import pytest
import torch
from helpers import tiny
from torch import Tensor, nn

from textvae import data
from textvae.evaluation import context, evaluate, features, judges
from textvae.evaluation.evaluate import evaluate_run
from textvae.models.base import TextVAE
from textvae.models.distributions import DiagonalGaussian, Gaussian
from textvae.pretrained import feature_nets
from textvae.pretrained.feature_nets import FeatureNet, Unavailable
from textvae.priors import StandardNormal
from textvae.runs.run import Run, open_run
from textvae.utils import philox
from textvae.utils.errors import UserError

CPU = torch.device("cpu")


def blocks(device: torch.device) -> FeatureNet:
    """49 features: the mean of each 4 x 4 block of pixels."""
    pool = nn.AvgPool2d(4)
    return FeatureNet("blocks", 49, "none", lambda images: pool(images.float() / 255).flatten(1), device)


@pytest.fixture
def small_nets(tiny_data, tiny_cache, tmp_path, monkeypatch) -> None:
    """Two feature networks: one of a few sums, one whose weights nobody has. No judge. A cache of its own."""
    (tmp_path / "data").symlink_to(tiny_cache / "data")
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "FEATURE_NETS", ("blocks", "lost"))
    monkeypatch.setitem(feature_nets._NETS, "blocks", blocks)
    monkeypatch.setitem(feature_nets._NETS, "lost", lambda device: Unavailable("it was lost at sea"))
    monkeypatch.setattr(judges, "JUDGES", {})


@pytest.fixture
def judge_run(textvae, tmp_path) -> Path:
    """A tiny judge, trained on the tiny data."""
    out = tmp_path / "tiny-judge"
    sizes = ("--model.channels", "4", "4", "8", "--model.features", "16", "--model.shift", "1", "--trainer.no-flip")
    settings = ("--trainer.epochs", "8", "--trainer.batch-size", "32", "--trainer.learning-rate", "1e-2")
    code, _, err = textvae("train", "judge-fashion", "--out", out, *tiny.HOW, *sizes, *settings)
    assert code == 0, err
    return out


@pytest.fixture
def shipped_judge(small_nets, judge_run, monkeypatch) -> str:
    """The name under which the tiny judge ships as that of the tiny data."""
    monkeypatch.setattr(judges, "shipped_models", lambda: {judge_run.name: judge_run})
    monkeypatch.setattr(judges, "JUDGES", {"fashion-mnist": judge_run.name})
    return judge_run.name


def measured(run: Path, **settings) -> dict:
    chosen = {"num_samples": 64, "importance_samples": 3, "seed": 0} | settings
    return evaluate_run(open_run(run), CPU, **chosen).to_dict()


def without_speed(metrics: dict) -> dict:
    return {name: section for name, section in metrics.items() if name != "speed"}


@pytest.mark.slow
def test_every_section_with_its_protocol_and_the_same_twice(small_nets, shipped_judge, tiny_run):
    found = measured(tiny_run)
    protocol = found["protocol"]
    assert {k: protocol[k] for k in ("model", "data", "split", "num_samples", "seed", "device")} == {
        "model": "label-conv",
        "data": "fashion-mnist",
        "split": "test",
        "num_samples": 64,
        "seed": 0,
        "device": "cpu",
    }
    assert protocol["fingerprints"] == {"data": data.load("fashion-mnist", "test").fingerprint()}
    assert protocol["noise"] == philox.NOISE
    assert protocol["importance_samples"] == 3
    assert protocol["likelihood_of"] == "8-bit images"
    assert set(protocol["feature_nets"]) == {"judge", "blocks"}
    assert protocol["judge"].startswith("tiny-judge ")
    assert found["absent"] == {"generation.frechet.lost": "it was lost at sea"}
    assert set(found["reconstruction"]) >= {"mse_sum", "mse", "psnr", "ssim", "frechet", "kernel"}
    for section in ("reconstruction", "generation"):
        assert set(found[section]["frechet"]) == set(found[section]["kernel"]) == {"judge", "blocks"}
    assert found["reconstruction"]["mse_sum"] == pytest.approx(784 * found["reconstruction"]["mse"])
    likelihood = found["likelihood"]
    assert likelihood["elbo_nats"] < likelihood["importance_weighted_nats"] < 0
    assert likelihood["kl_nats"] == pytest.approx(sum(likelihood["kl_per_dimension"]), abs=1e-3)
    assert 0 < likelihood["active_units"] <= likelihood["latent_dimensions"] == 4
    assert found["reference"]["real_test"]["judge_accuracy"] > 0.8
    real = found["reference"]["real_train"]["frechet"]["blocks"]
    assert real < found["generation"]["frechet"]["blocks"] < found["reference"]["mean_image"]["frechet"]["blocks"]
    assert without_speed(measured(tiny_run)) == without_speed(found)
    other = measured(tiny_run, seed=64)
    assert other["generation"]["frechet"] != found["generation"]["frechet"]
    assert other["reconstruction"] == found["reconstruction"]


@pytest.mark.slow
def test_a_judge_is_measured_by_its_accuracy(small_nets, judge_run):
    found = measured(judge_run)
    assert set(found) == {"protocol", "classification", "absent"}
    test = data.load("fashion-mnist", "test")
    network = open_run(judge_run).load_model()
    verdicts = network(test.images / 255).argmax(1)
    assert found["classification"]["accuracy"] == float((verdicts == test.labels).double().mean())
    assert found["classification"]["count"] == 64


class Oracle(TextVAE):
    """Latents are the pixels, so it reconstructs perfectly; "samples" are given images, in their order."""

    image_shape = (1, 28, 28)

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.prior = StandardNormal((784,))
        self.samples, self.drawn = samples / 255, 0

    def posterior(self, images, condition) -> DiagonalGaussian:
        """The pixels, nearly exactly."""
        return DiagonalGaussian(images.flatten(1), torch.full((len(images), 784), -20.0))

    def decode(self, latent, condition) -> Gaussian:
        """The latents as pixels."""
        return Gaussian(latent.unflatten(1, self.image_shape), torch.tensor(-3.0))

    def sample(self, condition, noise, sampling=None) -> Tensor:
        """The next ones."""
        first, self.drawn = self.drawn, self.drawn + len(noise)
        return self.samples[first : self.drawn]


class ByBrightness(Oracle):
    """Draws class k as a grey of 20 k."""

    def sample(self, condition, noise, sampling=None) -> Tensor:
        """Flat images."""
        return (20 * condition.argmax(1) / 255).view(-1, 1, 1, 1).expand(-1, *self.image_shape)


@pytest.fixture
def loads(monkeypatch):
    """``loads(model)``: whatever run is loaded, this is the model in it."""
    return lambda model: monkeypatch.setattr(Run, "load_model", lambda self: model)


@pytest.mark.slow
def test_a_perfect_model_is_measured_as_perfect(small_nets, tiny_run, loads):
    test = data.load("fashion-mnist", "test")
    loads(Oracle(test.images))
    found = measured(tiny_run)
    assert found["reconstruction"]["mse_sum"] == 0
    assert found["reconstruction"]["ssim"] == pytest.approx(1)
    assert found["reconstruction"]["psnr"] == 100
    for section in ("reconstruction", "generation"):
        assert found[section]["frechet"]["blocks"] == pytest.approx(0, abs=1e-6)
    assert found["generation"]["diversity_within_class"]["pixels"]["ratio"] == pytest.approx(1)
    nearest = found["generation"]["nearest_training_image"]
    assert nearest["samples"] == nearest["real_test"] > 0
    assert "generation.judge_accuracy" in found["absent"]
    assert "judge_accuracy" not in found["generation"]


@pytest.mark.slow
def test_a_model_that_draws_class_means_has_read_its_captions(small_nets, tiny_run, tiny_data, loads):
    test = data.load("fashion-mnist", "test")
    means = torch.stack([tiny_data.images[tiny_data.labels == k].float().mean(0) for k in range(10)])
    loads(Oracle(means[test.labels].round().to(torch.uint8)))
    found = measured(tiny_run)["generation"]["nearest_class_mean"]
    assert found["samples"] == 1
    loads(Oracle(means[(test.labels + 1) % 10].round().to(torch.uint8)))
    assert measured(tiny_run)["generation"]["nearest_class_mean"] == {"samples": 0, "real_test": found["real_test"]}


@pytest.mark.slow
def test_a_model_that_copies_is_found_out(small_nets, tiny_run, tiny_data, loads):
    loads(Oracle(tiny_data.images))
    nearest = measured(tiny_run)["generation"]["nearest_training_image"]
    assert nearest["samples"] == 0 < nearest["real_test"]


@pytest.mark.slow
def test_judge_accuracy_is_the_share_that_shows_what_was_asked_for(
    small_nets, shipped_judge, tiny_run, loads, monkeypatch
):
    keen = judges.ClassifierJudge(shipped_judge, CPU)
    monkeypatch.setattr(
        keen, "classify", lambda images: (images.float().mean((1, 2, 3)) / 20).round().long().clamp(max=9)
    )
    monkeypatch.setattr(context, "classifier_judge", lambda name, device: keen)
    loads(ByBrightness(torch.zeros(1)))
    generation = measured(tiny_run)["generation"]
    test = data.load("fashion-mnist", "test")
    assert generation["judge_accuracy"] == 1
    assert generation["judge_accuracy_per_class"] == dict.fromkeys(test.class_names, 1.0)
    assert torch.tensor(generation["judge_confusion"]).equal(torch.diag(test.labels.bincount()))
    # A judge that takes every image for a shirt, number 6, is right where shirts were asked for.
    monkeypatch.setattr(keen, "classify", lambda images: torch.full((len(images),), 6))
    generation = measured(tiny_run)["generation"]
    assert generation["judge_accuracy"] == float((test.labels == 6).double().mean())


@pytest.mark.slow
def test_features_of_real_images_are_computed_once(small_nets, tiny_run, tmp_path, monkeypatch):
    first = measured(tiny_run)
    kept = list((tmp_path / "features").glob("*.safetensors"))
    assert len(kept) == 2
    seen = []
    plain = features.compute_features

    def counted(net, images, what, group):
        seen.append(what)
        return plain(net, images, what, group)

    monkeypatch.setattr(features, "compute_features", counted)
    monkeypatch.setattr(context, "compute_features", counted)
    assert without_speed(measured(tiny_run)) == without_speed(first)
    assert seen == ["reconstructions", "samples"]


@pytest.mark.slow
def test_the_command_writes_metrics_json_and_prints_a_table(small_nets, textvae, tiny_run, tmp_path):
    out = tmp_path / "metrics.json"
    words = ("evaluate", tiny_run, "--num-samples", "20", "--importance-samples", "2", "--out", out)
    code, text, err = textvae(*words)
    assert code == 0, err
    rounded = tmp_path / "bf16.json"
    assert textvae(*words[:-1], rounded, "--precision", "bf16")[0] == 0
    precisely, roughly = (json.loads(file.read_text()) for file in (out, rounded))
    assert [found["protocol"]["precision"] for found in (precisely, roughly)] == ["fp32", "bf16"]
    assert roughly["reconstruction"] == precisely["reconstruction"]
    assert roughly["generation"]["frechet"] != precisely["generation"]["frechet"]
    assert "label-conv on fashion-mnist" in text
    assert "reconstruction.mse_sum" in text
    assert "absent: it was lost at sea" in text
    written = json.loads(out.read_text())
    assert written["protocol"]["num_samples"] == 20
    assert without_speed(json.loads(textvae(*words, "--json")[1])) == without_speed(written)


@pytest.mark.parametrize("count", [1, 65, -1])
def test_too_few_or_too_many_samples_are_refused(small_nets, tiny_run, count):
    with pytest.raises(UserError, match="can't be compared with 64 test images"):
        measured(tiny_run, num_samples=count)
