import pytest
import torch
from helpers.flows import untrained_flow_run
from PIL import Image, ImageFont

from textvae.papers import figures
from textvae.runs.run import open_run, write_history


@pytest.fixture
def run(tmp_path, tiny_data):
    """A run folder of a small latent-flow-fashion with random weights and few-step sampling."""
    return untrained_flow_run(tmp_path / "run")


def curve(judge: str) -> dict:
    """Measured curves with one measure besides the edits."""
    rows = [{judge: 10.0 - n} for n in range(3)]
    return {
        "samples": 24,
        "guidance": [{"guidance": 1.0 + n} | row for n, row in enumerate(rows)],
        "solver": [{"evaluations": 2**n} | row for n, row in enumerate(rows)],
        "strides": [{"evaluations": 2**n} | row for n, row in enumerate(rows)],
        "edits": [{"guidance": 1.0, "kept": 0.5, "changed": 0.2}, {"guidance": 2.0, "kept": 0.4, "changed": 0.6}],
    }


@pytest.mark.slow
def test_curves_are_drawn_of_all_rows_that_have_them(tmp_path):
    stored = {
        "latent-flow-fashion": {"curves": curve("frechet_judge")},
        "latent-flow-elsewhere": {"curves": curve("frechet_judge")},
        "latent-flow-flowers": {"curves": curve("retrieval_precision")},
        "label-conv": {},
    }
    figures.draw_curves(stored, tmp_path)
    names = {path.stem for path in tmp_path.glob("*.png")}
    measures = ("frechet-judge", "retrieval-precision")
    assert names == {f"flow-{x}-{y}" for x in ("guidance", "steps") for y in measures} | {"flow-edit-balance"}
    with Image.open(tmp_path / "flow-guidance-frechet-judge.png") as picture:
        assert picture.text["textvae:model"] == "latent-flow-fashion, latent-flow-elsewhere"
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.slow
def test_flows_are_drawn_with_what_only_some_of_them_can(run, tmp_path, monkeypatch):
    drawn: list[str] = []
    monkeypatch.setattr(figures, "garment_edits", lambda run, folder: drawn.append(run.name))
    figures.draw("flow", {"latent-flow-fashion": run}, tmp_path)
    assert drawn == ["run"]
    assert [path.name for path in tmp_path.glob("*.png")] == ["latent-flow-fashion.png"]


@pytest.mark.slow
def test_loss_curves_of_a_model_with_a_flow_are_those_of_its_first_stage(run, tmp_path, monkeypatch):
    terms = [("model", 4, 1, {"kl": 9.0}), ("model", 8, 2, {"kl": 5.0}), ("flow", 4, 1, {"velocity": 1.0})]
    names = ("stage", "step", "epoch", "loss")
    write_history(run.path, [dict(zip(names, row, strict=True)) | {"seconds": 1.0} for row in terms])
    plotted = []
    monkeypatch.setattr(figures, "plot", lambda title, thin, bold, path: plotted.append((thin, bold)))
    figures.loss_curves({"a": run}, "kl", tmp_path / "kl.png")
    assert plotted == [({"a": [(2.0, 5.0)]}, {"a": []})]


@pytest.mark.slow
def test_what_was_drawn_is_edited_beside_itself(run, tmp_path):
    figures.edited_samples(run, (("a dress", "a coat"), ("a bag", "a boot")), tmp_path / "edits.png", pictures=2)
    with Image.open(tmp_path / "edits.png") as picture:
        assert picture.text["textvae:prompt"] == "a coat | a boot"
        pixels = torch.tensor(list(picture.convert("L").tobytes())).view(picture.height, picture.width)
        # Titles of two lines are as wide as the longer one.
        longest = max(ImageFont.load_default(size=18).getlength(line) for line in ("a dress", "to a coat: 100% kept"))
        assert picture.width < longest + 16 + 4 * 60 + 4
    # Two pairs a row, twice their size, behind the titles.
    right = pixels[:, -4 * 60 :]
    before, after = right[4:60, 4:60], right[4:60, 64:120]
    assert (before != after).any()


def test_two_models_are_drawn_beside_each_other(run, tiny_run, tmp_path):
    figures.side_by_side([(open_run(tiny_run), run)], tmp_path / "beside.png", rows=2, columns=3)
    with Image.open(tmp_path / "beside.png") as picture:
        prompts = run.recipe.prompts[:2]
        assert picture.text["textvae:prompt"] == " | ".join(prompts)
        width = picture.width
        pixels = picture.convert("L").crop((width - 7 * 30 - 2, 0, width, picture.height))
    # Three of one model, an empty place, three of the other; the two sides differ.
    rows = torch.tensor(list(pixels.tobytes())).view(pixels.height, pixels.width)
    left, empty, right = (rows[2:, 2 + 30 * at :][:, : 28 * n] for at, n in ((0, 1), (3, 1), (4, 1)))
    assert (empty == 255).all()
    assert (left != 255).any()
    assert (right != 255).any()
    assert (left != right).any()
