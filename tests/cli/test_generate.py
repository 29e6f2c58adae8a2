import json
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from textvae.cli.made import command_of
from textvae.utils.images import read_metadata


@pytest.mark.slow
def test_a_grid_has_a_row_for_each_prompt_and_says_how_it_was_made(textvae, tiny_run, tmp_path):
    png = tmp_path / "out.png"
    words = ("generate", tiny_run, "a dress", "--label", "none", "--num-images", "3", "--out", png)
    code, out, _ = textvae(*words, "--json")
    assert code == 0
    found = json.loads(out)
    assert found == {"out": str(png), "files": [str(png)], "prompts": ["a dress", "none"], "num_images": 3, "seed": 0,
                     "model": "toy"}  # fmt: skip
    made = {"prompt": "a dress | none", "prompts": '["a dress", "none"]', "seed": "0", "num_images": "3",
            "model": "toy", "recipe": "label-conv"}  # fmt: skip
    assert read_metadata(png) == made
    first = png.read_bytes()
    code, _, err = textvae(*words)
    assert code == 0
    assert str(png) in err  # replaced, and said so
    assert png.read_bytes() == first
    assert textvae(*words, "--seed", "1")[0] == 0
    assert png.read_bytes() != first
    assert textvae(*words, "--precision", "bf16")[0] == 0
    assert read_metadata(png)["precision"] == "bf16"
    assert textvae(*words, "--scale", "5")[0] == 0
    with Image.open(png) as large:
        assert large.height > 2 * 28 * 5


@pytest.mark.slow
def test_many_images_are_wrapped_into_rows_of_eight(textvae, tiny_run, tmp_path):
    sizes = {}
    for count in (8, 9):
        png = tmp_path / f"{count}.png"
        assert textvae("generate", tiny_run, "a dress", "--num-images", count, "--out", png)[0] == 0
        with Image.open(png) as sheet:
            sizes[count] = sheet.size
    assert sizes[8][0] == sizes[9][0]
    assert sizes[8][1] < sizes[9][1]


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("a.webp", "WEBP")])
def test_the_suffix_decides_the_format(textvae, tiny_run, tmp_path, name, kind):
    assert textvae("generate", tiny_run, "a dress", "--num-images", "1", "--out", tmp_path / name)[0] == 0
    with Image.open(tmp_path / name) as picture:
        assert picture.format == kind
    assert read_metadata(tmp_path / name)["prompt"] == "a dress"


def test_a_folder_gets_a_file_for_each_image(textvae, tiny_run, tmp_path):
    words = ("generate", tiny_run, "a dress", "a coat", "--num-images", "2", "--seed", "7", "--scale", "1")
    code, out, _ = textvae(*words, "--out", f"{tmp_path}/images/", "--json")
    assert code == 0
    names = ["a-dress-seed7.png", "a-dress-seed8.png", "a-coat-seed7.png", "a-coat-seed8.png"]
    assert json.loads(out)["files"] == [str(tmp_path / "images" / name) for name in names]
    with Image.open(tmp_path / "images" / names[1]) as picture:
        assert picture.size == (28, 28)
    assert read_metadata(tmp_path / "images" / names[1])["seed"] == "8"
    before = (tmp_path / "images" / names[0]).read_bytes()
    assert textvae(*words, "--out", f"{tmp_path}/images/")[0] == 0
    assert (tmp_path / "images" / names[0]).read_bytes() == before
    assert (tmp_path / "images" / "a-dress-seed7-2.png").is_file()


def test_the_default_file_is_never_overwritten(textvae, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert textvae("generate", tiny_run, "a dress", "--num-images", "1")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated-2.png", "generated.png"]


def test_prompts_from_a_file(textvae, tiny_run, tmp_path):
    (tmp_path / "prompts.txt").write_text("a coat\n\n a bag \n")
    words = ("--prompts-file", tmp_path / "prompts.txt", "--num-images", "1", "--out", tmp_path / "a.png")
    code, out, _ = textvae("generate", tiny_run, "a dress", *words, "--json")
    assert code == 0
    assert json.loads(out)["prompts"] == ["a dress", "a coat", "a bag"]


def again(textvae, file: Path, out: Path) -> None:
    """Runs the command that ``info`` prints, to another file."""
    code, text, _ = textvae("info", file, "--json")
    assert code == 0
    program, *words = shlex.split(json.loads(text)["command"])
    assert program == "textvae"
    assert textvae(*words, "--out", out)[0] == 0


def test_info_shows_the_command_that_makes_an_image_again(textvae, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_run.parent)
    png, copy = tmp_path / "a.png", tmp_path / "copy.png"
    words = ("a | b dress", "a coat", "--num-images", "2", "--seed", "5", "--scale", "3")
    assert textvae("generate", tiny_run, *words, "--out", png)[0] == 0
    again(textvae, png, copy)
    assert copy.read_bytes() == png.read_bytes()
    found = json.loads(textvae("info", png, "--json")[1])
    assert (found["prompt"], found["seed"], found["model"]) == ("a | b dress | a coat", "5", "toy")
    assert textvae("interpolate", tiny_run, "a dress", "a coat", "--precision", "bf16", "--out", png)[0] == 0
    assert json.loads(textvae("info", png, "--json")[1])["precision"] == "bf16"
    again(textvae, png, copy)
    assert copy.read_bytes() == png.read_bytes()
    Image.new("L", (4, 4)).save(tmp_path / "other.png")
    assert textvae("info", tmp_path / "other.png")[0] == 2


def test_info_knows_the_commands_that_start_from_images_or_two_prompts(
    textvae, tiny_run, tiny_data, tmp_path, monkeypatch
):
    shutil.copytree(tiny_run, tmp_path / "runs" / "toy")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tiny_data.images[0, 0].numpy()).save("boot.png")
    for words in (
        ("interpolate", "runs/toy", "a dress", "a coat", "--frames", "3", "--seed", "2"),
        ("reconstruct", "runs/toy", "boot.png", "--prompt", "a coat"),
    ):
        png, copy = tmp_path / f"{words[0]}.png", tmp_path / f"{words[0]}-again.png"
        assert textvae(*words, "--out", png)[0] == 0
        assert read_metadata(png)["model"] == "runs/toy"
        again(textvae, png, copy)
        assert copy.read_bytes() == png.read_bytes()


@pytest.mark.parametrize(
    "facts",
    [
        {"model": "--recipe=evil.py:run", "prompt": "a dress"},
        {"model": "fashion", "prompt": "--recipe=evil.py:run"},
        {"model": "fashion", "prompt": "x", "prompts": "[1]"},
        {"model": "fashion", "verb": "train", "prompt": "x"},
        {"model": "fashion", "verb": "interpolate", "prompt": "x"},
    ],
)
def test_a_strangers_image_gives_no_command_that_it_should_not(facts):
    assert command_of({"seed": "0", "num_images": "1", **facts}) is None


def test_what_a_stranger_wrote_is_quoted():
    command = command_of({"model": "fashion", "prompt": "a; rm -rf ~ $(ls) `ls`", "seed": "0", "num_images": "1"})
    assert shlex.split(command) == ["textvae", "generate", "fashion", "a; rm -rf ~ $(ls) `ls`", "--num-images", "1",
                                    "--seed", "0"]  # fmt: skip


def test_reconstruct_measures_each_file(textvae, tiny_run, tiny_data, tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(2)]
    for path, image in zip(files, tiny_data.images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    out_file = tmp_path / "out.png"
    words = ("--prompt", tiny_data.class_names[0], "--out", out_file, "--json")
    code, out, _ = textvae("reconstruct", tiny_run, *files, *words)
    assert code == 0
    errors = json.loads(out)["mse_sum"]
    assert list(errors) == list(map(str, files))
    assert all(0 < error < 784 for error in errors.values())
    # The first file shows what the prompt says, the second does not.
    assert errors[str(files[0])] < errors[str(files[1])]
    assert read_metadata(out_file)["prompt"] == tiny_data.class_names[0]
    before = files[0].read_bytes()
    assert textvae("reconstruct", tiny_run, *files, "--out", files[0])[0] == 2
    assert files[0].read_bytes() == before
