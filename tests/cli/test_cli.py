import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny
from PIL import Image

from textvae import __version__, cli
from textvae.cli import VERBS
from textvae.recipes import RECIPES
from textvae.utils.images import read_metadata

BRIEF = ("--trainer.epochs", "1", "--trainer.batch-size", "128")


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_help_answers_at_once():
    def worked() -> float:
        # Processor time: a busy machine makes nobody's help slow.
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    times = []
    for _ in range(3):
        began = worked()
        done = subprocess.run([sys.executable, "-m", "textvae", "--help"], capture_output=True, text=True, check=True)
        times.append(worked() - began)
    assert min(times) < 0.5
    assert done.stderr == ""
    for verb in VERBS:
        assert f"\n  {verb}" in done.stdout


def test_help_imports_nothing_heavy():
    done = python(
        "import sys; from textvae.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'torch', 'PIL', 'safetensors', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [*([verb] for verb in VERBS), ["train", "label-conv"], ["data", "fetch"]], ids=" ".join
)
def test_every_verb_has_help(textvae, words):
    code, out, _ = textvae(*words, "--help")
    assert code == 0
    assert out.startswith("usage: textvae " + words[0])
    assert len(out.splitlines()) > 2


def test_train_help_lists_the_recipe_s_own_settings(textvae):
    _, out, _ = textvae("train", "label-dense", "--help")
    assert "--trainer.weight-decay" in out
    assert "default: 0.001" in out
    assert "--model.embedding-dim" in out
    assert "--model.channels" not in out


def test_nothing_to_do_is_help_and_version_is_a_line(textvae):
    assert textvae()[1] == textvae("--help")[1]
    assert textvae("--version") == (0, f"textvae {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("frob", "there is no verb 'frob'"),
        ("--frob", "there is no verb '--frob'"),
        ("train", "textvae train needs a recipe"),
        ("train label-conf", "did you mean 'label-conv'?"),
        ("train zzz", "textvae recipes lists them all"),
        ("train label-conv --bogus 3", "--bogus"),
        ("train label-conv --trainer.epochs many", "many"),
        ("train label-conv --trainer.epochs 0", "0 epochs"),
        ("train label-conv --trainer.patience 3", "needs validation images"),
        ("train label-conv --device cuda:99", "can't be used here"),
        ("train label-conv --device toaster", "can't be used here"),
        ("generate", "Missing"),
        ("generate nope a-dress", "there is no run folder and no shipped model 'nope'"),
        ("generate RUN", "there is nothing to draw"),
        ("generate RUN spaceship", "Known words: t-shirt"),
        ("generate RUN dress-coat", "names 2 classes"),
        ("generate RUN dress --num-images 0", "at least one"),
        ("generate RUN dress --seed -1", "out of range"),
        ("generate RUN dress --scale 0", "shows nothing"),
        ("generate RUN --label spaceship", "there is no label 'spaceship'"),
        ("reconstruct RUN", "there is nothing to reconstruct"),
        ("reconstruct RUN missing.png", "missing.png can't be read"),
        ("evaluate nope", "no shipped model 'nope'"),
        ("evaluate RUN --num-samples 65", "65 samples can't be compared with 64 test images"),
        ("evaluate RUN --num-samples 1", "choose --num-samples from 2 to 64"),
        ("reproduce z", "z"),
        ("sweep label-conv trainer.weight-decay", "nothing to compare"),
        ("sweep label-conv trainer.weight-decai 1 2", "no setting 'weight_decai'"),
        ("sweep label-conv weight-decay 1 2", "is no setting of a recipe"),
        ("sweep label-conv trainer.epochs 1 two", "'two' is no value"),
        ("sweep label-conv model.likelihood gaussian poisson", "'poisson' is not a valid choice"),
        ("sweep label-conf trainer.epochs 1 2", "did you mean 'label-conv'?"),
        ("data", "fetch|describe"),
        ("data fetch fashion-mnits", "Did you mean fashion-mnist"),
        ("recipes --bogus", "--bogus"),
        ("doctor please", "please"),
    ],
)
def test_a_user_s_mistake_is_2_with_its_cause(textvae, tiny_run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = textvae(*(tiny_run if word == "RUN" else word for word in words.split()))
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_cause_and_a_cure_are_a_line_each(textvae):
    _, _, err = textvae("train", "label-conf")
    assert err == "textvae: there is no recipe 'label-conf'\n  did you mean 'label-conv'?\n"


def test_a_defect_of_ours_is_1_with_its_traceback():
    done = python("from textvae import cli; cli.VERBS['doctor'] = lambda words: 1 / 0; cli.main(['doctor'])")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ZeroDivisionError" in done.stderr


def test_an_interruption_is_130(textvae, monkeypatch):
    def interrupted(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "doctor", interrupted)
    assert textvae("doctor") == (130, "", "textvae: interrupted\n")


def test_a_reader_who_leaves_early_is_no_error():
    program = "from textvae import cli; cli.VERBS['big'] = lambda words: ({}, 'x' * 9_000_000); cli.main(['big'])"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.read(10) == "x" * 10
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0


def test_recipes_list_their_published_numbers(textvae):
    code, out, err = textvae("recipes")
    assert (code, err) == (0, "")
    assert all(f"{name} " in out for name in RECIPES)
    found = json.loads(textvae("recipes", "--json")[1])
    assert list(found) == list(RECIPES)
    assert found["label-conv"]["published"]["reconstruction.mse_sum"] == 11.1087
    assert found["label-dense"]["source"] == "paper b, section 3.2"


def test_doctor_says_what_is_here(textvae, tiny_cache):
    code, out, _ = textvae("doctor")
    assert code == 0
    found = json.loads(textvae("doctor", "--json")[1])
    assert {"python", "processor", "device", "precision", "threads", "torch", "models"} <= set(found)
    assert found["fashion-mnist"] == str(tiny_cache / "data" / "fashion-mnist")
    assert "textvae data fetch mnist" in found["mnist"]
    assert all(value in out for value in found.values())


@pytest.mark.slow
def test_train_generate_reconstruct_by_real_processes(tiny_data, tmp_path):
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
    assert out == f"{png}: 2 x 8 pictures\n"
    assert read_metadata(png) == {
        "prompt": "a dress | Make a SHIRT!",
        "seed": "4",
        "model": "run",
        "recipe": "label-conv",
    }


def test_generate_draws_a_row_a_phrase_and_says_so(textvae, tiny_run, tmp_path):
    png = tmp_path / "out.png"
    words = ("generate", tiny_run, "a dress", "--label", "none", "--num-images", "3", "--out", png)
    code, out, _ = textvae(*words, "--json")
    assert code == 0
    assert json.loads(out) == {
        "out": str(png),
        "prompts": ["a dress", "none"],
        "num_images": 3,
        "seed": 0,
        "model": "toy",
    }
    assert read_metadata(png) == {"prompt": "a dress | none", "seed": "0", "model": "toy", "recipe": "label-conv"}
    first = png.read_bytes()
    assert textvae(*words)[0] == 0
    assert png.read_bytes() == first
    assert textvae(*words, "--seed", "1")[0] == 0
    assert png.read_bytes() != first
    assert textvae(*words, "--precision", "bf16")[0] == 0
    assert read_metadata(png)["precision"] == "bf16"
    assert textvae(*words, "--scale", "5")[0] == 0
    with Image.open(png) as large:
        assert large.height > 2 * 28 * 5


def test_reconstruct_measures_each_file(textvae, tiny_run, tiny_data, tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(2)]
    for path, image in zip(files, tiny_data.images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    out_file = tmp_path / "out.png"
    code, out, _ = textvae(
        "reconstruct", tiny_run, *files, "--prompt", tiny_data.class_names[0], "--out", out_file, "--json"
    )
    assert code == 0
    errors = json.loads(out)["mse_sum"]
    assert list(errors) == list(map(str, files))
    assert all(0 < error < 784 for error in errors.values())
    # The first file shows what the prompt says, the second does not.
    assert errors[str(files[0])] < errors[str(files[1])]
    assert read_metadata(out_file)["prompt"] == tiny_data.class_names[0]


def test_sweep_finds_the_better_value(textvae, tmp_path, monkeypatch):
    out = tmp_path / "sweep"
    words = ("label-dense", "trainer.learning-rate", "1e-6", "1e-3", "--epochs", "1", "--validation-images", "64")
    code, text, err = textvae("sweep", *words, "--out", out, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["setting"] == "trainer.learning-rate"
    assert [row["value"] for row in found["rows"]] == ["1e-6", "1e-3"]
    assert found["best"] == "1e-3"
    assert all(Path(row["run"]).is_dir() for row in found["rows"])
    # The runs are there, so a second look trains nothing and finds the same.
    assert json.loads(textvae("sweep", *words, "--out", out, "--json")[1]) == found
