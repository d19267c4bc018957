"""Surfaces that are seen must face the camera (Ref-NeRF, Verbin et al. 2021, arXiv:2112.03907, Eq. 11)."""

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.regularizers.base import Regularizer, samples_of
from nerf.renderers.base import Rendering
from suite.schedules import Schedule


class Orientation(Regularizer):
    """mean over rays of sum_i sg(w_i) max(0, n_i . d)^2, d the direction of the ray, sg without gradient.

    Args:
        weight: Number or schedule. DreamFusion: from .0001 to .01 in the first third.
    """

    needs_normals = True

    def __init__(self, *, weight: float | int | list | Schedule = 0.01) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        samples = samples_of(rendering, self)
        away = (samples.normals * samples.directions).sum(-1).clamp_min(0)
        return (samples.weights.detach() * away**2).sum() / samples.rays
