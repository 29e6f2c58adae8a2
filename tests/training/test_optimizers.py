"""Muon beside Adam: whose weights are whose, what a step does, and that it goes on as if it had not been stopped."""

import copy

import pytest
import torch
from torch import nn

from textvae.training.optimizers import MUON_RATE, MuonAndAdam, optimizer_of
from textvae.utils.device import to_device
from textvae.utils.errors import UserError


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),  # goes in: Adam's
        nn.Conv2d(32, 40, 3, padding=1),
        nn.Flatten(),
        nn.Linear(40 * 16, 48),
        nn.Linear(48, 2),  # comes out: Adam's
    )
    layers.append(nn.Embedding(100, 64))
    to_device(layers, torch.device("cpu"))
    return layers


def gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator).contiguous(
            memory_format=torch.channels_last if weight.dim() == 4 else torch.contiguous_format
        )


def names_moved(model: nn.Module, by) -> set[str]:
    before = copy.deepcopy(model.state_dict())
    by()
    return {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}


def test_matrices_between_layers_are_muon_s_and_the_rest_is_adam_s():
    model = network()
    optimizer = MuonAndAdam(model, 1e-3, 0.0)
    gradients(model, 1)
    optimizer.param_groups[0]["lr"] = 0.0
    assert names_moved(model, optimizer.step) == {
        "0.weight",
        "0.bias",
        "1.bias",
        "3.bias",
        "4.weight",
        "4.bias",
        "5.weight",
    }
    optimizer.param_groups[0]["lr"] = 1e-2
    for group in optimizer.param_groups[1:]:
        group["lr"] = 0.0
    assert names_moved(model, optimizer.step) == {"1.weight", "3.weight"}


def test_a_step_has_singular_values_that_are_alike():
    model = network()
    before = model[3].weight.detach().clone()
    optimizer = MuonAndAdam(model, 1e-3, 0.0)
    gradients(model, 1)
    # One direction ten times as steep as the others.
    model[3].weight.grad += torch.outer(torch.randn(48), torch.randn(640))
    optimizer.step()
    steps = torch.linalg.svdvals((before - model[3].weight).detach()) / (MUON_RATE * 1e-3)
    assert float(steps.min()) > 0.5
    assert float(steps.max()) < 1.5


def test_a_weight_without_a_gradient_stays():
    model = network()
    optimizer = MuonAndAdam(model, 1e-3, 0.0)
    gradients(model, 1)
    optimizer.zero_grad()
    assert names_moved(model, optimizer.step) == set()


def test_weight_decay_is_muon_s_alone():
    model = nn.Sequential(nn.Embedding(64, 32), nn.Linear(32, 32), nn.Linear(32, 4))
    to_device(model, torch.device("cpu"))
    optimizer, before = MuonAndAdam(model, 1e-3, 0.5), [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = 1 - MUON_RATE * 1e-3 * 0.5
    for number, (old, new) in enumerate(zip(before, model.parameters(), strict=True)):
        torch.testing.assert_close(new, shrunk * old if number == 1 else old, rtol=1e-6, atol=0)


def test_it_goes_on_where_its_state_was_taken():
    model = network()
    optimizer = MuonAndAdam(model, 1e-3, 0.01)
    for seed in (1, 2):
        gradients(model, seed)
        optimizer.step()
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    gradients(model, 3)
    optimizer.step()

    other = network()
    again = MuonAndAdam(other, 1e-3, 0.01)
    other.load_state_dict(weights)
    again.load_state_dict(state)
    gradients(other, 3)
    again.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


def test_weights_that_are_not_channels_last_are_refused():
    with pytest.raises(ValueError, match="channels last"):
        MuonAndAdam(nn.Sequential(nn.Conv2d(32, 32, 3)), 1e-3, 0.0)


def test_a_model_of_nothing_but_narrow_layers_is_refused():
    with pytest.raises(UserError, match="32 features"):
        MuonAndAdam(nn.Sequential(nn.Linear(784, 8), nn.Linear(8, 10)), 1e-3, 0.0)


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_noise_scales_do_not_decay(name):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64)
            self.log_sigma = nn.Parameter(torch.tensor(-2.0))

    model = Scaled()
    optimizer = optimizer_of(name, model, 1e-3, 0.5)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    assert "log_sigma" not in names_moved(model, optimizer.step)


def test_noise_scales_follow_errors_that_fall_fast():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(32, 32, bias=False)
            self.log_sigma = nn.Parameter(torch.tensor(0.1).log())

    model, pixels = Model(), 3 * 64 * 64
    optimizer = optimizer_of("muon", model, 2e-3, 0.0)
    for step in range(220):
        error = 0.02 + 0.3 * 0.97**step
        optimizer.zero_grad()
        loss = pixels * (0.5 * error**2 * (-2 * model.log_sigma).exp() + model.log_sigma)
        (loss + 0 * model.inner.weight.sum()).backward()
        optimizer.step()
    assert 0.02 <= float(model.log_sigma.detach().exp()) < 0.025
