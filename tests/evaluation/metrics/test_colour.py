import colorsys

import pytest
import torch

from textvae.evaluation.metrics.colour import ColourClassifier, colour_histograms, hue_saturation_value


def test_hue_saturation_value_are_those_of_colorsys():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.cat([torch.rand(1, 3, 1, 60, generator=generator), torch.full((1, 3, 1, 4), 0.5)], dim=3)
    ours = torch.stack(hue_saturation_value(pixels)).squeeze().T
    expected = [colorsys.rgb_to_hsv(*pixel) for pixel in pixels.squeeze().T.tolist()]
    torch.testing.assert_close(ours, torch.tensor(expected), atol=1e-5, rtol=0)


def test_histograms_are_shares_and_change_smoothly():
    images = torch.randint(0, 256, (5, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    windows = colour_histograms(images).square().unflatten(1, (2, -1))
    torch.testing.assert_close(windows.sum(2), torch.ones(5, 2, dtype=torch.float64), atol=1e-5, rtol=0)
    brighter = (images.float() * 1.02).clamp(0, 255).byte()
    assert float((colour_histograms(brighter).square() - windows.flatten(1)).abs().sum(1).max()) < 0.2


def test_a_colour_needs_two_images():
    histograms = torch.rand(5, 3).double()
    with pytest.raises(ValueError, match="at least two"):
        ColourClassifier.fit(histograms, torch.tensor([0, 0, 1, 1, 2]), 3)
