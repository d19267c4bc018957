import math

import numpy as np
import pytest
import torch

from suite.metrics.images import psnr, ssim


def pictures(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    a = torch.rand(2, 3, 24, 31, generator=rng)
    a = torch.nn.functional.avg_pool2d(a, 3, 1, 1)
    return a, (a + 0.1 * torch.randn(a.shape, generator=rng)).clamp(0, 1)


def test_psnr_by_hand():
    """An error of .1 everywhere is 20 dB; equal pictures are infinitely close."""
    a = torch.full((2, 3, 8, 8), 0.5)
    torch.testing.assert_close(psnr(a, a + 0.1), torch.tensor([20.0, 20.0]), atol=1e-4, rtol=0)
    assert psnr(a, a).isinf().all()


def test_psnr_in_a_mask_counts_only_the_mask():
    """Errors of .1 in the left half and .5 in the right: left mask 20 dB; a soft mask is a weighted mean."""
    a, b = torch.zeros(1, 3, 4, 8), torch.full((1, 3, 4, 8), 0.1)
    b[..., 4:] = 0.5
    mask = torch.zeros(1, 1, 4, 8)
    mask[..., :4] = 1
    torch.testing.assert_close(psnr(a, b, mask), torch.tensor([20.0]), atol=1e-4, rtol=0)
    mask[..., 4:] = 0.5
    expected = -10 * math.log10((0.01 + 0.5 * 0.25) / 1.5)
    torch.testing.assert_close(psnr(a, b, mask), torch.tensor([expected]), atol=1e-4, rtol=0)


def test_ssim_is_that_of_scikit_image():
    """To 1e-4, on noise over smooth pictures."""
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pictures()
    options = dict(
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=0
    )
    truth = [metrics.structural_similarity(x.numpy(), y.numpy(), **options) for x, y in zip(a, b)]
    np.testing.assert_allclose(ssim(a, b).numpy(), truth, atol=1e-4)
    full = [
        metrics.structural_similarity(x.numpy(), y.numpy(), full=True, **options)[1] for x, y in zip(a, b)
    ]
    mask = torch.zeros(2, 1, 24, 31)
    mask[:, :, 8:15, 9:20] = 1
    inside = [float((m[:, 8:15, 9:20]).mean()) for m in full]
    np.testing.assert_allclose(ssim(a, b, mask).numpy(), inside, atol=1e-4)


def test_psnr_is_that_of_scikit_image():
    """On the same pictures."""
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pictures()
    truth = [metrics.peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1.0) for x, y in zip(a, b)]
    np.testing.assert_allclose(psnr(a, b).numpy(), truth, atol=1e-3)


def test_ssim_of_equal_and_of_constant_pictures():
    """1 for equal pictures; for constants p and q it is (2pq + C1) / (p^2 + q^2 + C1)."""
    a, _ = pictures()
    torch.testing.assert_close(ssim(a, a), torch.ones(2))
    p, q = torch.full((1, 3, 11, 11), 0.3), torch.full((1, 3, 11, 11), 0.6)
    expected = (2 * 0.18 + 1e-4) / (0.09 + 0.36 + 1e-4)
    torch.testing.assert_close(ssim(p, q), torch.tensor([expected]), atol=1e-5, rtol=0)


def test_ssim_is_differentiable():
    """Its gradient is finite and points from worse to better."""
    a, b = pictures()
    b = b.requires_grad_()
    ssim(a, b).sum().backward()
    better = b.detach() + 0.1 * b.grad
    assert (ssim(a, better) > ssim(a, b)).all()


def test_errors():
    """Too small for the window, and nothing to compare."""
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 10 x 12"):
        ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))
    with pytest.raises(ValueError, match="mask is empty"):
        psnr(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))
