"""Neighbouring places should agree: in their normals, or in what a grid stores."""

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.regularizers.base import Regularizer, samples_of
from nerf.renderers.base import Rendering
from suite.schedules import Schedule


class NormalSmoothness(Regularizer):
    """mean over rays of sum_i sg(w_i) |n(x_i) - n(x_i + noise)|_1: no bumps. As in threestudio.

    Args:
        weight: Number or schedule.
        distance: Standard deviation of the noise, as a multiple of the field's radius.
    """

    needs_normals = True

    def __init__(self, *, weight: float | int | list | Schedule = 0.1, distance: float | int = 0.01) -> None:
        super().__init__(weight)
        if distance <= 0:
            raise ValueError(f"NormalSmoothness needs distance > 0, got {distance}.")
        self.distance = float(distance)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        samples = samples_of(rendering, self)
        points = samples.at.points
        noise = torch.randn(points.shape, generator=generator, device=generator.device).to(points.device)
        near = field.normals(points + self.distance * field.radius * noise)
        return (samples.weights.detach()[:, None] * (samples.normals - near).abs()).sum() / samples.rays


class TotalVariation(Regularizer):
    """mean squared difference of neighbouring vertices of a dense grid, of each grid if it has several.

    Args:
        weight: Number or schedule.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 1.0) -> None:
        super().__init__(weight)

    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        if not hasattr(field, "volumes"):
            raise ValueError(
                f"TotalVariation compares the vertices of a dense grid, {type(field).__name__} has none: use "
                "NormalSmoothness, or field=dense_grid."
            )
        volumes = field.volumes()
        return sum(v.diff(dim=axis).square().mean() for v in volumes for axis in range(3)) / len(volumes)
