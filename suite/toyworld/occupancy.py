"""What surfaces fill on a grid of their own, and their planes of symmetry, which that shows."""

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from suite.geometry.mesh import Mesh
from suite.metrics.volumes import passed_and_enclosed
from suite.toyworld.objects import ObjectSpec, Surface, build
from suite.toyworld.paints import COLORS

FINER = 2  # a voxel's occupancy is the mean of so many a side
COARSE = 32  # voxels a side in which halves are compared
ALIKE = 0.8  # IoU of a symmetric thing and its mirror image at least


def occupancy(surface: Surface, grid: int) -> Float[np.ndarray, "x y z"]:
    """Shares of the voxels of the cube about the origin that has the longest side of objects."""
    side = grid * FINER
    mesh = Mesh(torch.from_numpy(surface.vertices), torch.from_numpy(surface.faces))
    filled = passed_and_enclosed(mesh, np.full(3, -0.5), 1 / side, (side, side, side))
    return filled.reshape(grid, FINER, grid, FINER, grid, FINER).mean((1, 3, 5), dtype=np.float32)


def symmetry_plane(surface: Surface) -> float:
    """Azimuth of a vertical plane of symmetry through the origin in degrees: 0 or 90; nan where neither is one."""
    grid = occupancy(surface, COARSE)
    for plane, axis in ((0.0, 1), (90.0, 0)):
        there = np.flip(grid, axis)
        if np.minimum(grid, there).sum() > ALIKE * np.maximum(grid, there).sum():
            return plane
    return math.nan


@cache
def plane_of_kind(kind: str) -> float:
    """The same of a procedural kind."""
    return symmetry_plane(build(ObjectSpec(kind, next(iter(COLORS)))))
