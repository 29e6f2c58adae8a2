"""A recipe and a model in the user's own file: trained, and opened again only by naming that file."""

import dataclasses
import json
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import tiny

from textvae.experiment.train import train_recipe
from textvae.models.base import TextVAE
from textvae.recipes import RECIPES
from textvae.recipes.from_file import is_spec, load_recipe
from textvae.recipes.recipe import Recipe
from textvae.recipes.resolve import resolve
from textvae.runs.run import open_run
from textvae.utils.errors import UserError

OWN = '''
    """Label-conv with a model of one's own."""

    import dataclasses
    from pathlib import Path

    from beside import WIDTH

    from textvae.models.label_conv import LabelConv
    from textvae.recipes.resolve import resolve

    Path(__file__).with_name("imported").touch()


    class Mine(LabelConv):
        """A model whose name differs, and whose setting has another default."""

        @dataclasses.dataclass(frozen=True)
        class Config(LabelConv.Config):
            channels: tuple[int, int, int] = (4, 8, WIDTH)
            latent_dim: int = 4
            embedding_dim: int = 8

            def build(self) -> "Mine":
                return Mine(self)


    def my_recipe():
        named = resolve("label-conv")
        trainer = dataclasses.replace(named.trainer, epochs=2, batch_size=64)
        return dataclasses.replace(named, name="my-recipe", model=Mine.Config(), trainer=trainer)


    def broken():
        return 1 / 0


    def no_recipe():
        return "label-conv"


    not_a_function = 3
'''


@pytest.fixture
def spec(tmp_path, monkeypatch) -> str:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "beside.py").write_text("WIDTH = 8\n")
    (tmp_path / "own" / "mine.py").write_text(textwrap.dedent(OWN))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    return f"{tmp_path}/own/mine.py:my_recipe"


def test_specs_are_told_from_names() -> None:
    assert is_spec("a/b.py:f")
    assert not any(is_spec(name) for name in [*RECIPES, "a.py", "a.py:", "a.py:f()", "a.txt:f", "f"])


def test_a_recipe_from_a_file_is_resolved_like_any(spec) -> None:
    path = list(sys.path)
    found = resolve(spec, overrides={"trainer": {"epochs": 5}})
    assert (found.name, found.origin, found.trainer.epochs, found.model_class) == ("my-recipe", spec, 5, "Mine")
    assert sys.path == path
    # A second time it is the same class.
    assert type(resolve(spec).model) is type(found.model)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("mine.py:nothing", "no function 'nothing'"),
        ("mine.py:not_a_function", "no function"),
        ("mine.py:broken", r"ZeroDivisionError: division by zero .*mine.py, line \d+"),
        ("mine.py:no_recipe", "returned a str"),
        ("yours.py:my_recipe", "no file"),
        ("faulty.py:f", r"ModuleNotFoundError.*faulty.py, line 1"),
    ],
)
def test_what_is_no_recipe_is_a_users_error(spec, function, why) -> None:
    folder = Path(spec).parent
    (folder / "faulty.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(UserError, match=why):
        load_recipe(f"{folder}/{function}")


@pytest.mark.slow
def test_its_run_opens_with_its_file_alone(spec, textvae, tmp_path) -> None:
    out = tmp_path / "run"
    code, _, err = textvae("train", spec, "--out", out, *tiny.HOW)
    assert code == 0, err
    config = json.loads((out / "config.json").read_text())
    assert (config["recipe"], config["model_class"]) == (spec, "Mine")
    # The same command finds it finished.
    code, _, err = textvae("train", spec, "--out", out, *tiny.HOW)
    assert code == 0
    assert "trained already" in err
    imported = tmp_path / "own" / "imported"
    imported.unlink()
    for module in [name for name in sys.modules if name.startswith("textvae_recipe_")]:
        del sys.modules[module]
    with pytest.raises(UserError) as error:
        open_run(out)
    assert "--recipe FILE.py:FUNCTION" in error.value.cure
    assert not imported.exists(), "a file that a run names must never be imported"
    run = open_run(out, spec)
    assert imported.exists()
    assert isinstance(run.load_model(), TextVAE)
    assert type(run.load_model()).__name__ == "Mine"
    # The file may have moved, and a function or a recipe serve as well.
    moved = (tmp_path / "own").rename(tmp_path / "moved")
    assert open_run(out, f"{moved}/mine.py:my_recipe").recipe.trainer.epochs == 2
    assert open_run(out, lambda: resolve(f"{moved}/mine.py:my_recipe")).recipe.name == "my-recipe"
    # Another recipe, or another model under the same settings, is refused.
    with pytest.raises(UserError, match=r"Mine.*LabelConv"):
        open_run(out, _smaller(resolve("label-conv")))


def _smaller(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, name="other")


@pytest.mark.slow
def test_a_recipe_made_in_python_under_another_name_or_class_says_so(spec, tiny_data, cpu, tmp_path) -> None:
    own = resolve(spec)
    renamed = dataclasses.replace(own, origin="", trainer=dataclasses.replace(own.trainer, epochs=1))
    assert train_recipe(renamed, tmp_path / "renamed", cpu)
    with pytest.raises(UserError, match="'my-recipe'"):
        open_run(tmp_path / "renamed")
    assert open_run(tmp_path / "renamed", renamed).recipe.name == "my-recipe"
    # Under the name of a recipe of textvae, its own class gives it away.
    assert train_recipe(dataclasses.replace(renamed, name="label-conv"), tmp_path / "hidden", cpu)
    with pytest.raises(UserError, match=r"Mine.*LabelConv"):
        open_run(tmp_path / "hidden")
    with pytest.raises(UserError, match="'label-conv'"):
        open_run(tmp_path / "hidden", resolve("label-dense"))
