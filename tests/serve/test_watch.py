"""The page that shows a training: it answers while the training runs, shows that run alone, and never stops it."""

import json
from pathlib import Path

import httpx
import pytest
from helpers import tiny
from PIL import Image

from textvae import train
from textvae.experiment.callbacks import Callback
from textvae.runs.run import read_history

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from starlette.testclient import TestClient

from textvae.serve import watch
from textvae.serve.watch import POINTS, Watching, has_browser

SETTINGS = {"model": {"channels": (4, 8, 8), "latent_dim": 4, "embedding_dim": 8}, "trainer": {"epochs": 2}}


class Visitor(Callback):
    """Looks at the page as a browser does."""

    def __init__(self, watching: Watching) -> None:
        self.watching, self.seen = watching, []

    def on_epoch(self, stage, row) -> None:
        self.seen.append(httpx.get(f"{self.watching.url}state").json())

    def on_checkpoint(self, stage, out) -> None:
        self.page = httpx.get(self.watching.url)
        self.samples = httpx.get(f"{self.watching.url}samples.png")
        self.last = httpx.get(f"{self.watching.url}state").json()


@pytest.mark.slow
def test_a_training_is_shown_while_it_runs(tiny_data, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    watching = Watching(tmp_path / "run", browser=False)
    visitor = Visitor(watching)
    train("label-conv", tmp_path / "run", callbacks=[watching, visitor], sample_every=1, **SETTINGS)
    assert f"watch the training: {watching.url}" in capsys.readouterr().err
    assert [state["place"]["step"] for state in visitor.seen] == [2, 4]
    assert visitor.last["place"] == {**visitor.last["place"], "stage": "model", "number": 1, "stages": 1, "steps": 4}
    assert visitor.page.headers["content-type"].startswith("text/html")
    assert visitor.samples.content == (tmp_path / "run" / "samples.png").read_bytes()
    loss = read_history(tmp_path / "run")[-1]["loss"]
    last = {term: curves["training"][-1][1] for term, curves in visitor.last["curves"]["model"].items()}
    assert last == loss
    watching.close()


@pytest.mark.slow
def test_an_error_of_the_page_is_one_line_and_the_training_goes_on(textvae, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(watch, "listening", lambda *_: (_ for _ in ()).throw(OSError("no port\nis free")))
    words = ("train", "label-conv", "--watch", "--out", tmp_path / "run", "--trainer.epochs", "2")
    code, _, err = textvae(*words, *tiny.HOW, *tiny.SMALL_CONV)
    assert code == 0
    assert len([line for line in err.splitlines() if "no port" in line or "is free" in line]) == 1
    assert len(read_history(tmp_path / "run")) == 2


def test_only_the_page_its_numbers_and_the_samples_are_served_to_this_machine(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "samples.png")
    (tmp_path / "config.json").write_text("{}")
    row = {"stage": "model", "epoch": 1, "seconds": 1.0, "loss": {"total": 2.0}}
    rows = [row | {"step": step} for step in range(1, 2 * POINTS)]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    app = Watching(tmp_path, browser=False).app()
    client = TestClient(app, base_url="http://127.0.0.1:1234")
    assert {client.get(path).status_code for path in ("/", "/state", "/samples.png")} == {200}
    assert {client.get(path).status_code for path in ("/config.json", "/..%2fconfig.json", "/watch.py")} == {404}
    assert client.post("/state").status_code == 405
    curve = client.get("/state").json()["curves"]["model"]["total"]["training"]
    assert len(curve) <= POINTS
    assert curve[-1][1] == 2.0
    # As by a page of a stranger whose name was made to lead to this machine.
    assert TestClient(app, base_url="http://stranger.example").get("/state").status_code == 400


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1"}, "linux", False),
        ({}, "darwin", True),
    ],
)
def test_a_browser_is_opened_where_somebody_sees_it(environment, platform, expected, monkeypatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert has_browser() == expected
