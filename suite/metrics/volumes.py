"""The volume inside a mesh, on a grid of voxels, and how much of it two meshes share.

A voxel is inside a watertight mesh if the surface winds around its centre: of the surfaces above it, those
that face up minus those that face down are not 0. Parts that overlap count as one (parity would make holes).

A mesh that is not watertight has no inside in this sense. If either is not, both are made solid in another way:
the voxels that the surface passes through, and those that these enclose. It closes gaps up to two voxels and
does not care which way faces point; but it thickens everything by half a voxel, so the IoU of thin things is
high, and a shape that is wide open counts as a shell.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage

from suite.geometry.mesh import Mesh

NUDGE = (0.7548776e-4, 0.5698403e-4, 0.4301597e-4)  # of a voxel: keeps lines off edges of axis-aligned boxes


def volume_iou(predicted: Mesh, truth: Mesh, *, resolution: int = 64) -> float:
    """Shared volume over joint volume, in [0, 1]; on cubic voxels, `resolution` along the longest joint side.

    Two meshes without any volume have IoU 0.
    """
    if resolution < 2:
        raise ValueError(f"volume_iou needs resolution >= 2, got {resolution}.")
    meshes = [predicted.to("cpu"), truth.to("cpu")]
    bounds = np.stack([mesh.bounds.numpy().astype(np.float64) for mesh in meshes])
    low, high = bounds[:, 0].min(0), bounds[:, 1].max(0)
    voxel = float((high - low).max()) / resolution
    if not voxel > 0:
        return 0.0
    fill = inside if all(mesh.is_watertight for mesh in meshes) else passed_and_enclosed
    # one voxel of air around, so that what is outside is connected
    shape = tuple(int(n) for n in np.ceil((high - low) / voxel - 1e-6).clip(1) + 2)
    a, b = (fill(mesh, low - voxel, voxel, shape) for mesh in meshes)
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def inside(
    mesh: Mesh, origin: Float[ndarray, "3"], voxel: float, shape: tuple[int, int, int]
) -> Bool[ndarray, "x y z"]:
    """Voxels whose centre, `origin + (index + 1/2) voxel`, the surface winds around."""
    signs = np.zeros((*shape[:2], shape[2] + 1), dtype=np.int32)
    _add_crossings(_in_voxels(mesh, origin, voxel), signs)
    above = np.cumsum(signs[:, :, ::-1], axis=2)[:, :, ::-1]  # sum over [..., k:]
    return above[:, :, 1:] != 0


def passed_and_enclosed(
    mesh: Mesh, origin: Float[ndarray, "3"], voxel: float, shape: tuple[int, int, int]
) -> Bool[ndarray, "x y z"]:
    """Voxels in which the surface crosses an axis-parallel line through the centre, and those from which one
    cannot leave through a gap wider than two voxels."""
    triangles = _in_voxels(mesh, origin, voxel)
    passed = np.zeros(shape, dtype=bool)
    for axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        along = np.zeros([shape[k] for k in axes], dtype=bool)
        _mark_crossings(np.ascontiguousarray(triangles[:, :, axes]), along)
        passed |= along.transpose(np.argsort(axes))
    closed = ndimage.binary_fill_holes(ndimage.binary_dilation(np.pad(passed, 2)))
    return ndimage.binary_erosion(closed)[2:-2, 2:-2, 2:-2]


def _in_voxels(mesh: Mesh, origin: Float[ndarray, "3"], voxel: float) -> Float[ndarray, "f 3 3"]:
    """Corners in voxels; voxel centres are at whole numbers, but for the nudge."""
    return (mesh.triangles().detach().cpu().double().numpy() - origin) / voxel - 0.5 - np.array(NUDGE)


@numba.njit(cache=True, nogil=True)
@no_type_check
def _add_crossings(triangles, signs):
    """signs[i, j, k] += 1 or -1 (facing up or down) where the line of column (i, j) crosses a triangle at a
    height in (k - 1, k]: above the centres of voxels 0 to k - 1."""
    nx, ny, nz = signs.shape
    for f in range(triangles.shape[0]):
        area = _area(triangles[f])
        if area == 0.0:
            continue
        for i in range(_first(triangles[f, :, 0]), _last(triangles[f, :, 0], nx) + 1):
            for j in range(_first(triangles[f, :, 1]), _last(triangles[f, :, 1], ny) + 1):
                height = _height(triangles[f], area, i, j)
                if not np.isnan(height):
                    k = min(max(int(np.ceil(height)), 0), nz - 1)
                    signs[i, j, k] += 1 if area > 0 else -1


@numba.njit(cache=True, nogil=True)
@no_type_check
def _mark_crossings(triangles, marked):
    """marked[i, j, k] where the line of column (i, j) crosses a triangle inside voxel k."""
    nx, ny, nz = marked.shape
    for f in range(triangles.shape[0]):
        area = _area(triangles[f])
        if area == 0.0:
            continue
        for i in range(_first(triangles[f, :, 0]), _last(triangles[f, :, 0], nx) + 1):
            for j in range(_first(triangles[f, :, 1]), _last(triangles[f, :, 1], ny) + 1):
                height = _height(triangles[f], area, i, j)
                if not np.isnan(height):
                    marked[i, j, min(max(int(np.floor(height + 0.5)), 0), nz - 1)] = True


@numba.njit(inline="always")
@no_type_check
def _area(t):
    """Twice the signed area of a triangle seen from above."""
    return (t[1, 0] - t[0, 0]) * (t[2, 1] - t[0, 1]) - (t[2, 0] - t[0, 0]) * (t[1, 1] - t[0, 1])


@numba.njit(inline="always")
@no_type_check
def _first(x):
    return max(0, int(np.ceil(min(x[0], x[1], x[2]))))


@numba.njit(inline="always")
@no_type_check
def _last(x, count):
    return min(count - 1, int(np.floor(max(x[0], x[1], x[2]))))


@numba.njit(inline="always")
@no_type_check
def _height(t, area, i, j):
    """Where the vertical line through (i, j) crosses the triangle; NaN if it does not."""
    b0 = ((t[1, 0] - i) * (t[2, 1] - j) - (t[2, 0] - i) * (t[1, 1] - j)) / area
    b1 = ((t[2, 0] - i) * (t[0, 1] - j) - (t[0, 0] - i) * (t[2, 1] - j)) / area
    b2 = 1.0 - b0 - b1
    if b0 < 0.0 or b1 < 0.0 or b2 < 0.0:
        return np.nan
    return b0 * t[0, 2] + b1 * t[1, 2] + b2 * t[2, 2]
