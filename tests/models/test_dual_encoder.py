"""The pairs, and the retrieval that they judge by."""

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers import photos
from helpers.keyed import draws

from textvae import data
from textvae.data import frozen_encoders as encoders
from textvae.data.captioned_images import CaptionedImages
from textvae.data.catalog import PHOTOGRAPHS
from textvae.data.frozen_encoders import DualEncoderImages, DualEncoderText
from textvae.evaluation.evaluate import evaluate_run
from textvae.evaluation.evaluators.retrieval import dual_encoder
from textvae.evaluation.judges import RetrievalJudge
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.experiment.train import train_recipe
from textvae.models.dual_encoder import DualEncoder
from textvae.preparation import prepare
from textvae.recipes import dual_encoders as pairs
from textvae.runs.find import shipped_models
from textvae.runs.run import open_run, write_weights
from textvae.text.base import NONE
from textvae.training.config import TrainerConfig
from textvae.training.loop import Training
from textvae.utils.config import to_dict
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of, write_json

SMALL = DualEncoder.Config(text_features=6, image_features=9, width=4, dropout=0.0)


def twins(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Text and image features of the same hidden thing, each mixed in its own way."""
    hidden = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    mixing = torch.Generator().manual_seed(9)
    return hidden @ torch.randn(4, 6, generator=mixing), hidden @ torch.randn(4, 9, generator=mixing)


def paired(count: int, seed: int, split: str = "train") -> CaptionedImages:
    texts, features = twins(count, seed)
    stretches = torch.stack([torch.arange(count), torch.arange(count) + 1], dim=1)
    captions = [f"thing {number} of {seed}" for number in range(count)]
    return CaptionedImages("twins", split, features[:, :, None, None], captions, stretches, conditions=texts)


@torch.no_grad()
def test_the_loss_is_clips() -> None:
    torch.manual_seed(0)
    model = SMALL.build().eval()
    texts, features = twins(5, 0)
    loss = model.loss(features[:, :, None, None], texts, draws(5))
    logits = torch.exp(model.log_factor) * model.embed_image(features) @ model.embed_text(texts).T
    rows = [-torch.log_softmax(logits, dim)[range(5), range(5)].mean() for dim in (0, 1)]
    assert float(loss.total) == pytest.approx(float(sum(rows) / 2), rel=1e-5)
    assert float(model.log_factor.exp()) == pytest.approx(1 / 0.07, rel=1e-5)


@pytest.mark.slow
def test_a_pair_learns_to_retrieve_what_it_has_not_seen(cpu) -> None:
    torch.manual_seed(0)
    train, test = paired(400, 1), paired(120, 2, "test")
    config = TrainerConfig(epochs=30, batch_size=50, learning_rate=1e-2, schedule="cosine")
    assert train.conditions is not None
    training = Training(SMALL.build(), train, train.conditions, config, cpu)
    for _ in training.steps():
        pass
    recipe = pairs.pair("coco-mini")
    assert isinstance(training.model, DualEncoder)
    precision = dual_encoder(training.model.eval(), recipe, test, seed=0).numbers
    assert precision["real"] > 0.5
    assert precision["shuffled"] < 0.05


def test_the_judge_is_built_otherwise_than_the_pair() -> None:
    for source in PHOTOGRAPHS:
        one, other = pairs.pair(source), pairs.pair_judge(source)
        assert one.trainer.seed != other.trainer.seed
        assert to_dict(one.model) != to_dict(other.model)
        assert one.data == other.data == f"{source}-64-sentence-features"


@pytest.fixture
def small_set(tmp_path, monkeypatch) -> Path:
    """A prepared set whose text and image features are of toy sizes, made by the real encoders' stand-ins."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    return photos.coco_folder(tmp_path / "mine", 40, 12)


@pytest.mark.slow
def test_the_whole_way_of_a_pair(small_set, tmp_path, cpu, monkeypatch) -> None:
    try:
        made = prepare.prepare(str(small_set), 16, "sentence", "efficientnet", workers=1)
    except UserError as error:
        pytest.skip(f"{error.cause}: {error.cure}")
    assert made["splits"]["train"]["text"] == [80, 384]
    assert made["splits"]["train"]["image"] == [40, 1280]
    name = made["name"]
    whole, features = data.load(name, "train"), data.load(f"{name}-features", "train")
    assert features.images.shape == (40, 1280, 1, 1)
    assert torch.equal(features.images.flatten(1), whole.image_conditions)
    assert whole.encoder == pairs.pair("coco-mini").text.identity

    recipe = dataclasses.replace(
        pairs.pair("coco-mini"),
        data=f"{name}-features",
        model=DualEncoder.Config(width=8),
        trainer=TrainerConfig(epochs=3, batch_size=16, validation_images=4),
    )
    run = tmp_path / "runs" / "pair"
    assert train_recipe(recipe, run, cpu)
    assert open_run(run).recipe.model == recipe.model
    metrics = evaluate_run(open_run(run), torch.device("cpu"), 12, 1, 0)
    assert set(metrics.sections["retrieval_precision"]) == {"real", "shuffled"}

    encoders._loaded.cache_clear()
    text, images = DualEncoderText(str(run)), DualEncoderImages(str(run))
    assert text.shape == (8,)
    rows = text.encode(["a red block", NONE])
    assert rows.norm(dim=1).tolist() == pytest.approx([1, 0], abs=1e-5)

    # The pair's own set takes the features from the set beside it: no image is looked at again.
    monkeypatch.setattr(encoders.EfficientNetImages, "embed", None)
    again = prepare.prepare(str(small_set), 16, "pair", "pair", pair=run, workers=1)
    monkeypatch.undo()
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    shared = data.load(again["name"], "test")
    assert shared.conditions.shape == (24, 8)
    assert torch.allclose(shared.image_conditions, images.embed(shared.images), atol=1e-4)
    assert shared.encoder == text.identity == images.identity

    judge = RetrievalJudge(open_run(run))
    captions = [shared.captions[start] for start in shared.caption_range[:, 0].tolist()]
    expected = retrieval_precision(shared.image_conditions, shared.conditions[shared.caption_range[:, 0]], captions)
    pictures = judge.embed_images(encoders.EfficientNetImages().embed(shared.images))
    assert retrieval_precision(pictures, judge.embed_captions(captions), captions) == pytest.approx(expected, abs=0.1)


def test_other_folders_than_a_dual_encoders_are_refused(tmp_path) -> None:
    encoders._loaded.cache_clear()
    with pytest.raises(UserError, match="no run folder"):
        _ = DualEncoderText(str(tmp_path / "nothing")).shape
    with pytest.raises(UserError, match="no dual encoder"):
        _ = DualEncoderText(str(shipped_models()["judge-digits"])).shape
    with pytest.raises(UserError, match="run folder of a trained dual encoder"):
        encoders.text_encoder("pair", "", None)


def test_a_dual_encoder_reads_its_own_files_and_checks_them(tmp_path) -> None:
    torch.manual_seed(0)
    model = SMALL.build().eval()
    config = {"recipe": "pair-coco-mini", "model": to_dict(SMALL)}
    write_json(tmp_path / "config.json", config)
    write_weights(tmp_path, model.state_dict())
    loaded = DualEncoder.load(tmp_path)
    texts, features = twins(5, 0)
    assert loaded.embed_text(texts).equal(model.embed_text(texts))
    assert loaded.embed_image(features).equal(model.embed_image(features))
    assert loaded.version == sha256_of(tmp_path / "model.safetensors")[:8]
    damaged: list[tuple[dict, str]] = [
        (config | {"model": to_dict(SMALL) | {"width": 5}}, "does not hold"),
        (config | {"model": to_dict(SMALL) | {"width": "4"}}, "width"),
        (config | {"model": {"latent_dim": 4}}, "no dual encoder"),
        (config | {"model": 3}, "no dual encoder"),
        (config | {"model_class": "Classifier"}, "no dual encoder"),
        ({}, "cannot be read"),
    ]
    for changed, why in damaged:
        write_json(tmp_path / "config.json", changed)
        with pytest.raises(UserError, match=why):
            DualEncoder.load(tmp_path)
    write_json(tmp_path / "config.json", config)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="does not hold"):
        DualEncoder.load(tmp_path)
