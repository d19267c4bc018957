"""Multiresolution grids on a GPU: Triton kernels behind `nerf.encodings.interpolate`.

One program encodes BLOCK points on one level. The gradient of the table is accumulated with atomics, so its
last bits depend on the order in which the GPU finishes. There is no derivative in the points: `interpolate`
uses the torch twin where one is wanted. With TRITON_INTERPRET=1 the kernels run on CPU tensors, for tests.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

BLOCK = 128


@triton.jit
def _corner(points, i, inside, n, c, rows):
    """Weight and row of corner c of the cells that hold points i."""
    x = tl.load(points + 3 * i, mask=inside, other=0.0) * n
    y = tl.load(points + 3 * i + 1, mask=inside, other=0.0) * n
    z = tl.load(points + 3 * i + 2, mask=inside, other=0.0) * n
    ix = tl.maximum(tl.minimum(x.to(tl.int32), n - 1), 0)
    iy = tl.maximum(tl.minimum(y.to(tl.int32), n - 1), 0)
    iz = tl.maximum(tl.minimum(z.to(tl.int32), n - 1), 0)
    fx, fy, fz = x - ix, y - iy, z - iz
    a, b, d = c & 1, (c >> 1) & 1, c >> 2
    weight = (fx * a + (1 - fx) * (1 - a)) * (fy * b + (1 - fy) * (1 - b)) * (fz * d + (1 - fz) * (1 - d))
    jx, jy, jz = (ix + a).to(tl.int64), (iy + b).to(tl.int64), (iz + d).to(tl.int64)
    side = (n + 1).to(tl.int64)
    stored = jx + side * (jy + side * jz)
    hashed = (jx ^ (jy * 2654435761) ^ (jz * 805459861)) & (rows - 1)
    return weight, tl.where(rows < side * side * side, hashed, stored)


@triton.jit
def _gather(points, table, cells, offsets, out, count, levels, FEATURES: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    level = tl.program_id(1)
    inside = i < count
    n, first = tl.load(cells + level), tl.load(offsets + level)
    rows = tl.load(offsets + level + 1) - first
    for f in tl.static_range(FEATURES):
        total = tl.zeros((BLOCK,), tl.float32)
        for c in tl.static_range(8):
            weight, row = _corner(points, i, inside, n, c, rows)
            total += weight * tl.load(table + (first + row) * FEATURES + f, mask=inside, other=0.0)
        tl.store(out + (i.to(tl.int64) * levels + level) * FEATURES + f, total, mask=inside)


@triton.jit
def _scatter(points, grad, cells, offsets, out, count, levels, FEATURES: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    level = tl.program_id(1)
    inside = i < count
    n, first = tl.load(cells + level), tl.load(offsets + level)
    rows = tl.load(offsets + level + 1) - first
    for c in tl.static_range(8):
        weight, row = _corner(points, i, inside, n, c, rows)
        for f in tl.static_range(FEATURES):
            g = tl.load(grad + (i.to(tl.int64) * levels + level) * FEATURES + f, mask=inside, other=0.0)
            tl.atomic_add(out + (first + row) * FEATURES + f, weight * g, mask=inside)


class _Interpolate(Function):
    """f(x, T), with its derivative in T."""

    @staticmethod
    def forward(ctx, points, table, cells, offsets):
        points, table = points.contiguous(), table.contiguous()
        ctx.save_for_backward(points, cells, offsets)
        ctx.shape = table.shape
        out = points.new_empty(len(points), len(cells) * table.shape[1])
        _launch(_gather, points, table, cells, offsets, out, table.shape[1])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        points, cells, offsets = ctx.saved_tensors
        out = torch.zeros(ctx.shape, dtype=grad.dtype, device=grad.device)
        _launch(_scatter, points, grad.contiguous(), cells, offsets, out, ctx.shape[1])
        return None, out, None, None


def _launch(kernel, points, source, cells, offsets, out, features) -> None:
    if len(points) == 0:
        return
    programs = (triton.cdiv(len(points), BLOCK), len(cells))
    kernel[programs](points, source, cells, offsets, out, len(points), len(cells), features, BLOCK)


def interpolate(
    points: Float[Tensor, "n 3"],
    table: Float[Tensor, "rows f"],
    cells: tuple[int, ...],
    offsets: tuple[int, ...],
) -> Float[Tensor, "n c"]:
    """`nerf.encodings.interpolate` of CUDA tensors in float32; differentiable once, in `table`."""
    if points.requires_grad:
        raise ValueError(
            "The Triton encoding has no derivative in the points: use backend='auto' or 'torch'."
        )
    cells_on_device = torch.tensor(cells, dtype=torch.int32, device=points.device)
    offsets_on_device = torch.tensor(offsets, dtype=torch.int64, device=points.device)
    return _Interpolate.apply(points, table, cells_on_device, offsets_on_device)
