"""Score distillation: a frozen prior's opinion of noised images, turned into a gradient on the images.

    z = encode(images),   x_t = alpha_t z + sigma_t eps,   grad = w(t) r(x_t, t)

    r      the residual, in units of eps; what distinguishes the methods
    w      the weight of a noise level, see `weight`

`distillation_loss` carries the gradient: through the encoder to the images, never through the network.
Not-a-number is not hidden here: it reaches the loss, where the run stops and says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from priors.base import Condition, Prior
from suite.schedules import Schedule, as_schedule
from suite.types import Images, Latents, Times

Scheduled = float | Schedule | Sequence
"""A number, points [[progress, value], ...] or a schedule."""

Weighting = Literal["sds", "uniform", "fantasia3d"]


@dataclass(frozen=True)
class GuidanceOutput:
    """What a guidance says of some images.

    Args:
        loss: Its gradient with respect to the images is the distillation gradient / b; its value says little.
        t: The noise times that were drawn.
        gradient: d loss / d latents, times b.
        x_0: What the prior takes the clean latents to be.
    """

    loss: Float[Tensor, ""]
    t: Times
    gradient: Latents
    x_0: Latents


class Guidance(nn.Module, ABC):
    """A rule that turns a prior's predictions into a gradient on images."""

    @abstractmethod
    def forward(
        self,
        prior: Prior,
        images: Images,
        condition: Condition,
        *,
        generator: torch.Generator,
        progress: float = 0.0,
    ) -> GuidanceOutput:
        """The pull of the prior on the images.

        Args:
            condition: One an image.
            generator: Draws times and noise.
            progress: Of the run, in [0, 1]; what is scheduled follows it.
        """


class NoiseTimes:
    """Times drawn uniformly between two bounds that may change during the run; equal bounds fix the time.

    Args:
        t_min, t_max: The bounds; 0 is clean, 1 is noise.

    Raises:
        ValueError: They are not in order within (0, 1), at some time of the run.
    """

    def __init__(self, t_min: Scheduled, t_max: Scheduled) -> None:
        self.t_min, self.t_max = as_schedule(t_min), as_schedule(t_max)
        for progress in (i / 20 for i in range(21)):
            low, high = self.t_min(progress), self.t_max(progress)
            if not 0 < low <= high < 1:
                raise ValueError(
                    f"Noise times need 0 < t_min <= t_max < 1, got t_min={low:g}, t_max={high:g} "
                    f"at progress {progress:g}."
                )

    def sample(self, z: Latents, generator: torch.Generator, progress: float) -> Times:
        """One time for each latent."""
        low, high = self.t_min(progress), self.t_max(progress)
        u = torch.rand(len(z), generator=generator, device=generator.device, dtype=z.dtype)
        return (low + (high - low) * u).to(z.device)


def weight(
    weighting: Weighting, alpha: Float[Tensor, "b 1 1 1"], sigma: Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b 1 1 1"]:
    """w(t): "sds" sigma^2 (DreamFusion), "uniform" 1, "fantasia3d" alpha sigma^2 (Fantasia3D)."""
    match weighting:
        case "sds":
            return sigma**2
        case "uniform":
            return torch.ones_like(sigma)
        case "fantasia3d":
            return alpha * sigma**2


def known(weighting: str) -> str:
    """The weighting itself.

    Raises:
        ValueError: There is none of that name.
    """
    if weighting not in get_args(Weighting):
        raise ValueError(f"weighting {weighting!r} is not one of: {', '.join(get_args(Weighting))}.")
    return weighting


def clipped(gradient: Latents, limit: Schedule | None, progress: float) -> Latents:
    """Every element within +-limit."""
    return gradient if limit is None else gradient.clamp(-limit(progress), limit(progress))


def distillation_loss(z: Latents, gradient: Latents) -> Float[Tensor, ""]:
    """1/2 |z - sg(z - gradient)|^2 / b: a loss whose gradient with respect to z is gradient / b."""
    return 0.5 * (z - (z - gradient).detach()).square().sum() / len(z)
