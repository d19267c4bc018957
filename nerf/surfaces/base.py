"""A surface that is optimized: signed distances on a grid, its vertices moved a little, and a colour field.

s      signed distance in cells at each vertex of the grid, inside where s < 0
delta  how far each vertex is moved: deformation * tanh(raw), in cells (DMTet; at most half a cell)
color  of a place on the surface: texture(place).albedo
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.fields.base import Multiple
from nerf.surfaces.grid import closed
from nerf.surfaces.shapes import Shape, Sphere, grid_points, sample_grid
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule

GREY = 0.5  # albedo without a texture
POINTS_AT_ONCE = 2**16


class Surface(nn.Module, ABC):
    """Signed distances over [-radius, radius]^3. A concrete surface defines `forward` and `final_shape`."""

    def __init__(
        self,
        resolution: int,
        radius: float | int,
        init: Shape | None,
        texture: nn.Module | None,
        deformation: float | int,
        lr: float | int,
        deformation_lr: float | int,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if resolution < 4 or not radius > 0:
            raise ValueError(f"{name} needs resolution >= 4 and radius > 0, got {resolution=}, {radius=}.")
        if not 0 <= deformation <= 0.5:
            raise ValueError(
                f"{name} needs 0 <= deformation <= 0.5, got {deformation}: further apart, cells turn over."
            )
        if not lr > 0 or not deformation_lr > 0:
            raise ValueError(f"{name} needs lr > 0 and deformation_lr > 0, got {lr=}, {deformation_lr=}.")
        self.resolution, self.radius, self.deformation = resolution, float(radius), float(deformation)
        self.lr, self.deformation_lr, self.texture = float(lr), float(deformation_lr), texture
        n = resolution + 1
        self.values = nn.Parameter(torch.zeros(n, n, n))
        self.moves = nn.Parameter(torch.zeros(n, n, n, 3), requires_grad=deformation > 0)
        self.set_distance((init or Sphere(radius=radius * 2 / 3))(grid_points(resolution, radius)))

    @property
    def cell(self) -> float:
        """Side of a cell, in world units."""
        return 2 * self.radius / self.resolution

    @abstractmethod
    def forward(self) -> Mesh:
        """The surface, its vertices differentiable; closed, faces outwards; empty where all is outside."""

    @abstractmethod
    def final_shape(self) -> Mesh:
        """The surface as it is kept: with as few faces as the method needs."""

    @torch.no_grad()
    def final(self) -> Mesh:
        """The surface as it is kept, without gradients, with its colours at the vertices."""
        mesh = self.final_shape()
        return mesh if self.texture is None else replace(mesh, vertex_colors=self._colors(mesh.vertices))

    @torch.no_grad()
    def set_distance(self, distance: Float[Tensor, "n n n"]) -> None:
        """Start from signed distances in world units on this grid (axes x, y, z); moves are forgotten."""
        if distance.shape != self.values.shape:
            raise ValueError(
                f"{type(self).__name__} with resolution={self.resolution} has a grid of "
                f"{tuple(self.values.shape)}, got distances of {tuple(distance.shape)}: sample them at "
                "grid_points(resolution, radius)."
            )
        self.values.copy_(distance / self.cell)
        self.moves.zero_()

    def closed_values(self) -> Float[Tensor, "n n n"]:
        """Distances in cells, the outermost vertices outside, so that no surface leaves the box."""
        return closed(self.values, 0.5)

    def sdf(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        """Signed distance in world units, interpolated between grid points where they were before moving."""
        return self.cell * sample_grid(self.values, points, self.radius)

    def gradient(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """d sdf / d place, differentiable in the distances; of length 1 for a true distance.

        By central differences over a cell, less at the walls: that of the interpolation jumps between cells.
        """
        reach = self.cell / 2 * torch.eye(3, dtype=points.dtype, device=points.device)
        inside = points.clamp(-self.radius, self.radius)[..., None, :]
        around = torch.stack([inside + reach, inside - reach]).clamp(-self.radius, self.radius)
        ahead, behind = self.sdf(around)
        return (ahead - behind) / (around[0] - around[1]).sum(-1)

    def albedo(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """RGB in [0, 1] at places on the surface; grey without a texture."""
        if self.texture is None:
            return torch.full_like(points, GREY)
        return self.texture(points).albedo

    def set_progress(self, progress: float) -> None:
        """Tell the texture how far the run is, in [0, 1]."""
        if hasattr(self.texture, "set_progress"):
            self.texture.set_progress(progress)

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        """Groups for the optimizer: distances, moves, and those of the texture."""
        groups = [{"params": [self.values], "lr": Multiple(decay, self.lr)}]
        if self.deformation:
            groups.append({"params": [self.moves], "lr": Multiple(decay, self.deformation_lr)})
        if hasattr(self.texture, "parameter_groups"):
            groups += self.texture.parameter_groups(decay)
        elif self.texture is not None:
            groups.append({"params": list(self.texture.parameters()), "lr": Multiple(decay, self.lr)})
        return groups

    def _colors(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        pieces = [self.albedo(some) for some in points.split(POINTS_AT_ONCE)]
        return torch.cat(pieces) if pieces else points
