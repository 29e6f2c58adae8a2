"""Models on the Hugging Face hub, by a stand-in of its HTTP API."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from helpers.hub import Hub, serving

from textvae import TextToImage, UserError, open_run, push
from textvae.runs import hub as transfers
from textvae.runs.files import CARD, CONFIG, METRICS, MODEL
from textvae.runs.hub import hub_root
from textvae.runs.run import is_shipped

pytest.importorskip("huggingface_hub")

OLD = Path(__file__).parents[1] / "helpers" / "old_run"


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Hub:
    """An empty hub, an empty cache, and a token that the hub accepts."""
    found = Hub()
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    with serving(found) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        yield found


@pytest.fixture
def run(tmp_path) -> Path:
    return shutil.copytree(OLD, tmp_path / "garments")


@pytest.mark.slow
def test_what_is_pushed_is_fetched_and_draws_the_same(hub, run, textvae, tmp_path, monkeypatch):
    (run / "secret.txt").write_text("not for others")
    code, out, err = textvae("push", run, "me/garments", "--json")
    assert code == 0, err
    assert json.loads(out)["model"] == "hf://me/garments"
    _, files = hub.repositories["me/garments"][-1]
    assert set(files) == {name for name in transfers.FILES if (run / name).exists()} | {CARD}
    card = files[CARD].decode()
    assert "textvae generate hf://me/garments" in card
    front = yaml.safe_load(card.split("---")[1])
    assert (front["pipeline_tag"], front["library_name"], front["license"]) == ("text-to-image", "textvae", "mit")
    assert "text-to-image" in front["tags"]
    assert front["datasets"]
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    fetched = open_run("hf://me/garments")
    assert (fetched.path / MODEL).read_bytes() == (run / MODEL).read_bytes()
    assert is_shipped(fetched)  # a copy: evaluate must not write into it
    again = TextToImage.load("hf://me/garments")("a dress", seed=3)
    assert [list(one.tobytes()) for one in again] == [list(TextToImage.load(run)("a dress", seed=3)[0].tobytes())]
    hub.asked.clear()
    code, _, err = textvae("generate", "hf://me/garments", "a dress", "--num-images", "1", "--out", tmp_path / "a.png")
    assert code == 0, err
    assert hub.asked.count("GET api/models/me/garments/revision/main") == 1


def test_only_known_files_are_fetched(hub, run):
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    hub.commit("a/b", {**files, "evil.py": b"boom", "pytorch_model.bin": b"boom", "sub/config.json": b"{}"})
    folder = transfers.fetch("hf://a/b")
    assert {path.name for path in folder.iterdir()} - {".cache"} <= set(transfers.FILES)
    assert not any("evil" in line or "pytorch_model" in line for line in hub.asked)


def test_a_revision_is_kept_apart_from_the_newest(hub, run):
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    first = hub.commit("a/b", files)
    hub.commit("a/b", {METRICS: b"{}"})
    assert transfers.fetch("hf://a/b") != transfers.fetch(f"hf://a/b@{first}")
    assert (transfers.fetch("hf://a/b") / METRICS).read_bytes() == b"{}"


def test_without_a_network_an_earlier_copy_serves(hub, run, capsys):
    hub.commit("a/b", {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()})
    folder = transfers.fetch("hf://a/b")
    hub.answers = False
    assert transfers.fetch("hf://a/b") == folder
    assert str(folder) in capsys.readouterr().err
    with pytest.raises(UserError):
        transfers.fetch("hf://a/other")


@pytest.mark.parametrize(
    ("files", "said"),
    [({}, "no hf://a/b"), ({CONFIG: b"{}"}, MODEL), ({CONFIG: b"{}", MODEL: b"x" * 100}, "bytes")],
)
def test_a_repository_without_a_model_is_refused(hub, monkeypatch, files, said):
    monkeypatch.setattr(transfers, "MOST_BYTES", 50)
    if files:
        hub.commit("a/b", files)
    with pytest.raises(UserError) as refused:
        transfers.fetch("hf://a/b")
    assert said in str(refused.value)
    assert not (hub_root() / "a").exists()


def test_damaged_weights_of_a_stranger_are_refused_like_any(hub, run):
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    hub.commit("a/b", {**files, MODEL: files[MODEL][:-100]})
    with pytest.raises(UserError, match=MODEL):
        TextToImage.load("hf://a/b")


@pytest.mark.parametrize("reference", ["hf://a", "hf://a/b/c", "hf://a/../b", "hf:///b", "hf://a/b@", "hf://a/..@x"])
def test_a_malformed_reference_asks_nobody(hub, reference):
    with pytest.raises(UserError, match="names no model"):
        transfers.fetch(reference)
    assert not hub.asked


def test_pushing_needs_a_token_and_a_name(hub, run, monkeypatch):
    with pytest.raises(UserError, match="OWNER/NAME"):
        push(run, "garments")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="hf auth"):
        push(run, "me/garments")
    assert not hub.repositories
