"""The loss with which this package trains denoisers, and the moving average that is kept of them.

    x_t = alpha_t x_0 + sigma_t eps,    v = alpha_t eps - sigma_t x_0
    loss = E (min(SNR_t, gamma) + 1) / (SNR_t + 1) / u(t) |v_theta(x_t, t) - v|^2,    SNR = alpha^2 / sigma^2

The v-target is of Salimans & Ho (arXiv:2202.00512), the cap of Min-SNR (arXiv:2303.09556, Sec. 3.4). Min-SNR's own
weight, without the + 1, goes to nothing where the noise is strongest; but there alone do conditions decide the shape.
u(t), where given, is about the loss at t of a trained network, so that each noise level counts alike
(arXiv:2312.02696, Sec. 2.2).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.diffusion.noise import NoiseSchedule, per_sample
from suite.types import Latents, Times


@dataclass(frozen=True)
class Noised:
    """Clean latents `x_0` and what they became at times `t` with noise `eps`."""

    x_0: Latents
    x_t: Latents
    t: Times
    eps: Latents
    alpha: Float[Tensor, "b 1 1 1"]
    sigma: Float[Tensor, "b 1 1 1"]


def noised(
    x_0: Latents, schedule: NoiseSchedule, generator: torch.Generator, *, noisy: float | int = 1.0,
    eps: Latents | None = None, alike: int = 1,
) -> Noised:  # fmt: skip
    """Latents at times of their own, one in each of b equally likely bands: less variance than independent draws.

    Args:
        noisy: t = u^noisy for uniform u; below 1 there is more noise.
        eps: The noise, where it is not each number's own.
        alike: So many latents after each other have the same time.
    """
    bands = len(x_0) // alike
    u = (torch.arange(bands) + torch.rand(bands, generator=generator)) / bands
    t = (u**noisy).repeat_interleave(alike).clamp(min=1e-3).to(x_0.device)
    eps = (torch.randn(x_0.shape, generator=generator) if eps is None else eps).to(x_0.device)
    alpha, sigma = (per_sample(x, x_0) for x in schedule.alpha_sigma(t))
    return Noised(x_0, alpha * x_0 + sigma * eps, t, eps, alpha, sigma)


def weighted_v_loss(
    v: Latents, noised: Noised, *, gamma: float | int = 5.0, typical: Times | None = None
) -> Float[Tensor, ""]:
    """The loss on top for a network's answer `v`; `typical` is u of its times."""
    snr = (noised.alpha / noised.sigma) ** 2
    weight = (snr.clamp(max=gamma) + 1) / (snr + 1)
    if typical is not None:
        weight = weight / per_sample(typical, v)
    truth = noised.alpha * noised.eps - noised.sigma * noised.x_0
    return (weight * F.mse_loss(v.float(), truth, reduction="none")).mean()


@torch.no_grad()
def follow(average: nn.Module, learning: nn.Module, step: int, *, decay: float) -> None:
    """Move the average's parameters, and numbers that are kept beside them, as a batch normalisation's, towards what
    was learnt after `step`; quickly at first."""
    now = min(decay, (1 + step) / (10 + step))
    ours, theirs = (
        [x for x in (*m.parameters(), *m.buffers()) if x.is_floating_point()] for m in (average, learning)
    )
    torch._foreach_lerp_(ours, theirs, 1 - now)
