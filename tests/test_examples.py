"""Each script in examples/ runs, small, on tiny data and without a network, and writes what it says."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest
from helpers import photos
from PIL import Image

from textvae import data

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(tiny_data, tmp_path, monkeypatch, capsys):
    """``run(name, options...)``: runs a script on the tiny data, in this process; gives what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "SOURCES", dict(data.SOURCES))

    def run(name: str, *options: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def is_picture(path: Path) -> bool:
    with Image.open(path) as picture:
        return len(picture.convert("L").getcolors(100_000)) > 1


def test_every_example_is_short_and_tested_here():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 5
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, script
        assert script.name in Path(__file__).read_text(encoding="utf-8")
        assert text.startswith('"""')


def test_train_garments(run, tmp_path):
    printed = run("train_garments.py", "--epochs", 2, "--samples", 20, "--out", tmp_path / "run")
    assert [line.split(":")[0] for line in printed.splitlines()[:2]] == ["epoch 1", "epoch 2"]
    assert "generation.judge_accuracy: 0" in printed
    assert is_picture(tmp_path / "run" / "garments.png")
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_train_on_photos(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    folder = photos.image_folder(tmp_path / "photos", {"train": 40, "test": 8})
    options = ("--epochs", 1, "--width", 32, "--out", tmp_path / "run")
    printed = run("train_on_photos.py", "--folder", folder, "--prompt", "a red block", *options)
    assert "40 images" in printed
    assert "prior=FlowPrior" in printed
    assert is_picture(tmp_path / "run" / "drawn-1.png")


def test_own_dataset(run, tmp_path):
    printed = run("own_dataset.py", "--images", 128, "--epochs", 1, "--out", tmp_path / "run")
    assert "24x24 RGB" in printed
    assert is_picture(tmp_path / "run" / "shapes.png")


def test_own_model(run, tmp_path):
    printed = run("own_model.py", "--epochs", 1, "--out", tmp_path / "run")
    assert "nats an image" in printed
    assert is_picture(tmp_path / "run" / "dress.png")


def test_edit_and_inpaint(run, tmp_path):
    printed = run("edit_and_inpaint.py", "--frames", 3, "--out", tmp_path)
    assert "% of the picture" in printed
    assert all(is_picture(tmp_path / name) for name in ("edited.png", "inpainted.png", "interpolated.gif"))


NOTEBOOKS = EXAMPLES.parent / "docs" / "notebooks"


def cells(script: Path) -> list[str]:
    """The code cells of a notebook that is kept as a script, in the percent format."""
    parts = re.split(r"^# %%(.*)$", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [code for kind, code in zip(parts[1::2], parts[2::2], strict=True) if "markdown" not in kind]


def shown(script: Path) -> list[object]:
    """Runs the cells in order, and gives the value that each ends with, where that can show itself."""
    found, scope = [], {"__name__": "notebook"}
    for code in cells(script):
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(script), "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), str(script), "eval"), scope)
            found += [value] if hasattr(value, "_repr_png_") else []
    return found


def test_notebook_own_pictures(tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINUTES", "0.1")
    (pictures,) = shown(NOTEBOOKS / "own_pictures.py")
    assert len(pictures) == 8
    assert is_picture(tmp_path / "red.png")


def test_notebook_four_papers(fashion_mnist, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPOCHS", "1")
    monkeypatch.setenv("LIMIT", "200")
    if data.SOURCES["mnist"].find() is None:
        pytest.skip("MNIST is not here: textvae data fetch mnist")
    values = shown(NOTEBOOKS / "four_papers.py")
    assert len(values) == 10
    assert all(value._repr_png_() for value in values)
