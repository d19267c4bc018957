"""`priors.shape_memory.outlines_torch` on a CPU, compiled by numba: a column ends at its first filled voxel."""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def outlines_numba(
    filled: Bool[Tensor, "n x y z"],
    shapes: Int[Tensor, "b k"],
    azimuths: Float[Tensor, "b k"],
    stretches: Float[Tensor, "b k 3"],
    points: Float[Tensor, "b layers p 3"],
) -> Bool[Tensor, "b k p"]:
    """Which columns of points meet shapes that are turned by azimuths and stretched."""
    found = np.zeros((*shapes.shape, points.shape[2]), np.bool_)
    turns, cells = torch.deg2rad(azimuths), filled.shape[1] / stretches
    x = torch.stack([turns.cos(), -turns.sin()], dim=-1) * cells[..., :1]
    y = torch.stack([turns.sin(), turns.cos()], dim=-1) * cells[..., 1:2]
    frames = torch.cat([x, y, cells[..., 2:]], dim=-1).contiguous()
    _outlines(filled.numpy(), shapes.numpy(), frames.numpy(), points.contiguous().numpy(), found)
    return torch.from_numpy(found)


@numba.njit(nogil=True, cache=True)
@no_type_check
def _outlines(filled, shapes, frames, points, found):
    side = filled.shape[1]
    half = np.float32(0.5 * side)
    for b in range(shapes.shape[0]):
        for k in range(shapes.shape[1]):
            shape, (a, c, d, e, f) = filled[shapes[b, k]], frames[b, k]
            for p in range(points.shape[2]):
                for layer in range(points.shape[1]):
                    x, y, z = points[b, layer, p]
                    i = int(np.floor(a * x + c * y + half))
                    j = int(np.floor(d * x + e * y + half))
                    k_z = int(np.floor(f * z + half))
                    if 0 <= i < side and 0 <= j < side and 0 <= k_z < side and shape[i, j, k_z]:
                        found[b, k, p] = True
                        break
