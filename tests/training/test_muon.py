"""Muon in bf16 is torch's, bit for bit; in fp32 it computes the same more exactly."""

import pytest
import torch
from torch import nn

from textvae.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(48, 96), (96, 48), (64, 64)])
def test_in_bf16_it_is_torch_s(shape):
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    optimizers = (
        Muon([ours], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1),
    )
    for _ in range(3):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(48, 96), (96, 48)])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_singular_values_become_those_of_the_polynomial_and_singular_vectors_stay(shape, dtype, near):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = matrix.clone()
    found = orthogonalised(matrix, dtype)
    assert torch.equal(matrix, before)
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    assert float((found.double() - u @ torch.diag(s) @ v).norm()) < near * float(s.norm())
