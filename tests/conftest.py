import os
import sys
from pathlib import Path

# Before torch counts the cores: tests share a machine, and bits depend on the number of threads.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import tiny
import torch

from textvae import cli, data
from textvae.data.images import CaptionedImages
from textvae.data.mnist import FASHION_MNIST
from textvae.device import Execution

torch.set_num_threads(1)


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
