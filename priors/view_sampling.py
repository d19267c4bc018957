"""Views sampled from a view-conditioned prior, from noise or from what it expects to see.

    x_s = alpha_s x_expected + sigma_s noise      then the sampler from t = s to 0 (SDEdit, Meng et al. 2022,
                                                  arXiv:2108.01073)

s = 1 begins with noise and is the prior's own answer; s = 0 is the mean of what may be seen, blurred where that is
unsure. Between them a sample keeps what the mean is sure of.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import Condition
from priors.view_prior import ViewPrior
from suite.diffusion.samplers import Grid, dpmpp_2m
from suite.errors import UserError
from suite.types import Images


@torch.no_grad()
def sampled(
    prior: ViewPrior,
    noise: Float[Tensor, "b c y x"],
    condition: Condition,
    expected: Images | None = None,
    *,
    steps: int,
    scale: float | int,
    start: float | int = 1.0,
) -> Images:
    """Pictures of the wanted views.

    Args:
        noise: Standard normal, of the prior's latents.
        condition: Of the wanted cameras.
        expected: What the prior expects to see from them, where sampling begins with that.
        steps: From t = 1; as many fewer as `start` is below it.
        scale: Classifier-free guidance.
        start: The time s at which sampling begins, in [0, 1].

    Raises:
        UserError: `start` is no such time, or is below 1 for a prior that cannot tell what it expects.
    """
    if not 0 <= start <= 1:
        raise UserError(f"start is a time from 0 (what is expected) to 1 (noise), got {start:g}.")
    if start == 1:
        return prior.decode(dpmpp_2m(prior, noise, condition, steps=steps, scale=scale))
    if expected is None:
        raise UserError(f"{type(prior).__name__} cannot tell what it expects to see. Type start=1.")
    if start == 0:
        return expected
    grid = Grid.through(prior.schedule, torch.linspace(start, 0, max(1, round(steps * start)) + 1))
    x = (grid.alpha[0] * prior.encode(expected) + grid.sigma[0] * noise).to(noise.dtype)
    return prior.decode(dpmpp_2m(prior, x, condition, steps=grid, scale=scale))
