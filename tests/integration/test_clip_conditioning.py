"""CLIP for a user who has it, from prepare to train to generate to evaluate: a small CLIP with the true vocabulary."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import photos

from textvae.data import load
from textvae.evaluation.evaluators import word_sensitivity
from textvae.runs.run import open_run
from textvae.text import clip
from textvae.text.clip import ClipImages, ClipText
from textvae.utils.errors import UserError

pytestmark = pytest.mark.slow

TRAIN = ("--trainer.epochs", "1", "--trainer.batch-size", "8", "--precision", "fp32", "--threads", "1")
SMALL = ("--model.latent-dim", "4")


@pytest.fixture
def textvae(textvae, tmp_path, monkeypatch):
    """The command line, in a folder of its own."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return textvae


@pytest.fixture
def mine(clip, tmp_path) -> Path:
    """The user's CLIP, and photographs beside it."""
    shutil.copytree(clip, tmp_path / "my-clip")
    photos.coco_folder(tmp_path / "mine", 16, 8)
    return tmp_path / "my-clip"


def other_clip(folder: Path, tmp_path: Path) -> Path:
    """A CLIP like that in ``folder`` with other weights."""
    transformers = pytest.importorskip("transformers")
    network = transformers.CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        network.text_projection.weight.mul_(2)
    shutil.copytree(folder, tmp_path / "other-clip")
    network.save_pretrained(tmp_path / "other-clip")
    return tmp_path / "other-clip"


def test_from_prepare_to_train_to_generate_to_evaluate(textvae, mine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(word_sensitivity, "LEAST_IMAGES", 4)
    prepare = ("data", "prepare", "mine", "--size", "64", "--text", "clip", "--image-encoder", "clip", "--workers", "1")
    assert textvae(*prepare, "--clip", "my-clip")[0] == 0
    name = "mine-64-clip"
    images = load(name, "train")
    # As CLIP gives them, which is not of length 1.
    assert torch.allclose(images.conditions, ClipText(str(mine), length="raw").encode(images.captions), atol=1e-5)
    assert (images.conditions.norm(dim=1) - 1).abs().min() > 0.01
    assert torch.allclose(images.image_conditions.norm(dim=1), ClipImages(str(mine), length="raw").embed(
        images.images).norm(dim=1), rtol=0.2)  # fmt: skip

    train = ("train", "clip-latent-64-concat", "--data", name, *TRAIN, *SMALL)
    assert textvae(*train)[0] == 0
    folder = Path("runs/clip-latent-64-concat")
    assert json.loads((folder / "config.json").read_text())["data"]["contents"]["text"]["weights"] == str(mine)
    assert open_run(folder).recipe.model.condition_dim == 12
    assert textvae("generate", folder, "a red block", "--num-images", "2", "--out", "before.png")[0] == 0
    code, _, _ = textvae("evaluate", folder, "--importance-samples", "1", "--device", "cpu")
    assert code == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["protocol"]["clip_score"]["conditioned_the_model"] is True
    assert {"clip_score", "clip_score_prefixed"} <= metrics["generation"].keys()

    # The folder moves, and other weights are not taken for it.
    other = other_clip(mine, tmp_path)
    mine.rename(tmp_path / "moved")
    clip._loaded.cache_clear()
    code, _, err = textvae("generate", folder, "a red block", "--num-images", "2")
    assert code == 2
    assert "--clip" in err
    code, _, err = textvae("generate", folder, "a red block", "--num-images", "2", "--clip", other)
    assert code == 2
    assert "embedded by" in err
    assert (
        textvae("generate", folder, "a red block", "--num-images", "2", "--out", "after.png", "--clip", "moved")[0] == 0
    )
    assert Path("before.png").read_bytes()[-200:] == Path("after.png").read_bytes()[-200:]
    measure = ("evaluate", folder, "--importance-samples", "1", "--device", "cpu", "--out", "again.json")
    assert textvae(*measure, "--clip", "moved")[0] == 0
    again = json.loads(Path("again.json").read_text())
    assert again["generation"]["clip_score"] == metrics["generation"]["clip_score"]
    assert again["generation"]["word_sensitivity"] == metrics["generation"]["word_sensitivity"]
    # Another training on the same set, resumed.
    assert textvae(*train, "--out", "runs/second", "--clip", "moved")[0] == 0
    assert textvae("generate", "runs/second", "a red block", "--num-images", "1")[0] == 0
    # Where a machine keeps its CLIP, it is found without being named.
    (tmp_path / "data").mkdir()
    (tmp_path / "moved").rename(tmp_path / "data" / "clip")
    clip._loaded.cache_clear()
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "data"))
    assert textvae("generate", folder, "a red block", "--num-images", "1")[0] == 0


def test_the_same_weights_have_one_identity_wherever_they_are(mine, tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    # As a hub would have it: several files, half of the precision is another model.
    model = transformers.CLIPModel.from_pretrained(mine)
    shutil.copytree(mine, tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "shards", max_shard_size="1MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    first, second = ClipText(str(mine)), ClipText(str(tmp_path / "shards"))
    assert first.identity == second.identity
    assert first.same_weights(second.model)
    assert ClipText(str(other_clip(mine, tmp_path))).identity != first.identity
    assert ClipText(str(mine), length="raw").identity != first.identity
    with pytest.raises(UserError, match="embedded by"):
        ClipText(str(mine), required="clip 00000000").encode(["a cat"])


@pytest.mark.parametrize(
    ("model", "name", "revision"),
    [
        (clip.VIT_B_32, clip.VIT_B_32, clip.REVISIONS[clip.VIT_B_32]),
        (f"{clip.VIT_B_32}@main", clip.VIT_B_32, "main"),
        ("somebody/clip@0123abc", "somebody/clip", "0123abc"),
    ],
)
def test_a_model_of_the_hub_is_loaded_at_a_fixed_commit_and_never_from_a_pickle(
    model, name, revision, monkeypatch
) -> None:
    transformers = pytest.importorskip("transformers")
    asked = []

    def from_pretrained(*names: str, **options: object) -> None:
        asked.append((names, options))
        raise OSError("there is no network")

    monkeypatch.setattr(transformers.CLIPModel, "from_pretrained", from_pretrained)
    with pytest.raises(UserError, match="there is no network"):
        clip._loaded(model)
    assert asked == [((name,), {"revision": revision, "use_safetensors": True})]
    assert len(clip.REVISIONS[clip.VIT_B_32]) == 40


def test_lengths_of_embeddings(mine) -> None:
    captions = ["a cat", "a dog. a red bus", "none"]
    unit, raw, sqrt = (ClipText(str(mine), length=length).encode(captions) for length in ("unit", "raw", "sqrt"))
    assert unit.norm(dim=1)[0].item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(sqrt, unit * 12**0.5, atol=1e-5)
    assert torch.allclose(unit[0], torch.nn.functional.normalize(raw[0], dim=0), atol=1e-5)
    assert not raw[2].any()
    assert not sqrt[2].any()


def test_a_chosen_length_names_the_set_and_reads_its_prompts(textvae, mine) -> None:
    prepare = ("data", "prepare", "mine", "--size", "64", "--text", "clip", "--clip", "my-clip", "--workers", "1")
    assert textvae(*prepare, "--embedding-length", "sqrt")[0] == 0
    assert textvae("train", "clip-latent-64-concat", "--data", "mine-64-clip-sqrt", *TRAIN, *SMALL)[0] == 0
    text = open_run("runs/clip-latent-64-concat").recipe.text
    assert text.length == "sqrt"
    images = load("mine-64-clip-sqrt", "train")
    assert torch.allclose(text.encode(images.captions[:4]), images.conditions[:4], atol=1e-5)
    code, _, err = textvae("data", "prepare", "mine", "--text", "words", "--embedding-length", "sqrt")
    assert code == 2
    assert "length" in err


def test_clip_is_refused_where_nothing_reads_with_it(textvae, mine) -> None:
    code, _, err = textvae("generate", "fashion", "a dress", "--clip", "my-clip")
    assert code == 2
    assert "--clip" in err
