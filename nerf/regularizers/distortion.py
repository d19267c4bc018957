"""Each ray should meet one thin surface: wishes about the distribution of weights along it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.regularizers.base import Regularizer, samples_of
from nerf.renderers.base import Rendering
from suite.schedules import Schedule


class Distortion(Regularizer):
    """mean over rays of  sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 d.

    Mip-NeRF 360 (Barron et al. 2021, arXiv:2111.12077), Eq. 15; s is the distance and d the step, in
    diagonals of the field's box.

    Args:
        weight: Number or schedule. Mip-NeRF 360: .01.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 0.01) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        samples = samples_of(rendering, self)
        diagonal = 2 * math.sqrt(3) * samples.radius
        w, s = samples.at.padded(samples.weights), samples.at.padded(samples.at.distance / diagonal)
        # s grows along a ray: sum_ij = 2 sum_i w_i (s_i sum_{j<i} w_j - sum_{j<i} w_j s_j), in linear time
        before, moment = w.cumsum(-1) - w, (w * s).cumsum(-1) - w * s
        pairs = 2 * (w * (s * before - moment)).sum()
        return (pairs + (w**2).sum() * samples.at.step / diagonal / 3) / samples.rays


class DepthVariance(Regularizer):
    """mean, over rays of opacity > 1/2, of the variance of the depth  sum_i w_i (z_i - z)^2 / sum_i w_i.

    z is the weighted mean; in squared radii of the field's box (HiFA, Zhu et al. 2023, arXiv:2305.18766).

    Args:
        weight: Number or schedule.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 1.0) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        samples = samples_of(rendering, self)
        w, z = samples.at.padded(samples.weights), samples.at.padded(samples.at.distance / samples.radius)
        opacity = w.sum(-1, keepdim=True)
        mean = (w * z).sum(-1, keepdim=True) / opacity.clamp_min(1e-6)
        variance = (w * (z - mean) ** 2).sum(-1) / opacity[:, 0].clamp_min(1e-6)
        hit = opacity[:, 0].detach() > 0.5
        return torch.where(hit, variance, 0.0).sum() / hit.sum().clamp_min(1)
