import re
import shutil
from pathlib import Path

import pytest

from textvae.runs.find import shipped_models
from textvae.runs.run import open_run
from textvae.serve import static_page
from textvae.serve.static_page import write_page
from textvae.utils.errors import UserError

OLD = Path(__file__).parents[1] / "helpers" / "old_run"


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    models = [str(shutil.copytree(OLD, tmp_path / place / "run")) for place in ("a", "b")]
    with pytest.raises(UserError, match="two models are called run"):
        write_page(models, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    (site / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which is no part of a page"):
        write_page([str(OLD)], site)
    assert (site / "index.html").read_text() == "mine"


def test_by_default_it_has_the_shipped_models_that_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    critic = Path(shutil.copytree(shipped_models()["judge-fashion"], tmp_path / "critic"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(static_page, "shipped_models", lambda: shipped_models() | {"critic": critic})
    monkeypatch.setattr(static_page, "_copy_runtime", lambda *_: 0)

    def export(run, folder: Path) -> dict:
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        return {"summary": run.name, "graphs": {}}

    monkeypatch.setattr(static_page, "export", export)
    expected = ["digits", "fashion", "flowers", "products", "scenes", "sprouts"]
    assert write_page([], tmp_path / "site")["models"] == expected


def test_the_slider_for_guidance_has_the_default_of_each_shipped_model() -> None:
    page = (Path(static_page.__file__).parent / "page" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'id="guidance" type="range" min="0" max="(.*?)" step="(.*?)"', page)
    assert found is not None
    largest, step = map(float, found.groups())
    flows = [run.recipe.flow for run in map(open_run, shipped_models().values()) if run.recipe.flow]
    assert len(flows) == 6
    for flow in flows:
        # A browser rounds other values to a multiple of the step, and would draw other pictures than Python.
        assert flow.model.prior.guidance <= largest
        assert flow.model.prior.guidance / step == pytest.approx(round(flow.model.prior.guidance / step))
