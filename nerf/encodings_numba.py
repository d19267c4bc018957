"""Multiresolution grids on a CPU: numba kernels behind `nerf.encodings.interpolate`.

Four kernels carry the operator f(x, T) = sum_c w_c(x) T[row_c(x)] and its derivatives to second order:

    gather      f; or its derivative along a direction v,  sum_c (dw_c/dx . v) T[row_c]
    scatter     the transpose of gather in T
    slope       d(f . g)/dx
    curvature   d(slope . v)/dx: the mixed second derivatives of trilinear interpolation

The number of features is fixed when they are compiled, so that the innermost loops unroll. A result does not
depend on the number of threads: gather, slope and curvature split the points, scatter splits the levels.
`no_type_check` keeps the tests' type hooks, whose wrappers numba cannot compile, off the kernels.
"""

from functools import lru_cache
from types import SimpleNamespace
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nerf.threads import run_in_threads, slices

PRIME_Y, PRIME_Z = np.uint64(2654435761), np.uint64(805459861)  # Instant-NGP, Eq. 4; the first prime is 1
ONE = np.float32(1)


@numba.njit(inline="always")
@no_type_check
def _cell(point, cells):
    """The cell that holds a point of [0, 1]^3, and the place of the point inside it."""
    scale, last, zero = np.float32(cells), np.int32(cells - 1), np.int32(0)
    x, y, z = point[0] * scale, point[1] * scale, point[2] * scale
    ix, iy, iz = np.int32(x), np.int32(y), np.int32(z)
    ix, iy, iz = max(min(ix, last), zero), max(min(iy, last), zero), max(min(iz, last), zero)  # NaN too
    return ix, iy, iz, x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)


@numba.njit(inline="always")
@no_type_check
def _rows(ix, iy, iz, cells, rows):
    """Rows of the cell's eight corners (x fastest): their own if the level has room for all, else hashed."""
    one, side = np.uint64(1), np.uint64(cells + 1)
    if rows < side * side * side:
        mask = np.uint64(rows - 1)
        x, y, z = np.uint64(ix), np.uint64(iy) * PRIME_Y, np.uint64(iz) * PRIME_Z
        a, b, c, d = y ^ z, (y + PRIME_Y) ^ z, y ^ (z + PRIME_Z), (y + PRIME_Y) ^ (z + PRIME_Z)
        u = x + one
        return (
            (x ^ a) & mask, (u ^ a) & mask, (x ^ b) & mask, (u ^ b) & mask,
            (x ^ c) & mask, (u ^ c) & mask, (x ^ d) & mask, (u ^ d) & mask,
        )  # fmt: skip
    a = np.uint64(ix) + side * (np.uint64(iy) + side * np.uint64(iz))
    b = a + side
    c, d = a + side * side, b + side * side
    return a, a + one, b, b + one, c, c + one, d, d + one


@numba.njit(inline="always")
@no_type_check
def _weights(x, y, z):
    """Trilinear weights of the eight corners."""
    u, v, w = ONE - x, ONE - y, ONE - z
    return u * v * w, x * v * w, u * y * w, x * y * w, u * v * z, x * v * z, u * y * z, x * y * z


@numba.njit(inline="always")
@no_type_check
def _directional(x, y, z, a, b, c):
    """Derivatives of the eight weights along (a, b, c)."""
    u, v, w = ONE - x, ONE - y, ONE - z
    return (
        -a * v * w - b * u * w - c * u * v, a * v * w - b * x * w - c * x * v,
        -a * y * w + b * u * w - c * u * y, a * y * w + b * x * w - c * x * y,
        -a * v * z - b * u * z + c * u * v, a * v * z - b * x * z + c * x * v,
        -a * y * z + b * u * z + c * u * y, a * y * z + b * x * z + c * x * y,
    )  # fmt: skip


@numba.njit(inline="always")
@no_type_check
def _first(x, y, z, p):
    """The gradient of trilinear interpolation of the corner values p."""
    u, v, w = ONE - x, ONE - y, ONE - z
    return (
        v * w * (p[1] - p[0]) + y * w * (p[3] - p[2]) + v * z * (p[5] - p[4]) + y * z * (p[7] - p[6]),
        u * w * (p[2] - p[0]) + x * w * (p[3] - p[1]) + u * z * (p[6] - p[4]) + x * z * (p[7] - p[5]),
        u * v * (p[4] - p[0]) + x * v * (p[5] - p[1]) + u * y * (p[6] - p[2]) + x * y * (p[7] - p[3]),
    )


@numba.njit(inline="always")
@no_type_check
def _second(x, y, z, a, b, c, p):
    """The mixed second derivatives of trilinear interpolation of the corner values p, times (a, b, c)."""
    u, v, w = ONE - x, ONE - y, ONE - z
    xy = w * (p[0] - p[1] - p[2] + p[3]) + z * (p[4] - p[5] - p[6] + p[7])
    xz = v * (p[0] - p[1] - p[4] + p[5]) + y * (p[2] - p[3] - p[6] + p[7])
    yz = u * (p[0] - p[2] - p[4] + p[6]) + x * (p[1] - p[3] - p[5] + p[7])
    return xy * b + xz * c, xy * a + yz * c, xz * a + yz * b


@lru_cache(maxsize=8)
@no_type_check  # also of what is defined inside
def kernels(features: int) -> SimpleNamespace:
    """gather, scatter and slope for tables of `features` columns, compiled on their first call."""

    @numba.njit(nogil=True, cache=True)
    def gather(points, table, cells, offsets, along, out, start, stop):
        for level in range(len(cells)):
            n, T = cells[level], table[offsets[level] : offsets[level + 1]]
            s = np.float32(n)
            for i in range(start, stop):
                ix, iy, iz, x, y, z = _cell(points[i], n)
                r = _rows(ix, iy, iz, n, len(T))
                if len(along) == 0:
                    w = _weights(x, y, z)
                else:
                    w = _directional(x, y, z, s * along[i, 0], s * along[i, 1], s * along[i, 2])
                for f in range(features):
                    total = w[0] * T[r[0], f]
                    for c in range(1, 8):
                        total += w[c] * T[r[c], f]
                    out[i, level * features + f] = total

    @numba.njit(nogil=True, cache=True)
    def scatter(points, grad, cells, offsets, along, out, start, stop):
        for level in range(start, stop):
            n, T = cells[level], out[offsets[level] : offsets[level + 1]]
            s = np.float32(n)
            for i in range(len(points)):
                ix, iy, iz, x, y, z = _cell(points[i], n)
                r = _rows(ix, iy, iz, n, len(T))
                if len(along) == 0:
                    w = _weights(x, y, z)
                else:
                    w = _directional(x, y, z, s * along[i, 0], s * along[i, 1], s * along[i, 2])
                for c in range(8):
                    for f in range(features):
                        T[r[c], f] += w[c] * grad[i, level * features + f]

    @numba.njit(nogil=True, cache=True)
    def slope(points, table, grad, cells, offsets, along, out, start, stop):
        """Adds d(f . g)/dx to out; or, along a direction v, d(slope . v)/dx."""
        for level in range(len(cells)):
            n, T = cells[level], table[offsets[level] : offsets[level + 1]]
            s = np.float32(n)
            for i in range(start, stop):
                ix, iy, iz, x, y, z = _cell(points[i], n)
                r = _rows(ix, iy, iz, n, len(T))
                for f in range(features):
                    g = s * grad[i, level * features + f]
                    p = (
                        g * T[r[0], f], g * T[r[1], f], g * T[r[2], f], g * T[r[3], f],
                        g * T[r[4], f], g * T[r[5], f], g * T[r[6], f], g * T[r[7], f],
                    )  # fmt: skip
                    if len(along) == 0:
                        d = _first(x, y, z, p)
                    else:
                        d = _second(x, y, z, s * along[i, 0], s * along[i, 1], s * along[i, 2], p)
                    out[i, 0] += d[0]
                    out[i, 1] += d[1]
                    out[i, 2] += d[2]

    return SimpleNamespace(gather=gather, scatter=scatter, slope=slope)


def interpolate(
    points: Float[Tensor, "n 3"],
    table: Float[Tensor, "rows f"],
    cells: tuple[int, ...],
    offsets: tuple[int, ...],
) -> Float[Tensor, "n c"]:
    """`nerf.encodings.interpolate` of CPU tensors; differentiable once in `table`, twice in `points`.

    The two derivatives travel on separate paths, so that asking for the normals of a field (the derivative in
    the points alone) does not also scatter into the table.
    """
    grid = (np.asarray(cells, np.int64), np.asarray(offsets, np.int64))
    features = _Gather.apply(points.detach(), table, grid)
    if points.requires_grad:
        features = features + _PointsPath.apply(points, table, grid)
    return features


class _Gather(Function):
    """f(x, T), with its derivative in T."""

    @staticmethod
    def forward(ctx, points, table, grid):
        ctx.save_for_backward(points, table)
        ctx.grid = grid
        return _gather(points, table, grid)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        points, table = ctx.saved_tensors
        return None, _scatter(points, grad, table, ctx.grid), None


class _PointsPath(Function):
    """Zero, with the derivative of f in x."""

    @staticmethod
    def forward(ctx, points, table, grid):
        ctx.save_for_backward(points, table)
        ctx.grid = grid
        return points.new_zeros(len(points), len(grid[0]) * table.shape[1])

    @staticmethod
    def backward(ctx, grad):
        return _Slope.apply(grad, *ctx.saved_tensors, ctx.grid), None, None


class _Slope(Function):
    """d(f . g)/dx, with its derivatives in g, x and T."""

    @staticmethod
    def forward(ctx, grad, points, table, grid):
        ctx.save_for_backward(grad, points, table)
        ctx.grid = grid
        return _slope(points, table, grad, grid)

    @staticmethod
    @once_differentiable
    def backward(ctx, along):
        (grad, points, table), grid = ctx.saved_tensors, ctx.grid
        along = along.contiguous()
        wanted = ctx.needs_input_grad
        return (
            _gather(points, table, grid, along) if wanted[0] else None,
            _slope(points, table, grad, grid, along) if wanted[1] else None,
            _scatter(points, grad, table, grid, along) if wanted[2] else None,
            None,
        )


def _gather(points, table, grid, along=None):
    out = points.new_empty(len(points), len(grid[0]) * table.shape[1])
    _run(kernels(table.shape[1]).gather, (points, table), grid, along, out, slices(len(points)))
    return out


def _slope(points, table, grad, grid, along=None):
    out = torch.zeros_like(points)
    _run(kernels(table.shape[1]).slope, (points, table, grad), grid, along, out, slices(len(points)))
    return out


def _scatter(points, grad, table, grid, along=None):
    out = torch.zeros_like(table)
    levels = [(level, level + 1) for level in range(len(grid[0]))]
    _run(kernels(table.shape[1]).scatter, (points, grad), grid, along, out, levels)
    return out


def _run(kernel, inputs, grid, along, out, pieces) -> None:
    arrays = [x.detach().contiguous().numpy() for x in inputs]
    along = np.empty((0, 3), arrays[0].dtype) if along is None else along.detach().numpy()
    written = out.numpy()
    run_in_threads([lambda a=a, b=b: kernel(*arrays, *grid, along, written, a, b) for a, b in pieces])
