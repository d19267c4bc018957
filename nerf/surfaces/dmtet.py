"""DMTet (Shen et al. 2021, arXiv:2111.04276): a mesh from signed distances by marching tetrahedra."""

import torch
from torch import nn

from nerf.surfaces.base import Surface
from nerf.surfaces.shapes import Shape
from nerf.surfaces.tetrahedra import marching_tetrahedra
from suite.geometry.mesh import Mesh


class DMTet(Surface):
    """Distances and moves of the vertices of resolution^3 cubes, six tetrahedra each.

    Args:
        resolution: Cubes along an axis.
        radius: The grid covers [-radius, radius]^3.
        init: What it starts as; by default a ball of two thirds of the radius.
        texture: A module with texture(places).albedo, as the fields of nerf.fields are; null: grey.
        deformation: How far a vertex may be moved, in cells; 0 keeps all where they are.
        lr: Learning rate of the distances, which are stored in cells: about how far the surface moves a step.
        deformation_lr: Of the moves, before tanh.
    """

    def __init__(
        self,
        *,
        resolution: int = 64,
        radius: float | int = 0.6,
        init: Shape | None = None,
        texture: nn.Module | None = None,
        deformation: float | int = 0.5,
        lr: float | int = 0.05,
        deformation_lr: float | int = 0.02,
    ) -> None:
        super().__init__(resolution, radius, init, texture, deformation, lr, deformation_lr)

    def forward(self) -> Mesh:
        moves = self.moves if self.deformation else None
        return marching_tetrahedra(self.closed_values(), self.radius, moves, bound=self.deformation or None)

    @torch.no_grad()
    def final_shape(self) -> Mesh:
        return self()
