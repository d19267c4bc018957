"""A signed distance grows by one unit on each unit of length (Gropp et al. 2020, arXiv:2002.10099)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer, places_on
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class Eikonal(MeshRegularizer):
    """mean of (|grad s(x)| - 1)^2, half of the places anywhere in the box, half near the surface.

    Args:
        weight: Number or schedule.
        places: At which it is taken.
        distance: Standard deviation from vertices of the mesh, as a multiple of the surface's radius.
    """

    def __init__(
        self,
        *,
        weight: float | int | list | Schedule = 0.1,
        places: int = 4096,
        distance: float | int = 0.05,
    ) -> None:
        super().__init__(weight)
        if places < 2 or not distance > 0:
            raise ValueError(f"Eikonal needs places >= 2 and distance > 0, got {places=}, {distance=}.")
        self.places, self.distance = places, float(distance)

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        count = self.places // 2
        options = {"generator": generator, "device": generator.device}
        anywhere = (2 * torch.rand(count, 3, **options) - 1) * surface.radius
        noise = self.distance * surface.radius * torch.randn(count, 3, **options)
        near = places_on(mesh, count, generator) + noise.to(mesh.vertices)
        places = torch.cat([anywhere.to(near), near]).clamp(-surface.radius, surface.radius)
        slope = (surface.gradient(places).square().sum(-1) + 1e-12).sqrt()
        return (slope - 1).square().mean()
