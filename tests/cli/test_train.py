import dataclasses
import json
import re
from pathlib import Path

import pytest
from helpers import tiny

from textvae.cli.settings import FIRST, field_docs, options_of, overrides_of, settings_of
from textvae.recipes import RECIPES
from textvae.recipes.resolve import resolve
from textvae.training.config import TrainerConfig
from textvae.utils.images import read_metadata

ROOT = Path(__file__).parents[2]
BRIEF = ("--trainer.epochs", "1", "--trainer.batch-size", "128")


@pytest.mark.slow
def test_help_starts_with_what_most_people_need(textvae):
    _, out, _ = textvae("train", "latent-flow-flowers", "--help")
    options = [line.split()[0].rstrip(",") for line in out.splitlines() if re.match(r"  --[a-z]", line)]
    first = ["--out", "--data", "--prior", "--preset", "--minutes", "--trainer.epochs", "--trainer.batch-size",
             "--trainer.learning-rate", "--trainer.seed"]  # fmt: skip
    assert options[: len(first)] == first
    assert {"--device", "--precision"} <= set(options[:14])
    assert len(options) == len(set(options))
    assert len(out.splitlines()) < 200
    assert "--preset" not in textvae("train", "latent-flow-products", "--help")[1]


def test_help_lists_the_recipe_s_own_settings(textvae):
    _, out, _ = textvae("train", "label-dense", "--help")
    assert "--trainer.weight-decay" in out
    assert "default: 0.001" in out
    assert "--model.embedding-dim" in out
    assert "--model.channels" not in out
    assert "--flow.trainer.epochs" not in out
    assert "--flow.trainer.epochs" in textvae("train", "label-dense", "--prior", "flow", "--help")[1]
    assert all(f"--{path.replace('_', '-')} " in textvae("train", "--help")[1] for path in FIRST[:4])


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_of_a_recipe_give_the_recipe_back(name):
    recipe = RECIPES[name]()
    options = options_of(recipe)()
    prior = "own" if recipe.flow is None else "flow"
    assert resolve(name, overrides=overrides_of(options, recipe), prior=prior) == recipe
    assert all(setting.help for setting in settings_of(recipe)), "every setting has a docstring"


def test_docstrings_of_fields():
    docs = field_docs(TrainerConfig)
    assert set(docs) == {field.name for field in dataclasses.fields(TrainerConfig)}
    assert "passes" in docs["epochs"]
    made = dataclasses.make_dataclass("Made", [("size", int, 3)])
    assert field_docs(made) == {}


@pytest.mark.slow
def test_train_and_generate_by_real_processes(tiny_data, tmp_path):
    run, png = tmp_path / "run", tmp_path / "pictures.png"
    code, out, err = tiny.finished(
        tiny.start("train", "label-conv", "--out", run, "--json", *tiny.HOW, *tiny.SMALL_CONV, *BRIEF)
    )
    assert code == 0, err
    result = json.loads(out)
    assert result["complete"]
    assert result["last"]["step"] == 2
    assert set(result["last"]["loss"]) == {"total", "reconstruction", "kl"}
    assert (run / "samples.png").is_file()
    code, out, err = tiny.finished(tiny.start("generate", run, "a dress", "Make a SHIRT!", "--out", png, "--seed", 4))
    assert code == 0, err
    assert str(png) in out
    made = read_metadata(png)
    assert (made["prompt"], made["seed"], made["recipe"]) == ("a dress | Make a SHIRT!", "4", "label-conv")


@pytest.mark.slow
def test_a_recipe_of_one_s_own_trains_and_generates(textvae, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import dataclasses\nfrom textvae.recipes import RECIPES\n"
        "def mine():\n    return dataclasses.replace(RECIPES['label-conv'](), name='mine')\n"
    )
    run, spec = tmp_path / "run", f"{file}:mine"
    code, out, _ = textvae("train", spec, "--help")
    assert code == 0
    assert "--model.channels" in out
    assert textvae("train", spec, "--out", run, *tiny.HOW, *tiny.SMALL_CONV, *BRIEF)[0] == 0
    generate = ("generate", run, "a dress", "--num-images", "1", "--out", tmp_path / "a.png")
    assert textvae(*generate)[0] == 2
    assert textvae(*generate, "--recipe", spec)[0] == 0
    assert read_metadata(tmp_path / "a.png")["recipe"] == "mine"


@pytest.mark.slow
def test_sweep_finds_the_better_value(textvae, tmp_path):
    out = tmp_path / "sweep"
    words = ("label-dense", "trainer.learning-rate", "1e-6", "1e-3", "--epochs", "1", "--validation-images", "64")
    code, text, err = textvae("sweep", *words, "--out", out, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["setting"] == "trainer.learning-rate"
    assert [row["value"] for row in found["rows"]] == ["1e-6", "1e-3"]
    assert found["best"] == "1e-3"
    assert all(Path(row["run"]).is_dir() for row in found["rows"])
    # The runs are there, so the same command trains nothing and finds the same.
    assert json.loads(textvae("sweep", *words, "--out", out, "--json")[1]) == found


@pytest.mark.slow
def test_sweep_of_a_recipe_with_a_flow_compares_its_first_stage(textvae, tmp_path):
    small = ("--epochs", "1", "--validation-images", "64", "--out", tmp_path / "sweep", "--json")
    code, text, err = textvae("sweep", "latent-flow-fashion", "model.latent-channels", "1", "2", *small)
    assert code == 0, err
    assert [row["value"] for row in json.loads(text)["rows"]] == ["1", "2"]


def test_the_presets_that_help_and_documentation_name_exist(textvae):
    texts = [textvae("train", "--help")[1], *(str(recipe.__doc__) for recipe in RECIPES.values())]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    pattern = r"\b((?:latent|label|clip|caption|onehot)-[a-z0-9-]+)[^\n`]* --preset ([a-z0-9]+)"
    named = re.findall(pattern, "\n".join(texts))
    assert ("latent-flow-fashion", "tiny") in named
    for recipe, preset in named:
        assert preset in RECIPES[recipe]().presets, f"{recipe} --preset {preset}"
