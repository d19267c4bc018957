"""Wishes about the opacity a of each pixel: little of it, and all or nothing."""

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Rendering
from suite.schedules import Schedule


class Opacity(Regularizer):
    """mean sqrt(a^2 + .01): no fog in empty space (DreamFusion, arXiv:2209.14988, appendix A.2).

    Args:
        weight: Number or schedule. DreamFusion: .001.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 0.001) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        return (rendering.opacity**2 + 0.01).sqrt().mean()


class OpacityEntropy(Regularizer):
    """mean of -a log a - (1 - a) log(1 - a): each ray hits or misses (in nats; log 2 at a = 1/2).

    Args:
        weight: Number or schedule; rather late than early, as it freezes whatever fog there is.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 0.01) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        a = rendering.opacity.clamp(1e-3, 1 - 1e-3)  # log(0) and its derivative are infinite
        return -(a * a.log() + (1 - a) * (1 - a).log()).mean()
