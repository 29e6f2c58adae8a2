import gzip
import json
import os
import sys
from pathlib import Path

# Before torch counts the cores: tests share a machine, and bits depend on the number of threads.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from helpers import tiny

from textvae import cli, data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.mnist import FASHION_MNIST
from textvae.utils.device import Execution

torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the attack campaigns unless ``-m`` names them.

    This is not ``-m "not robust"`` in pyproject.toml, because any ``-m`` of the command line would replace it.
    """
    if "robust" in config.option.markexpr:
        return
    robust = [item for item in items if item.get_closest_marker("robust")]
    if robust:
        config.hook.pytest_deselected(items=robust)
        items[:] = [item for item in items if item not in robust]


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory) -> Path:
    """A cache folder that holds the tiny data, written once."""
    cache = tmp_path_factory.mktemp("cache")
    tiny.write(cache)
    return cache


@pytest.fixture
def tiny_data(tiny_cache, monkeypatch) -> CaptionedImages:
    """Under the name "fashion-mnist", 256 and 64 tiny images, also for ``tiny.start``; gives the training images."""
    monkeypatch.setenv("TEXTVAE_CACHE", str(tiny_cache))
    monkeypatch.delenv("TEXTVAE_DATA", raising=False)
    monkeypatch.setitem(data.SOURCES, "fashion-mnist", tiny.source(tiny_cache))
    return data.load("fashion-mnist", "train")


@pytest.fixture
def fashion_mnist() -> CaptionedImages:
    """The real training images."""
    if FASHION_MNIST.find() is None:
        pytest.skip("Fashion-MNIST is not here: textvae data fetch fashion-mnist")
    return FASHION_MNIST.load("train")


@pytest.fixture
def cpu() -> Execution:
    """One thread, fp32."""
    return Execution(torch.device("cpu"), "fp32", 1, ())


@pytest.fixture
def textvae(tiny_data, capsys):
    """``textvae(words...)``: the command line in this process; gives (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def tiny_run(tiny_cache, tmp_path_factory) -> Path:
    """A finished run of a toy label-conv on the tiny data; read it, don't write into it."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit_:
        patch.setenv("TEXTVAE_CACHE", str(tiny_cache))
        patch.delenv("TEXTVAE_DATA", raising=False)
        patch.setitem(data.SOURCES, "fashion-mnist", tiny.source(tiny_cache))
        patch.setattr(sys, "stdout", sys.stderr)
        cli.main(["train", "label-conv", "--out", str(out), *tiny.HOW, *tiny.SMALL_CONV, *TINY_RUN])
    assert exit_.value.code == 0
    return out


TINY_RUN = ("--trainer.epochs", "40", "--trainer.batch-size", "32", "--trainer.learning-rate", "1e-2")


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> str:
    """A small CLIP in a folder, as the hub's: random weights, the vocabulary of the real one."""
    transformers = pytest.importorskip("transformers")
    vocabulary = Path(os.environ.get("TEXTVAE_DATA", "")) / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    if not vocabulary.is_file():
        pytest.skip("CLIP's vocabulary is not here: TEXTVAE_DATA/clip")
    folder = tmp_path_factory.mktemp("clip")
    # As openai/CLIP makes its vocabulary (simple_tokenizer.py): bytes, bytes that end a word, merges, two markers.
    lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    from tokenizers.pre_tokenizers import ByteLevel

    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in visible]
    letters = [chr(b) for b in visible] + [chr(256 + n) for n in range(len(rest))]
    assert set(letters) == set(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(line.split()) for line in lines)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}')
    text = {
        "vocab_size": 49408, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    ).save_pretrained(folder)
    return str(folder)
