"""`suite.geometry.frustum_volumes.march_torch` on a CPU, compiled by numba: forward, and backward to the volumes.

A ray is marched until 1e-4 of it is left. Backward marches again, keeps what it meets, and goes back from the end:

    dC / d sigma_i = s (T_(i+1) c_i - sum_(j>i) w_j c_j - T_S white)

and alike for the fourth number, with 1 and 0 for c: whether a sample is where the ray should end.
"""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from suite.geometry.frustum_volumes import NEAR, OPACITY, REACH

LEFT = np.float32(1e-4)  # of a ray, below which what comes behind is not seen
REACH32, OPACITY32, NEAR32 = np.float32(REACH), np.float32(OPACITY), np.float32(NEAR)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)


@numba.njit(inline="always")
@no_type_check
def _place(origin, direction, along, lens, sizes):
    """The point's cell and its place in it, of centres clamped to the grid; whether it is inside."""
    depth = -(origin[2] + along * direction[2])
    scale = lens[0] / max(depth, np.float32(1e-6))
    x = (origin[0] + along * direction[0]) * scale
    y = -(origin[1] + along * direction[1]) * scale
    z = (depth - lens[1]) / REACH32
    inside = depth > 1e-6 and abs(x) < ONE and abs(y) < ONE and abs(z) < ONE
    d, h, w = sizes
    x = min(max((x + ONE) * HALF * np.float32(w) - HALF, ZERO), np.float32(w - 1))
    y = min(max((y + ONE) * HALF * np.float32(h) - HALF, ZERO), np.float32(h - 1))
    z = min(max((z + ONE) * HALF * np.float32(d) - HALF, ZERO), np.float32(d - 1))
    ix, iy, iz = min(int(x), w - 2), min(int(y), h - 2), min(int(z), d - 2)
    return inside, ix, iy, iz, x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)


@numba.njit(inline="always")
@no_type_check
def _softplus(x):
    return x if x > 20 else np.log1p(np.exp(x))


@numba.njit(inline="always")
@no_type_check
def _corner(x, y, z, k):
    """Trilinear weight of corner k: its bits are the steps in x, y and z."""
    a = x if k & 1 else ONE - x
    b = y if k & 2 else ONE - y
    c = z if k & 4 else ONE - z
    return a * b * c


@numba.njit(inline="always")
@no_type_check
def _sample(volume, ix, iy, iz, x, y, z, value):
    value[:] = ZERO
    for k in range(8):
        weight = _corner(x, y, z, k)
        voxel = volume[iz + (k >> 2), iy + ((k >> 1) & 1), ix + (k & 1)]
        for c in range(4):
            value[c] += weight * voxel[c]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"})
@no_type_check
def _forward(volumes, origins, directions, near, jitter, true, lens, samples, colors):
    sizes = volumes.shape[1:4]
    step = np.float32(2) * REACH32 / np.float32(samples)
    value = np.empty(4, np.float32)
    for b in range(len(volumes)):
        volume = volumes[b]
        for r in range(origins.shape[1]):
            left, red, green, blue, ends = ONE, ZERO, ZERO, ZERO, ZERO
            for i in range(samples):
                along = near[b, r] + (np.float32(i) + jitter[b, r]) * step
                inside, ix, iy, iz, x, y, z = _place(origins[b, r], directions[b, r], along, lens[b], sizes)
                if not inside:
                    continue
                _sample(volume, ix, iy, iz, x, y, z, value)
                passed = left * np.exp(-step * OPACITY32 * _softplus(value[0]))
                seen = left - passed
                red, green, blue = red + seen * value[1], green + seen * value[2], blue + seen * value[3]
                if abs(along - true[b, r]) < NEAR32:
                    ends += seen
                left = passed
                if left < LEFT:
                    break
            colors[b, r, 0], colors[b, r, 1], colors[b, r, 2] = red + left, green + left, blue + left
            colors[b, r, 3] = ends + left if true[b, r] < ZERO else ends


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"})
@no_type_check
def _backward(volumes, origins, directions, near, jitter, true, lens, samples, slopes, found):
    sizes = volumes.shape[1:4]
    step = np.float32(2) * REACH32 / np.float32(samples)
    values, lefts = np.empty((samples, 4), np.float32), np.empty(samples, np.float32)
    cells, places = np.empty((samples, 3), np.int64), np.empty((samples, 3), np.float32)
    right = np.empty(samples, np.float32)
    slope = np.empty(4, np.float32)
    for b in range(len(volumes)):
        volume, sums = volumes[b], found[b]
        for r in range(origins.shape[1]):
            red, green, blue, ends = slopes[b, r, 0], slopes[b, r, 1], slopes[b, r, 2], slopes[b, r, 3]
            left, count = ONE, 0
            for i in range(samples):
                along = near[b, r] + (np.float32(i) + jitter[b, r]) * step
                inside, ix, iy, iz, x, y, z = _place(origins[b, r], directions[b, r], along, lens[b], sizes)
                if not inside:
                    continue
                value = values[count]
                _sample(volume, ix, iy, iz, x, y, z, value)
                cells[count, 0], cells[count, 1], cells[count, 2] = ix, iy, iz
                places[count, 0], places[count, 1], places[count, 2] = x, y, z
                left *= np.exp(-step * OPACITY32 * _softplus(value[0]))
                lefts[count] = left
                right[count] = ends if abs(along - true[b, r]) < NEAR32 else ZERO
                count += 1
                if left < LEFT:
                    break
            behind = left * (red + green + blue)  # what is seen behind, times the slope
            if true[b, r] < ZERO:
                behind += left * ends
            for i in range(count - 1, -1, -1):
                value, left = values[i], lefts[i]
                before = lefts[i - 1] if i else ONE
                seen = before - left
                told = red * value[1] + green * value[2] + blue * value[3] + right[i]
                slope[0] = step * (left * told - behind) * OPACITY32 / (ONE + np.exp(-value[0]))
                slope[1], slope[2], slope[3] = seen * red, seen * green, seen * blue
                behind += seen * told
                ix, iy, iz = cells[i, 0], cells[i, 1], cells[i, 2]
                for k in range(8):
                    weight = _corner(places[i, 0], places[i, 1], places[i, 2], k)
                    voxel = sums[iz + (k >> 2), iy + ((k >> 1) & 1), ix + (k & 1)]
                    for c in range(4):
                        voxel[c] += weight * slope[c]


class _March(Function):
    @staticmethod
    def forward(ctx, volumes, *rays):
        *rays, samples = rays
        arrays = [x.detach().float().contiguous() for x in (volumes, *rays)]
        colors = torch.empty(*arrays[1].shape[:2], 4)
        _forward(*(x.numpy() for x in arrays), samples, colors.numpy())
        ctx.save_for_backward(*arrays)
        ctx.samples = samples
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx, slopes):
        volumes = ctx.saved_tensors[0]
        found = torch.zeros_like(volumes)
        arrays = [x.numpy() for x in ctx.saved_tensors]
        _backward(*arrays, ctx.samples, slopes.float().contiguous().numpy(), found.numpy())
        return found, *[None] * len(ctx.saved_tensors)


def march_numba(
    volumes: Float[Tensor, "b layers rows columns 4"],
    origins: Float[Tensor, "b r 3"],
    directions: Float[Tensor, "b r 3"],
    near: Float[Tensor, "b r"],
    jitter: Float[Tensor, "b r"],
    true: Float[Tensor, "b r"],
    lens: Float[Tensor, "b 2"],
    samples: int,
) -> Float[Tensor, "b r 4"]:
    """See `suite.geometry.frustum_volumes.march_torch`; in float32, without gradients to the rays."""
    return _March.apply(volumes, origins, directions, near, jitter, true, lens, samples)
