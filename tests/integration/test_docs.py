"""The pages tell no lies that a machine can find: links lead somewhere, commands are understood."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from textvae import cli, library
from textvae import data as textvae_data
from textvae import pipeline as generator
from textvae.data import describe
from textvae.experiment import sweep
from textvae.experiment import train as experiment
from textvae.papers import reproduce
from textvae.preparation import prepare
from textvae.recipes import RECIPES
from textvae.runs import run as runs
from textvae.utils import images
from textvae.utils.citations import PAPERS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

MADE_LATER = {"RESULTS.md", "docs/figures/label-conv.png"}
"""Written by ``textvae reproduce``: a fresh clone has them, a house under construction need not."""


PICTURES = ("my_pictures", "photos/holiday", "holiday")
"""Folders of one's own in the pages."""


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def commands() -> list[str]:
    """Every ``textvae ...`` of pages, recipes and the Makefile, but those with PLACEHOLDERS or one's own files."""
    found: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fenced = re.findall(r"^```(?:bash|sh)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        lines = [line.strip() for block in fenced for line in block.splitlines()]
        inline = re.findall(r"`(textvae [^`]+)`", text)
        found |= dict.fromkeys(
            re.split(r" #| >+ ", line)[0] for line in [*lines, *inline] if line.startswith("textvae ")
        )
    for make in RECIPES.values():
        found |= dict.fromkeys(re.findall(r"``(textvae [^`]+)``", make.__doc__ or ""))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found |= dict.fromkeys(re.findall(r"\$\(BIN\)/(textvae (?:[^\n|>\"&]|\"[^\"]*\")+)", makefile))
    return [command.strip() for command in found if not re.search(r"\.\.\.|[A-Z]{3,}|\||\.py:|^textvae -", command)]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path = (page.parent / target.split("#")[0]).resolve()
        if str(path.relative_to(ROOT)) not in MADE_LATER:
            assert path.exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_paper_is_named_where_its_letter_first_stands_for_it(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    for letter, paper in PAPERS.items():
        first = re.search(rf"\b[Pp]aper {letter}\b", text)
        if first:
            beginning = text[: first.end() + 400]
            assert paper.title in beginning or "README.md#the-papers" in beginning, letter


def test_the_readme_cites_the_papers_as_the_program_does() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for paper in PAPERS.values():
        assert paper.title in readme
        assert paper.link in readme
        assert all(author in readme for author in paper.authors if len(paper.authors) > 1)


class Understood(Exception):
    """The command line understood its arguments and called the library."""


def understood(*arguments: object, **settings: object) -> None:
    raise Understood


def test_there_are_commands_to_check() -> None:
    verbs = {shlex.split(command)[1] for command in commands()}
    assert verbs - {"help"} == set(cli.VERBS), "every verb stands in a page, and no other"


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment, "train_recipe", understood)
    monkeypatch.setattr("textvae.own_pictures.is_pictures", lambda name: name in PICTURES)
    monkeypatch.setattr("textvae.own_pictures.train_pictures", understood)
    monkeypatch.setattr("textvae.library.evaluate", understood)
    monkeypatch.setattr(library, "evaluate_run", understood)
    monkeypatch.setattr(reproduce, "reproduce_paper", understood)
    monkeypatch.setattr("textvae.papers.full.reproduce_full", understood)
    monkeypatch.setattr("textvae.runs.ship.ship", understood)
    monkeypatch.setattr(sweep, "sweep_setting", understood)
    monkeypatch.setattr(describe, "describe", understood)
    monkeypatch.setattr(prepare, "prepare", understood)
    monkeypatch.setattr(textvae_data, "source", understood)
    monkeypatch.setattr(textvae_data, "remote_set", understood)
    monkeypatch.setattr("textvae.preparation.publish.publish", understood)
    monkeypatch.setattr("textvae.data.coco.fetch_coco", understood)
    monkeypatch.setattr("textvae.preparation.coco_mini.build_coco_mini", understood)
    monkeypatch.setattr("textvae.pretrained.inception.download", understood)
    monkeypatch.setattr(generator.TextToImage, "load", understood)
    monkeypatch.setattr(images, "read_metadata", understood)
    monkeypatch.setattr(images, "load_picture", understood)
    monkeypatch.setattr("textvae.export.model.export", understood)
    monkeypatch.setattr("textvae.serve.static_page.write_page", understood)
    monkeypatch.setattr("textvae.cli.evaluate.read_lines", lambda *_: ["a coat"])
    monkeypatch.setattr(runs, "open_run", lambda *_: _Anything())
    monkeypatch.setattr("textvae.runs.find.find_run", understood)
    monkeypatch.setattr("textvae.runs.loss_curves.plot_losses", understood)
    monkeypatch.setattr("textvae.library.push", understood)
    monkeypatch.setattr(runs, "is_shipped", lambda _: True)
    words = shlex.split(command)[1:]
    if len(words) == 1 or words[:-1] == ["data"]:
        assert words[0] in cli.VERBS  # the name of a command, without arguments
        return
    with pytest.raises((Understood, SystemExit)) as left:
        cli.main(words)
    assert left.type is Understood or left.value.args[0] == 0, f"{command}: {capsys.readouterr().err}"


class _Anything:
    """A run whose attributes nobody looks at before the library is called."""

    path = Path("run")
    name = "run"
