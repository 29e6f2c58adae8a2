"""Shell completion, tried in the shells themselves."""

import shutil
import subprocess

import pytest

from textvae.cli import VERBS
from textvae.cli.completion import completion
from textvae.recipes import RECIPES

PROBE = """
COMP_WORDS=(textvae "$@"); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); _textvae; printf '%s\n' "${COMPREPLY[@]}"
"""


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """What bash offers for the last of some words, in a folder with one run."""
    needs("bash")
    folder = tmp_path_factory.mktemp("bash")
    (folder / "mine").mkdir()
    (folder / "script").write_text(completion("bash").text + PROBE)

    def offered(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", str(folder / "script"), *words], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    return offered


def test_bash_completes_commands_options_values_and_names(bash):
    assert set(bash("")) == {*VERBS, "help"}
    assert bash("gene") == ["generate"]
    assert {"fashion", "flowers", "mine"} <= set(bash("generate", ""))
    assert {"--seed", "--num-images", "--out"} <= set(bash("generate", "fashion", "--"))
    assert bash("edit", "fashion", "a.png", "--fr") == ["--from"]
    assert bash("generate", "fashion", "--precision", "") == ["auto", "fp32", "bf16"]
    assert bash("train", "latent-flow-fl") == ["latent-flow-flowers"]
    assert set(bash("recipes", "")) >= set(RECIPES)
    assert bash("data", "fe") == ["fetch"]
    assert bash("data", "fetch", "fashion") == ["fashion-mnist"]
    assert "--size" in bash("data", "prepare", "--")


def test_zsh_reads_the_script(tmp_path):
    needs("zsh")
    (tmp_path / "script").write_text(completion("zsh").text)
    command = f"source {tmp_path / 'script'}; whence -w _textvae; echo ${{_comps[textvae]}}"
    done = subprocess.run(["zsh", "-fc", command], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split("\n")[0] == "_textvae: function"
    assert "_textvae" in done.stdout.split("\n")[1]


def test_fish_completes_with_descriptions(tmp_path):
    needs("fish")
    (tmp_path / "script").write_text(completion("fish").text)

    def offered(line: str) -> str:
        command = f"source {tmp_path / 'script'}; complete -C '{line}'"
        return subprocess.run(["fish", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    assert offered("textvae gene") == "generate\tGenerate images from text prompts.\n"
    assert "fashion\n" in offered("textvae generate fa")
    assert set(offered("textvae generate fashion --precision ").split()) == {"auto", "fp32", "bf16"}
    assert offered("textvae data fe").startswith("fetch")
