"""The command line as a whole: help, errors, exit codes, JSON."""

import errno
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import pytest

from textvae import __main__ as entry
from textvae import __version__, cli
from textvae.cli import VERBS
from textvae.cli.shared import Output


def commands() -> Iterator[list[str]]:
    for verb, function in VERBS.items():
        yield from ([verb, action] for action in function) if isinstance(function, Mapping) else [[verb]]


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
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
    assert max(map(len, done.stdout.splitlines())) <= 80
    for verb in VERBS:
        assert f"\n  {verb}" in done.stdout


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    done = python(
        "import sys; from textvae.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'torch', 'PIL', 'safetensors', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [*commands(), ["train", "label-conv"]], ids=" ".join)
def test_every_verb_has_help_that_ends_with_examples(textvae, words):
    code, out, err = textvae(*words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: textvae " + " ".join(words))
    assert "\x1b" not in out
    _, found, examples = out.partition("\nexamples:\n")
    assert found
    for line in examples.strip().splitlines():
        assert shlex.split(line)[: 1 + len(words)] == ["textvae", *words]
    assert textvae("help", *words)[1] == out


@pytest.mark.parametrize(
    ("words", "named"),
    [("interpolate", "MODEL FROM TO"), ("generate", "MODEL [PROMPT ...]"), ("edit", "MODEL IMAGE"),
     ("sweep", "RECIPE SETTING VALUE"), ("data fetch", "NAME"), ("data prepare", "SOURCE")],
)  # fmt: skip
def test_help_names_the_positional_arguments(textvae, words, named):
    assert named in textvae(*words.split(), "--help")[1].splitlines()[0]


def test_nothing_to_do_is_help_and_version_is_a_line(textvae):
    assert textvae()[1] == textvae("--help")[1] == textvae("help")[1]
    assert textvae("--version") == textvae("-V") == (0, f"textvae {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("genrate", "generate"),
        ("--frob", "--frob"),
        ("train", "recipe"),
        ("train label-conf", "label-conv"),
        ("train zzz", "textvae recipes"),
        ("train label-conv --bogus 3", "--bogus"),
        ("train label-conv --trainer.epoch 3", "--trainer.epochs"),
        ("train label-conv --trainer.epochs many", "many"),
        ("train label-conv --trainer.epochs 0", "epochs"),
        ("train label-conv --trainer.patience 3", "validation images"),
        ("train label-conv --preset huge", "huge"),
        ("train label-conv --limit -5", "--limit"),
        ("train label-conv --sample-every 0", "--sample-every"),
        ("train label-conv --threads -3", "-3"),
        ("train label-conv --device cuda:99", "cuda:99"),
        ("train label-conv --device toaster", "toaster"),
        ("generate", "MODEL"),
        ("generate nope a-dress", "nope"),
        ("generate RUN", "prompt"),
        ("generate RUN spaceship", "t-shirt"),
        ("generate RUN dress-coat", "2 classes"),
        ("generate RUN dress --num-images 0", "--num-images"),
        ("generate RUN dress --num-images 1000000000", "--num-images"),
        ("generate RUN dress --seed -1", "--seed"),
        ("generate RUN dress --scale 0", "--scale"),
        ("generate RUN dress --scale 10000", "--scale"),
        ("generate RUN dress --out a.pdf", "a.pdf"),
        ("generate RUN dress --out -", "suffix"),
        ("generate RUN dress --out RUN", "folder"),
        ("generate RUN dress --out /dev/null", "/dev/null"),
        ("generate RUN dress --out /proc/x.png", "/proc"),
        ("generate RUN dress --guidanc 3", "--guidance"),
        ("generate RUN dress --recipe nowhere.py:mine", "nowhere.py"),
        ("generate RUN --label spaceship", "spaceship"),
        ("generate RUN --prompts-file missing.txt", "missing.txt"),
        ("interpolate RUN dress coat --frames 100000", "--frames"),
        ("reconstruct RUN", "image"),
        ("reconstruct RUN missing.png", "missing.png"),
        ("evaluate nope", "nope"),
        ("evaluate RUN --num-samples 65", "64"),
        ("evaluate RUN --num-samples 1", "--num-samples"),
        ("evaluate RUN --num-samples -5", "--num-samples"),
        (f"generate {'x' * 300} y", "too long"),
        (f"generate RUN dress --out {'x' * 300}.png", "too long"),
        (f"train label-conv --out {'x' * 300}", "too long"),
        (f"models --runs {'x' * 300}", "too long"),
        ("export RUN --out /dev/null", "/dev/null"),
        ("page RUN --out /dev/null", "/dev/null"),
        ("evaluate RUN --importance-samples 0", "--importance-samples"),
        ("info missing.png", "missing.png"),
        ("reproduce z", "z"),
        ("ship RUN ../../evil", "evil"),
        ("sweep label-conv trainer.weight-decay", "nothing to compare"),
        ("sweep label-conv trainer.weight-decai 1 2", "weight_decai"),
        ("sweep label-conv weight-decay 1 2", "setting"),
        ("sweep label-conv trainer.epochs 1 two", "two"),
        ("sweep label-conv model.likelihood gaussian poisson", "poisson"),
        ("sweep label-conf trainer.epochs 1 2", "label-conv"),
        ("data fetsh", "fetch"),
        ("data fetch fashion-mnits", "fashion-mnist"),
        ("recipes --bogus", "--bogus"),
        ("recipes label-conf", "label-conv"),
        ("doctor please", "please"),
    ],
)
def test_an_error_of_the_user_is_2_with_cause_and_cure(textvae, tiny_run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    arguments = [tiny_run if word == "RUN" else word for word in words.split()]
    code, out, err = textvae(*arguments)
    assert (code, out) == (2, "")
    *_, cause, cure = err.splitlines()
    assert cause.startswith("textvae: ")
    assert cure.startswith("  ")
    assert said in cause + cure
    assert "Traceback" not in err
    code, out, _ = textvae(*arguments, "--json")
    assert code == 2
    assert set(json.loads(out)["error"]) == {"cause", "cure"}
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_bug_is_1_with_its_traceback():
    done = python("from textvae import cli; cli.VERBS['doctor'] = lambda: 1 / 0; cli.main(['doctor'])")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("CUDA error: an illegal memory access was encountered", None),
        ("unsupported memory format option", None),
        ("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes", 2),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", 2),
    ],
)
def test_only_short_memory_is_reported_as_such(textvae, monkeypatch, said, code):
    def failing() -> Output:
        raise RuntimeError(said)

    monkeypatch.setitem(cli.VERBS, "doctor", failing)
    if code is None:
        with pytest.raises(RuntimeError, match="memory"):
            textvae("doctor")
    else:
        assert textvae("doctor")[0] == code


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "cannot be opened"), (errno.ENOSPC, "cannot be written"), (errno.ENAMETOOLONG, "too long")],
)
def test_what_the_system_refuses_is_an_error_of_the_user_in_json_too(textvae, monkeypatch, number, said):
    def failing() -> Output:
        raise OSError(number, os.strerror(number), "runs/mine/config.json")

    monkeypatch.setitem(cli.VERBS, "doctor", failing)
    code, out, err = textvae("doctor")
    assert (code, out) == (2, "")
    assert said in err
    assert "runs/mine/config.json" in err
    code, out, err = textvae("doctor", "--json")
    assert (code, err) == (2, "")
    assert said in json.loads(out)["error"]["cause"]


def test_an_interruption_is_130(textvae, monkeypatch):
    def interrupted() -> Output:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "doctor", interrupted)
    assert textvae("doctor") == (130, "", "textvae: interrupted\n")


def test_an_interruption_while_modules_are_imported_is_130_too(monkeypatch, capsys):
    class HalfImported(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "textvae.cli", HalfImported("textvae.cli"))
    with pytest.raises(SystemExit, match="130"):
        entry.main()
    assert capsys.readouterr().err == "textvae: interrupted\n"


@pytest.mark.slow
def test_a_reader_who_leaves_early_is_no_error():
    program = (
        "from textvae import cli; from textvae.cli.shared import Output\n"
        "cli.VERBS['big'] = lambda: Output({}, 'x' * 9_000_000); cli.main(['big'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.read(10) == "x" * 10
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0
