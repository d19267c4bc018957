"""`nerf.renderers.sampling.sample_torch` on a CPU, compiled by numba."""

from functools import partial
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nerf.threads import run_in_threads, slices

DARK = np.float32(8.0)  # as in nerf.renderers.sampling


@numba.njit(nogil=True, cache=True)
@no_type_check  # numba cannot compile the wrappers of the tests' type hooks
def _march(
    origins, directions, first, far, step, radius, occupied, solid, start, stop, ray, distance, points
):
    """Writes the samples of the rays start .. stop - 1; returns their number."""
    count = 0
    depth, height, width = occupied.shape
    half_x, half_y, half_z = np.float32(0.5 * width), np.float32(0.5 * height), np.float32(0.5 * depth)
    one = np.float32(1)
    for r in range(start, stop):
        k, t, passed = 0, first[r], np.float32(0)
        while t < far[r] and passed < DARK:
            x = origins[r, 0] + t * directions[r, 0]
            y = origins[r, 1] + t * directions[r, 1]
            z = origins[r, 2] + t * directions[r, 2]
            i = min(max(np.int32((x / radius + one) * half_x), 0), width - 1)
            j = min(max(np.int32((y / radius + one) * half_y), 0), height - 1)
            l = min(max(np.int32((z / radius + one) * half_z), 0), depth - 1)  # noqa: E741
            if occupied[l, j, i]:
                ray[count], distance[count] = r, t
                points[count, 0], points[count, 1], points[count, 2] = x, y, z
                count += 1
                passed += solid[l, j, i] * step
            k += 1
            t = first[r] + np.float32(k) * step
    return count


def sample_numba(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    first: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    step: float,
    radius: float,
    occupied: Bool[Tensor, "z y x"],
    solid: Float[Tensor, "z y x"],
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Ray, distance and place of the kept samples among first, first + step, ... < far."""
    tensors = (origins, directions, first, far)
    arrays = [x.detach().float().contiguous().numpy() for x in tensors]
    shared = (*arrays, np.float32(step), np.float32(radius), occupied.numpy(), solid.numpy())
    most = ((far - first) / step).ceil().clamp_min(0).long()

    def march(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        room = int(most[start:stop].sum()) + stop - start  # + 1 a ray: rounding
        ray = torch.empty(room, dtype=torch.long)
        distance, points = torch.empty(room), torch.empty(room, 3)
        count = _march(*shared, start, stop, ray.numpy(), distance.numpy(), points.numpy())
        return ray[:count], distance[:count], points[:count]

    pieces = run_in_threads([partial(march, a, b) for a, b in slices(len(first))])
    ray, distance, points = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return ray, distance, points
