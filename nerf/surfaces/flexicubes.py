"""FlexiCubes (Shen et al. 2023, arXiv:2308.05371): a dual mesh with weights in each cube."""

import torch
from torch import nn

from nerf.fields.base import Multiple
from nerf.surfaces.base import Surface
from nerf.surfaces.dual import WEIGHTS, DualSurface, flexicubes
from nerf.surfaces.shapes import Shape
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class FlexiCubes(Surface):
    """Distances and moves of the vertices of resolution^3 cubes, and 21 weights of each cube.

    Add the regularizer `flexicubes_deviation`: without it the weights drift.

    Args:
        resolution: Cubes along an axis.
        radius: The grid covers [-radius, radius]^3.
        init: What it starts as; by default a ball of two thirds of the radius.
        texture: A module with texture(places).albedo, as the fields of nerf.fields are; null: grey.
        deformation: How far a vertex may be moved, in cells; 0 keeps all where they are.
        weight_scale: alpha and beta lie in 1 +- weight_scale, gamma in (0, 1) likewise; 0 fixes them.
        lr: Learning rate of the distances, which are stored in cells: about how far the surface moves a step.
        deformation_lr: Of the moves, before tanh.
        weights_lr: Of the weights, before tanh.
    """

    def __init__(
        self,
        *,
        resolution: int = 64,
        radius: float | int = 0.6,
        init: Shape | None = None,
        texture: nn.Module | None = None,
        deformation: float | int = 0.5,
        weight_scale: float | int = 0.99,
        lr: float | int = 0.05,
        deformation_lr: float | int = 0.02,
        weights_lr: float | int = 0.02,
    ) -> None:
        super().__init__(resolution, radius, init, texture, deformation, lr, deformation_lr)
        if not 0 <= weight_scale < 1 or not weights_lr > 0:
            raise ValueError(
                f"FlexiCubes needs 0 <= weight_scale < 1 and weights_lr > 0, got {weight_scale=}, {weights_lr=}."
            )
        self.weight_scale, self.weights_lr = float(weight_scale), float(weights_lr)
        n = resolution + 1
        self.weights = nn.Parameter(torch.zeros(n, n, n, WEIGHTS), requires_grad=weight_scale > 0)
        self.latest: DualSurface | None = None  # what `forward` found, for `Deviation`

    def forward(self) -> Mesh:
        self.latest = self.dual()
        return self.latest.mesh

    @torch.no_grad()
    def final_shape(self) -> Mesh:
        return self.dual(training=False).mesh

    def dual(self, *, training: bool = True) -> DualSurface:
        """The mesh, and how far its vertices are from the middle of their crossings."""
        values, moves = self.closed_values(), self.moves if self.deformation else None
        bound, weights = self.deformation or None, self.weights if self.weight_scale else None
        return flexicubes(
            values, self.radius, moves, weights, bound=bound, scale=self.weight_scale, training=training
        )

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        groups = super().parameter_groups(decay)
        if self.weight_scale:
            groups.append({"params": [self.weights], "lr": Multiple(decay, self.weights_lr)})
        return groups

    def __getstate__(self) -> dict:
        return self.__dict__ | {"latest": None}  # tensors with a history cannot be copied
