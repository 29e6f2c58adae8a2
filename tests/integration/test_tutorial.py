"""The tutorial is run, block by block, as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from textvae.data import SOURCES

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
DATA = "fashion-mnist"


def blocks(page: str) -> list[tuple[str, str, int]]:
    """(language, text, line) of each fenced block that runs, in order."""
    found = re.finditer(r"^```(python|bash)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(match[1], match[2], page[: match.start(2)].count("\n") + 1) for match in found]


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SOURCES[DATA].find()
    if folder is None:
        pytest.skip(f"{DATA} is not here: textvae data fetch {DATA}")
    # A machine with nothing but this data set: no feature networks lie about, and no cache is touched.
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATA).symlink_to(folder, target_is_directory=True)
    monkeypatch.setenv("TEXTVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    reader = tmp_path / "reader"
    reader.mkdir()
    monkeypatch.chdir(reader)

    page = TUTORIAL.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "tutorial"}
    for language, text, line in blocks(page):
        if language == "python":
            # Blank lines before the code, so that a traceback has the line of the page.
            exec(compile("\n" * (line - 1) + text, str(TUTORIAL), "exec"), names)
        else:
            done = subprocess.run(["bash", "-e", "-c", text], capture_output=True, text=True)
            assert done.returncode == 0, f"{TUTORIAL.name}, line {line}:\n{text}\n{done.stdout}\n{done.stderr}"

    said = capsys.readouterr().out
    assert "60000 (1, 28, 28)" in said
    assert '"a bicycle" names no class' in said
    for picture in set(re.findall(r"[\w-]+\.png", page)) - {"samples.png"}:
        assert (reader / picture).is_file(), f"the tutorial speaks of {picture} and makes none"
    assert (reader / "runs" / "first" / "samples.png").is_file()


@pytest.mark.slow
def test_the_python_of_the_page_on_editing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = TUTORIAL.with_name("editing.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for language, text, _ in blocks(page):
        if language == "python":
            exec(compile(text, "editing.md", "exec"), {"__name__": "editing"})
    assert {path.name for path in tmp_path.iterdir()} == {"flower.png", "strip.gif"}
