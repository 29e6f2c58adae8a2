"""The documentation site has the page that draws."""

import runpy
import shutil
from pathlib import Path

import pytest
import yaml

from textvae.serve.static_page import ONNX_RUNTIME, write_page
from textvae.utils.errors import UserError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "helpers" / "old_run"


@pytest.mark.slow
def test_every_page_of_the_navigation_is_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        ONNX_RUNTIME.fetch()
    except UserError as error:
        pytest.skip(f"ONNX Runtime for browsers is not here: {error.cause}")
    model = shutil.copytree(OLD, tmp_path / "small")
    stage = runpy.run_path(str(ROOT / "docs" / "build_site.py"))["stage"]
    # One small model in place of all that are bundled, whose export takes minutes.
    monkeypatch.setitem(stage.__globals__, "write_page", lambda _, out: write_page([str(model)], out))
    monkeypatch.setitem(stage.__globals__, "STAGE", tmp_path / "stage")
    stage()
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = files(yaml.safe_load(text)["nav"])
    assert "draw/index.html" in pages
    assert [page for page in pages if not (tmp_path / "stage" / page).is_file()] == []


def files(entry: object) -> list[str]:
    """The files in a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [file for part in parts for file in files(part)]
