"""Distances between pictures: PSNR and SSIM, one number a picture, over all pixels or over a mask.

    PSNR = -10 log10 mean (a - b)^2                                         for values in [0, 1]
    SSIM = (2 m_a m_b + C_1) (2 s_ab + C_2) / ((m_a^2 + m_b^2 + C_1) (s_aa + s_bb + C_2))

(Wang et al. 2004) with means m and covariances s under an 11 x 11 Gaussian window of standard deviation 1.5,
weights summing to 1 (population covariance), C_1 = .01^2, C_2 = .03^2, for each channel, averaged over channels
and over the pixels whose whole window lies in the picture. scikit-image computes the same with
gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from suite.types import Images, Masks

WINDOW, SIGMA, C_1, C_2 = 11, 1.5, 0.01**2, 0.03**2


def psnr(a: Images, b: Images, mask: Masks | None = None) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures.

    Args:
        mask: Weights of the pixels, in [0, 1]; the error outside does not count.
    """
    error = (a.double() - b.double()).square()
    return -10 * torch.log10(_mean(error, mask)).float()


def ssim(a: Images, b: Images, mask: Masks | None = None) -> Float[Tensor, " b"]:
    """Structural similarity, 1 for equal pictures. Differentiable.

    Args:
        mask: Weights of the pixels, in [0, 1]. Windows centred on a pixel of the mask count, and see 5 pixels
            around it.

    Raises:
        ValueError: Pictures smaller than the window, or a mask without a pixel.
    """
    h, w = a.shape[-2:]
    if min(h, w) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW} pixels, got {h} x {w}.")
    a, b = a.double(), b.double()
    m_a, m_b = _smooth(a), _smooth(b)
    s_aa, s_bb, s_ab = _smooth(a * a) - m_a**2, _smooth(b * b) - m_b**2, _smooth(a * b) - m_a * m_b
    luminance = (2 * m_a * m_b + C_1) / (m_a**2 + m_b**2 + C_1)
    structure = (2 * s_ab + C_2) / (s_aa + s_bb + C_2)
    edge = WINDOW // 2
    inner = None if mask is None else mask[..., edge:-edge, edge:-edge]
    return _mean(luminance * structure, inner).float()


def _smooth(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
    """Gaussian-weighted means, where the window fits."""
    x_k = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weights = torch.exp(-0.5 * (x_k / SIGMA) ** 2)
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, WINDOW)
    x = torch.nn.functional.conv2d(x, weights, groups=x.shape[1])
    return torch.nn.functional.conv2d(x, weights.transpose(2, 3), groups=x.shape[1])


def _mean(values: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"] | None) -> Float[Tensor, " b"]:
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    weight = mask.double().sum(dim=(1, 2, 3))
    if bool((weight <= 0).any()):
        raise ValueError("A mask is empty: there is nothing to compare.")
    return (values * mask).sum(dim=(1, 2, 3)) / (weight * values.shape[1])
