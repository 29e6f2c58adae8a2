"""The commands that prepare and train the rows of a paper."""

import json
import shlex
from pathlib import Path

import pytest

from textvae import cli
from textvae.papers.plan import plan_rows
from textvae.papers.rows import PAPERS
from textvae.preparation.subset import THEMES, Subset
from textvae.utils.errors import UserError


def test_a_row_with_a_preset_prepares_the_data_of_the_preset() -> None:
    commands = plan_rows("flow", Path("runs"), ["latent-flow-flowers-128"])
    assert "textvae data prepare flowers102 --size 128 --text words" in commands


def test_rows_of_paper_c_name_what_is_prepared_and_trained(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["clip-dual-64-text-code-nature-seed2", "clip-dual-64-image-code-nature-sqrt"]
    with pytest.raises(SystemExit) as exit_:
        cli.main(["reproduce", "c", "--only", *rows, "--runs", "my runs", "--dry-run", "--json"])
    assert exit_.value.code == 0
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert not list(tmp_path.iterdir())
    prepared = [command for command in commands if "data prepare" in command]
    assert "--text sentence --image-encoder efficientnet" in prepared[0]
    assert [command.rpartition("--theme ")[2] for command in prepared[1:]] == [
        "nature",
        "nature --embedding-length sqrt",
    ]
    assert all("--text pair --image-encoder pair --pair 'my runs/pair-scenes'" in command for command in prepared[1:])
    trained = [shlex.split(command) for command in commands if "textvae train" in command]
    assert [words[2] for words in trained] == [
        "pair-judge-scenes", "pair-scenes", "clip-dual-64-text-code", "clip-dual-64-image-code"
    ]  # fmt: skip
    first, second = trained[2:]
    assert first[first.index("--data") + 1] == "scenes-nature-64-pair"
    assert (first[first.index("--trainer.seed") + 1], first[first.index("--trainer.epochs") + 1]) == ("2", "8")
    assert second[second.index("--data") + 1] == "scenes-nature-64-pair-sqrt"
    assert (first[-1], second[-1]) == (f"my runs/{rows[0]}", f"my runs/{rows[1]}")


@pytest.mark.slow
@pytest.mark.parametrize("paper", ["a", "c", "d"])
def test_commands_of_rows_are_understood(paper, tmp_path, monkeypatch) -> None:
    class Understood(Exception):
        pass

    chosen = []

    def understood(source: object, side: int, text: str, images: str | None, subset: Subset, *_: object) -> None:
        chosen.append((text, images, subset))
        raise Understood

    def trained(*_: object, **__: object) -> None:
        raise Understood

    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path))
    monkeypatch.setattr("textvae.preparation.prepare.prepare", understood)
    monkeypatch.setattr("textvae.cli.train._train", trained)
    # The photographs are not here: settings are checked by the recipe on its own data.
    monkeypatch.setattr("textvae.recipes.resolve._contents_of", lambda recipe, data: None)
    commands = plan_rows(paper, tmp_path)
    assert len([command for command in commands if "textvae train" in command]) >= len(PAPERS[paper])
    # One command of each kind: the options, not their values.
    kinds = {tuple(shlex.split(command)[1:-1:2]): command for command in commands}
    for command in kinds.values():
        with pytest.raises(Understood):
            cli.main(shlex.split(command)[1:])
    if paper == "c":
        assert {(text, images) for text, images, _ in chosen} == {("sentence", "efficientnet"), ("pair", "pair")}
        assert {subset.theme for _, _, subset in chosen} == {(), THEMES["nature"]}


@pytest.mark.parametrize("paper", PAPERS)
def test_no_set_is_prepared_twice(paper, tmp_path) -> None:
    # The image encoder is not in a set's name: with another one, the same folder is refused.
    prepared = [command for command in plan_rows(paper, tmp_path) if "data prepare" in command]
    folders = [command.replace(" --image-encoder efficientnet", "") for command in prepared]
    assert len({*folders}) == len(folders)


def test_unknown_rows_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="no row 'label'"):
        plan_rows("c", tmp_path, ["label"])
