import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from textvae.evaluation.metrics.similarity import mse, mse_sum, psnr, ssim


def pairs(n: int, c: int, h: int, w: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n * h + c)
    smooth = torch.rand(n, c, h // 4, w // 4, generator=generator)
    images = torch.nn.functional.interpolate(smooth, (h, w), mode="bilinear")
    return images, (images + noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 64, 64), (2, 3, 80, 60), (1, 1, 12, 16)])
@pytest.mark.parametrize("noise", [0.02, 0.4])
def test_ssim_and_psnr_are_those_of_scikit_image(shape: tuple[int, int, int, int], noise: float) -> None:
    images, reference = pairs(*shape, noise)
    for i in range(len(images)):
        x, y = (z[i].double().numpy() for z in (images, reference))
        expected = structural_similarity(
            x, y, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
        )
        assert float(ssim(images, reference)[i]) == pytest.approx(expected, abs=1e-9)
        assert float(psnr(images, reference)[i]) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1), rel=1e-9)


def test_squared_errors_count_pixels_and_channels() -> None:
    images, reference = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5)
    reference[1] = 0.5
    np.testing.assert_allclose(mse_sum(images, reference), [0, 15])
    np.testing.assert_allclose(mse(images, reference), [0, 0.25])


def test_identical_images_are_as_similar_as_can_be() -> None:
    images, _ = pairs(2, 1, 28, 28, 0.1)
    assert ssim(images, images).tolist() == pytest.approx([1, 1], abs=1e-12)
    assert psnr(images, images).tolist() == [100, 100]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), noise=st.floats(0, 1))
@pytest.mark.slow
def test_similarity_is_symmetric_and_blind_to_mirrors(seed: int, noise: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 1, 16, 20, generator=generator)
    y = (x + noise * torch.rand(x.shape, generator=generator)).clamp(0, 1)
    for measure in (mse, mse_sum, psnr, ssim):
        value = measure(x, y)
        torch.testing.assert_close(measure(y, x), value)
        torch.testing.assert_close(measure(x.flip(-1), y.flip(-1)), value)
    assert ssim(x, y) <= 1 + 1e-12


@pytest.mark.parametrize("wrong", [-0.01, 1.01, torch.nan, 255.0])
def test_pixels_outside_the_unit_interval_are_refused(wrong: float) -> None:
    images = torch.full((1, 1, 12, 12), 0.5)
    spoiled = images.clone()
    spoiled[0, 0, 3, 3] = wrong
    for measure in (mse, mse_sum, psnr, ssim):
        for pair in ((images, spoiled), (spoiled, images)):
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                measure(*pair)


def test_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(torch.rand(1, 1, 10, 28), torch.rand(1, 1, 10, 28))
