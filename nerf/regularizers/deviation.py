"""The crossings around a dual vertex lie about equally far from it (FlexiCubes, arXiv:2308.05371, section 4.5)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer
from nerf.surfaces.flexicubes import FlexiCubes
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class Deviation(MeshRegularizer):
    """L_dev: the distances from a dual vertex to its crossings should be alike; in cells.

    Args:
        weight: Number or schedule.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 0.5) -> None:
        super().__init__(weight)

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        if not isinstance(surface, FlexiCubes):
            raise ValueError(
                f"Deviation is about the cubes of FlexiCubes, {type(surface).__name__} has none: leave out "
                "mesh_regularizer=flexicubes_deviation, or take surface=flexicubes."
            )
        latest = surface.latest
        dual = latest if latest is not None and latest.mesh is mesh else surface.dual()
        return dual.deviation / surface.cell
