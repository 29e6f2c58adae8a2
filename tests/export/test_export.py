"""Exported models draw what the models draw that they were exported from."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from helpers.flows import untrained_flow_run
from PIL import Image

from textvae import TextToImage, edit, inpaint, interpolate, rank_captions
from textvae.export.graphs import graphs_of
from textvae.export.model import export
from textvae.export.onnx import write_graph
from textvae.models.base import TextVAE
from textvae.recipes import RECIPES
from textvae.utils.errors import UserError
from textvae.utils.images import read_metadata

pytestmark = pytest.mark.slow  # exporting takes ten seconds

OLD = Path(__file__).parents[1] / "helpers" / "old_run"
"""A small model with a flow prior."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "old"
    export(OLD, out)
    return out


def levels(images: list) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images]).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 4},
        {"steps": 5},
        {"guidance_scale": 3.0},
        {"guidance_scale": 1.0, "steps": 3},
        {"negative_prompt": "a coat"},
    ],
)
def test_the_same_seed_gives_the_same_picture(exported: Path, options: dict) -> None:
    prompts = ["a dress", "an ankle boot", "none"]
    theirs = TextToImage.load(OLD)(prompts, num_images=6, seed=3, **options)
    ours = TextToImage.load(exported)(prompts, num_images=6, seed=3, **options)
    difference = np.abs(levels(ours) - levels(theirs))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["heun", "midpoint", "multistep"])
def test_an_export_solves_in_the_same_steps(tmp_path: Path, solver: str) -> None:
    run = untrained_flow_run(tmp_path / "run", solver=solver, spacing=1.8)
    export(run, tmp_path / "out")
    theirs, ours = TextToImage.load(run), TextToImage.load(tmp_path / "out")
    drawn = levels(ours("a dress", num_images=4, steps=5))
    assert np.abs(drawn - levels(theirs("a dress", num_images=4, steps=5))).max() <= 1
    equal = TextToImage.load(untrained_flow_run(tmp_path / "equal", solver=solver))
    assert np.abs(drawn - levels(equal("a dress", num_images=4, steps=5))).max() > 1
    # The whole pipeline in torch, with the graphs as its networks.
    between = levels(interpolate(ours, "a dress", "a bag", frames=3))
    assert np.abs(between - levels(interpolate(theirs, "a dress", "a bag", frames=3))).max() <= 1


@pytest.mark.slow
def test_an_export_reads_the_guidance_scale_as_far_as_its_model_does(tmp_path: Path) -> None:
    run = untrained_flow_run(tmp_path / "run", guidance_input=5.0)
    export(run, tmp_path / "out")
    drawn = [TextToImage.load(place) for place in (run, tmp_path / "out")]
    for options in ({}, {"guidance_scale": 4.0}, {"guidance_scale": 7.0}, {"negative_prompt": "a coat"}):
        told, made = (levels(model("a dress", num_images=2, steps=3, **options)) for model in drawn)
        assert np.abs(told - made).max() <= 1


@pytest.mark.slow
def test_a_model_without_a_flow_prior_is_one_graph(tiny_run: Path, tmp_path: Path) -> None:
    spec = export(tiny_run, tmp_path)
    assert set(spec["graphs"]) == {"draw"}
    theirs = TextToImage.load(tiny_run)("a bag", num_images=5)
    runtime = TextToImage.load(tmp_path)
    assert np.abs(levels(runtime("a bag", num_images=5)) - levels(theirs)).max() <= 1
    with pytest.raises(UserError, match="guidance"):
        runtime("a bag", guidance_scale=2.0)
    with pytest.raises(UserError, match="only draws"):
        runtime.reconstruct(theirs[0], "a bag")
    assert np.abs(levels(interpolate(runtime, "a bag", "a dress", 2))[0] - levels(theirs)[0]).max() <= 1


WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch shall not be imported")

sys.meta_path.insert(0, NoTorch())
import textvae
folder, prompt, by_python, by_command = sys.argv[1:]
textvae.TextToImage.load(folder)(prompt, seed=4)[0].save(by_python)
from textvae.cli import main
main(["generate", folder, prompt, "--seed", "4", "--num-images", "1", "--scale", "1", "--out", by_command])
"""


@pytest.mark.slow
def test_python_and_the_command_line_draw_without_torch(exported: Path, tmp_path: Path) -> None:
    arguments = [str(exported), "a dress", str(tmp_path / "python.png"), f"{tmp_path / 'command'}/"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    expected = levels(TextToImage.load(OLD)("a dress", seed=4))
    drawn = [tmp_path / "python.png", *(tmp_path / "command").iterdir()]
    assert len(drawn) == 2
    assert np.abs(levels([Image.open(file) for file in drawn]) - expected).max() <= 1


@pytest.mark.slow
def test_an_export_is_edited_as_the_run_is(tmp_path: Path) -> None:
    export("fashion", tmp_path)
    run, exported = TextToImage.load("fashion"), TextToImage.load(tmp_path)
    picture = run("a coat", seed=2)[0]
    mask = Image.new("L", picture.size)
    mask.paste(255, (8, 8, 20, 20))

    def made(model: TextToImage) -> list:
        changed = edit(model, picture, "a coat", "a bag")
        return [
            *interpolate(model, "a dress", "a bag", frames=3),
            changed.before,
            changed.after,
            *inpaint(model, picture, mask, "a coat", num_images=2),
            *model.reconstruct(picture, "a coat"),
        ]

    difference = np.abs(levels(made(exported)) - levels(made(run)))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_an_export_knows_no_likelihood(exported: Path) -> None:
    model = TextToImage.load(exported)
    with pytest.raises(UserError, match="no variances"):
        rank_captions(model, model("a coat")[0], ["a coat", "a bag"])


@pytest.mark.parametrize("where", [{"device": "cuda"}, {"precision": "bf16"}])
def test_an_export_is_drawn_from_on_the_cpu_in_fp32(exported: Path, where: dict) -> None:
    with pytest.raises(UserError, match="on the CPU in fp32"):
        TextToImage.load(exported, **where)


@pytest.mark.slow
def test_an_export_of_the_same_weights_is_found(exported: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in exported.iterdir()}
    export(OLD, exported)
    assert {file.name: file.stat().st_mtime_ns for file in exported.iterdir()} == before


@pytest.mark.slow
def test_an_export_with_other_settings_or_a_damaged_graph_is_made_anew(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "export")
    spec = json.loads((folder / "model.json").read_text())
    run = shutil.copytree(OLD, tmp_path / OLD.name)
    config = json.loads((run / "config.json").read_text())
    config["flow"]["model"]["prior"]["steps"] = 3
    (run / "config.json").write_text(json.dumps(config))
    assert export(run, folder)["sampling"] == {**spec["sampling"], "steps": 3}
    assert json.loads((folder / "model.json").read_text())["sampling"]["steps"] == 3
    whole = (folder / "words.onnx").read_bytes()
    (folder / "words.onnx").write_bytes(whole[:-1])
    export(run, folder)
    assert len((folder / "words.onnx").read_bytes()) == len(whole)


@pytest.mark.slow
def test_an_interrupted_export_is_none(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(exported, tmp_path / "export")
    (folder / "step.onnx").write_bytes(b"")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("textvae.export.model.write_graph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(OLD, folder)
    with pytest.raises(UserError, match=r"not a run folder: it has no config\.json"):
        TextToImage.load(folder)


@pytest.mark.parametrize("missing", ["graphs", "sampling", "text", "latent"])
def test_a_spec_without_what_a_reader_needs_is_refused(tmp_path: Path, missing: str) -> None:
    whole = {"name": "x", "weights": "", "image": [], "latent": [], "text": {}, "sampling": {}, "graphs": {}}
    spec = {"format": "textvae-onnx/1", **{key: value for key, value in whole.items() if key != missing}}
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(UserError):
        TextToImage.load(tmp_path)
    spec["graphs"] = {"step": "step.onnx"}
    (tmp_path / "model.json").write_text(json.dumps(spec | {missing: whole[missing]} | {"graphs": {"step": "x"}}))
    with pytest.raises(UserError):
        TextToImage.load(tmp_path)


@pytest.mark.parametrize("sampling", [{"steps": "four"}, {"guidance": None}, {"solver": 3}, {"few_step": "no"}])
def test_a_flow_s_spec_says_how_it_samples(exported: Path, tmp_path: Path, sampling: dict[str, Any]) -> None:
    folder = shutil.copytree(exported, tmp_path / "damaged")
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(spec | {"sampling": spec["sampling"] | sampling}))
    with pytest.raises(UserError, match="model"):
        TextToImage.load(folder)


def test_damage_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "damaged")
    (folder / "step.onnx").write_bytes(b"not a graph")
    with pytest.raises(UserError, match="step"):
        TextToImage.load(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(UserError, match="model"):
        TextToImage.load(folder)


def test_a_model_json_of_something_else_is_left_alone(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"my": "work"}')
    with pytest.raises(UserError, match="is no file of an export"):
        export(tiny_run, tmp_path)
    assert (tmp_path / "model.json").read_text() == '{"my": "work"}'


def test_a_judge_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="draws nothing"):
        export("judge-fashion", tmp_path)


def test_the_spec_says_what_a_reader_needs(exported: Path) -> None:
    spec = json.loads((exported / "model.json").read_text())
    assert spec["image"] == [1, 28, 28]
    assert spec["sampling"]["kind"] == "flow"
    assert set(spec["graphs"]) == {"words", "step", "decode", "encode"}
    assert all((exported / graph["file"]).stat().st_size == graph["bytes"] for graph in spec["graphs"].values())


@pytest.mark.slow
def test_a_model_with_a_recurrent_reader_draws_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = RECIPES["caption-rnn-label"]()
    model = cast(TextVAE, recipe.model.build()).eval()
    (graph,) = graphs_of(model, recipe.text.encode([*recipe.prompts[:3]])).values()
    write_graph(graph, tmp_path / "draw.onnx", {})  # compares with torch, at another batch size


def test_generate_takes_an_export(exported: Path, textvae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(exported, tmp_path / "exports" / "old")
    monkeypatch.chdir(tmp_path)
    code, _, err = textvae(
        "generate", "exports/old", "a dress", "--label", "none", "--num-images", "1", "--out", "a.png"
    )
    assert code == 0, err
    facts = read_metadata(tmp_path / "a.png")
    assert facts["model"] == "exports/old"
    assert "recipe" not in facts
    assert textvae("evaluate", "exports/old")[0] == 2
