import pytest
import torch

from textvae.models.attribute_classifier import AttributeClassifier
from textvae.utils.random import Draws


def test_only_named_attributes_are_learned():
    torch.manual_seed(0)
    model = AttributeClassifier.Config((2, 3), channels=(4, 4, 4, 4)).build()
    images = torch.rand(6, 3, 64, 64)
    condition = torch.zeros(6, 5)
    condition[:, 0] = 1
    terms = model.loss(images, condition, Draws(0, 0, torch.arange(6)))
    terms.total.backward()
    gradient = model.to_values.weight.grad.abs().sum(1)
    assert (gradient[:2] > 0).all()
    assert (gradient[2:] == 0).all()
    assert model.loss(images, torch.zeros(6, 5), Draws(0, 0, torch.arange(6))).total == 0


@pytest.mark.slow
def test_learns_two_attributes_of_its_own_images():
    torch.manual_seed(0)
    model = AttributeClassifier.Config((2, 3), channels=(4, 4, 4, 4), shift=1).build()
    left, right = torch.arange(24) % 2, torch.arange(24) % 3
    images = torch.zeros(24, 3, 64, 64)
    images[:, 0, :, :32] = left.view(-1, 1, 1)
    images[:, 1, :, 32:] = right.view(-1, 1, 1) / 2
    condition = torch.cat([torch.nn.functional.one_hot(left, 2), torch.nn.functional.one_hot(right, 3)], 1).float()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(25):
        optimizer.zero_grad()
        model.loss(images, condition, Draws(0, step, torch.arange(24))).total.backward()
        optimizer.step()
    model.eval()
    assert torch.equal(model.classify(images), torch.stack([left, right], 1))
