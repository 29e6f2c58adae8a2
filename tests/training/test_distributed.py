"""A step that several processes share is the step of one process, to rounding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import shared_training
from helpers.families import FAMILIES

SIZE = 3
"""With two processes, sums do not depend on where a number lies, and a test would prove less."""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("shared") / "found"
    subprocess.run(
        [sys.executable, shared_training.__file__, str(file), str(SIZE)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=390,
    )
    return torch.load(Path(file))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_three_processes_train_as_one(found, name):
    alone, shared = found[name][1], found[name][SIZE]
    assert alone.keys() == shared.keys()
    assert sum(key.startswith("gradient") for key in alone) == 3
    for key, expected in alone.items():
        if key.startswith("gradient"):
            assert (shared[key] - expected).norm() < 1e-9 * expected.norm(), key
        else:
            # A bias before a batch normalisation has no gradient but rounding, of which Adam makes steps of about 1e-9.
            torch.testing.assert_close(shared[key], expected, rtol=1e-6, atol=1e-8, msg=key)
