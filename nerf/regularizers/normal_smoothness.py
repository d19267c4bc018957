"""Normals of a signed distance field should not change on a short way."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer, places_on, soft_unit
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class SurfaceNormalSmoothness(MeshRegularizer):
    """mean over places x of the surface of |n(x) - n(x + noise)|_1, n the direction of grad s.

    For volumes there is `nerf.regularizers.smoothness.NormalSmoothness`.

    Args:
        weight: Number or schedule.
        places: Vertices at which it is taken.
        distance: Standard deviation of the noise, as a multiple of the surface's radius.
    """

    def __init__(
        self,
        *,
        weight: float | int | list | Schedule = 0.1,
        places: int = 4096,
        distance: float | int = 0.02,
    ) -> None:
        super().__init__(weight)
        if places < 1 or not distance > 0:
            raise ValueError(
                f"SurfaceNormalSmoothness needs places >= 1 and distance > 0, got {places=}, {distance=}."
            )
        self.places, self.distance = places, float(distance)

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        x = places_on(mesh, self.places, generator)
        noise = torch.randn(x.shape, generator=generator, device=generator.device).to(x)
        both = torch.stack([x, x + self.distance * surface.radius * noise])
        here, there = soft_unit(surface.gradient(both).view(-1, 3)).view(2, -1, 3)
        return (here - there).abs().sum(-1).mean()
