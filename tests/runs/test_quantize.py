"""Weights in a quarter of their space."""

import shutil
from pathlib import Path

import pytest
import torch

from textvae.runs.files import MODEL
from textvae.runs.quantize import SCALE, dequantized, quantized
from textvae.runs.run import open_run, write_weights
from textvae.utils.errors import UserError

WEIGHTS = {
    "conv.weight": torch.randn(96, 16, 3, 3, generator=torch.Generator().manual_seed(0)),
    "dense.weight": torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    * torch.logspace(-3, 1, 64)[:, None],
    "small.weight": torch.linspace(-1, 1, 64).view(8, 8),
    "dense.bias": torch.linspace(-3, 3, 5000),
    "flag": torch.tensor(True),
}


def test_a_matrix_comes_back_to_half_a_step_of_its_row():
    stored = quantized(WEIGHTS)
    back = dequantized(stored)
    assert back.keys() == WEIGHTS.keys()
    for name in ("conv.weight", "dense.weight"):
        assert stored[name].dtype == torch.int8
        assert stored[name + SCALE].dtype == torch.float16
        rows, found = WEIGHTS[name].flatten(1), back[name].flatten(1)
        # Half a step, and what half precision rounds of the scale, 127 times.
        step = rows.abs().amax(1, keepdim=True) / 127
        assert bool(((rows - found).abs() <= step * (0.5 + 127 * 2**-11)).all()), name
        assert 0.005 < float((rows - found).norm() / rows.norm()) < 0.01, name


def test_what_is_small_or_a_vector_is_in_half_precision_and_the_rest_untouched():
    stored = quantized(WEIGHTS)
    for name in ("small.weight", "dense.bias"):
        assert stored[name].equal(WEIGHTS[name].half())
    assert stored["flag"].equal(WEIGHTS["flag"])
    assert {weight.dtype for weight in dequantized(stored).values()} == {torch.float32, torch.bool}


def test_rows_of_zeros_stay_zeros():
    weight = torch.randn(64, 64)
    weight[3], weight[4] = 0, 1e-12
    back = dequantized(quantized({"w": weight}))["w"]
    assert back[3:5].equal(torch.zeros(2, 64))
    assert bool(back[5].any())


@pytest.mark.parametrize(("shape", "value"), [((64, 64), 1e30), ((64, 64), float("nan")), ((3,), 1e30)])
def test_weights_beyond_half_precision_are_refused(shape, value):
    with pytest.raises(UserError, match="half precision"):
        quantized({"w": torch.full(shape, value)})


def test_a_run_with_narrow_weights_loads_as_fp32(tiny_run, tmp_path):
    copy = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    weights = open_run(copy).load_model().state_dict()
    write_weights(copy, quantized(weights))
    assert (copy / MODEL).stat().st_size < 0.75 * sum(w.numel() * 4 for w in weights.values())
    for name, weight in open_run(copy).load_model().state_dict().items():
        assert weight.dtype == weights[name].dtype
        torch.testing.assert_close(weight, weights[name], atol=0.01, rtol=0.001)
