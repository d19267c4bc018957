"""Samplers: functions from a prior and noise to a picture, the loop visible.

Every one follows the probability-flow ODE from noise to data (Song et al. 2021, arXiv:2011.13456), which on
any path x_t = alpha x_0 + sigma eps reads

    dx = x_0_hat(x, t) dalpha + eps_hat(x, t) dsigma                                          (1)

    i          a step of the grid: the network is asked at t[i] and x moves from level i to level i + 1
    lambda     log(alpha / sigma), half the log signal-to-noise ratio
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from suite.diffusion.classifier_free import guided
from suite.diffusion.noise import NoiseSchedule, Prediction, Spacing, noise_like
from suite.types import Diffused, Latents

Callback = Callable[[int, Diffused, Prediction], None]
"""Called after each step with its index, the new x and the prediction that led there."""


@dataclass(frozen=True)
class Grid:
    """The noise levels that a sampler visits, on the CPU in float64.

    Args:
        t: Where the network is asked.
        alpha, sigma: The levels, one more than t: the last is where x ends.
    """

    t: Float[Tensor, " n"]
    alpha: Float[Tensor, " n+1"]
    sigma: Float[Tensor, " n+1"]

    def __len__(self) -> int:
        return len(self.t)

    @staticmethod
    def of(schedule: NoiseSchedule, steps: int, spacing: Spacing | None = None) -> "Grid":
        """`steps` steps from noise to data, spaced as the schedule's configuration says unless given.

        Raises:
            ValueError: More steps than the schedule has, fewer than one, or a spacing that it does not know.
        """
        t = schedule.times(steps, spacing)
        alpha, sigma = schedule.alpha_sigma(t)
        final_alpha, final_sigma = (torch.tensor([x], dtype=torch.float64) for x in schedule.final)
        return Grid(t, torch.cat([alpha, final_alpha]), torch.cat([sigma, final_sigma]))

    @staticmethod
    def through(schedule: NoiseSchedule, times: Float[Tensor, " m"]) -> "Grid":
        """Through given descending times, from the first to the last."""
        alpha, sigma = schedule.alpha_sigma(times.double().cpu())
        return Grid(times.double().cpu()[:-1], alpha, sigma)


def ddim(
    prior: Any,
    x: Diffused,
    condition: Any,
    *,
    steps: int | Grid = 50,
    scale: float = 1.0,
    eta: float = 0.0,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    callback: Callback | None = None,
) -> Diffused:
    """DDIM (Song et al. 2021, arXiv:2010.02502, Eq. 12): order 1, one prediction a step.

    x_{i+1} = alpha_{i+1} x_0_hat + sqrt(sigma_{i+1}^2 - s^2) eps_hat + s n
    s = eta sigma_{i+1} sqrt(1 - SNR_i / SNR_{i+1}),   n ~ N(0, I)      (Eq. 16, written for any path)

    With the grid of a Stable Diffusion configuration it equals diffusers' DDIMScheduler step for step, where
    its timesteps are evenly spaced.

    Args:
        x: Noise at the first level: `starting_noise`, or an image noised to it.
        steps: A number of steps, or a grid of one's own.
        scale: Classifier-free guidance.
        eta: 0 follows the ODE, 1 is ancestral sampling (DDPM).
        generator: Draws n, or one a sample; needed where eta > 0.
    """
    if eta > 0 and generator is None:
        raise ValueError("ddim with eta > 0 draws noise: give it generator=.")
    grid = _grid(prior, steps)
    for i in range(len(grid)):
        p = _predict(prior, x, grid, i, condition, scale)
        alpha, sigma = grid.alpha[i + 1], grid.sigma[i + 1]
        s = eta * sigma * (1 - (grid.alpha[i] / grid.sigma[i] * sigma / alpha) ** 2).sqrt()
        x = alpha * p.x_0 + (sigma**2 - s**2).sqrt() * p.eps
        if eta > 0:
            x = x + s * noise_like(x, generator)
        if callback:
            callback(i, x, p)
    return x


def euler(
    prior: Any,
    x: Diffused,
    condition: Any,
    *,
    steps: int | Grid = 50,
    scale: float = 1.0,
    callback: Callback | None = None,
) -> Diffused:
    """Euler's method on (1): order 1. The same numbers as DDIM with eta = 0, written as a step.

    x_{i+1} = x_i + x_0_hat dalpha + eps_hat dsigma
    """
    grid = _grid(prior, steps)
    for i in range(len(grid)):
        p = _predict(prior, x, grid, i, condition, scale)
        x = x + _slope(p, grid, i)
        if callback:
            callback(i, x, p)
    return x


def heun(
    prior: Any,
    x: Diffused,
    condition: Any,
    *,
    steps: int | Grid = 25,
    scale: float = 1.0,
    callback: Callback | None = None,
) -> Diffused:
    """Heun's method on (1): order 2, two predictions a step. On the path alpha = 1 it is EDM's Algorithm 1.

    The trapezoid between the slope here and the slope at Euler's guess; Euler alone in a step that ends at
    sigma = 0, or beyond the last time of the grid (Karras et al. 2022, arXiv:2206.00364).
    """
    grid = _grid(prior, steps)
    for i in range(len(grid)):
        p = _predict(prior, x, grid, i, condition, scale)
        slope = _slope(p, grid, i)
        if i + 1 < len(grid):
            there = _predict(prior, x + slope, grid, i + 1, condition, scale)
            slope = (slope + _slope(there, grid, i)) / 2
        x = x + slope
        if callback:
            callback(i, x, p)
    return x


def dpmpp_2m(
    prior: Any,
    x: Diffused,
    condition: Any,
    *,
    steps: int | Grid = 25,
    scale: float = 1.0,
    callback: Callback | None = None,
) -> Diffused:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, Algorithm 2): order 2, one prediction a step.

    x_{i+1} = sigma_{i+1} / sigma_i x_i + alpha_{i+1} (1 - e^{-h_i}) D,     h_i = lambda_{i+1} - lambda_i
    D = (1 + 1 / (2 r)) x_0_hat_i - 1 / (2 r) x_0_hat_{i-1},                r = h_{i-1} / h_i

    The first step, and a last one to sigma = 0, are of order 1 (D = x_0_hat_i).
    """
    grid = _grid(prior, steps)
    lambdas = (grid.alpha / grid.sigma).log()
    before = None
    for i in range(len(grid)):
        p = _predict(prior, x, grid, i, condition, scale)
        h, D = lambdas[i + 1] - lambdas[i], p.x_0
        if before is not None and lambdas[i - 1].isfinite() and lambdas[i + 1].isfinite():
            r = (lambdas[i] - lambdas[i - 1]) / h
            D = (1 + 1 / (2 * r)) * p.x_0 - 1 / (2 * r) * before
        x = grid.sigma[i + 1] / grid.sigma[i] * x - grid.alpha[i + 1] * torch.expm1(-h) * D
        before = p.x_0
        if callback:
            callback(i, x, p)
    return x


SAMPLERS = {"dpmpp_2m": dpmpp_2m, "ddim": ddim, "euler": euler, "heun": heun}
"""What follows the ODE, by name."""


def starting_noise(
    prior: Any, count: int, generator: torch.Generator, *, height: int | None = None, width: int | None = None
) -> Latents:
    """Standard normal latents for `count` images of height x width pixels, by default the prior's own size.

    Raises:
        ValueError: A size that is not a multiple of the prior's factor.
    """
    height, width = height or prior.resolution, width or prior.resolution
    if height % prior.factor or width % prior.factor:
        raise ValueError(
            f"Image sizes must be multiples of {prior.factor} for this prior, got {height} x {width}."
        )
    shape = (count, prior.latent_channels, height // prior.factor, width // prior.factor)
    return noise_like(torch.empty(shape, device=prior.device), generator)


def _grid(prior: Any, steps: int | Grid) -> Grid:
    return steps if isinstance(steps, Grid) else Grid.of(prior.schedule, steps)


def _predict(prior: Any, x: Diffused, grid: Grid, i: int, condition: Any, scale: float) -> Prediction:
    if grid.alpha[i] == 0 and prior.kind == "epsilon":
        raise ValueError(
            "At alpha = 0 a noise-predicting prior says nothing of the picture. Start the grid later "
            "(spacing='leading'), or use a prior that predicts v."
        )
    return guided(prior, x, grid.t[i].to(x).expand(len(x)), condition, scale)


def _slope(p: Prediction, grid: Grid, i: int) -> Diffused:
    """What (1) says over step i if x_0_hat and eps_hat stay as predicted."""
    return p.x_0 * (grid.alpha[i + 1] - grid.alpha[i]) + p.eps * (grid.sigma[i + 1] - grid.sigma[i])
