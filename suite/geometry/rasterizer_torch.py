"""Triangles to pixels in plain torch: the twin of the numba kernel, and what runs on a GPU.

Notation and formulae as in `suite.geometry.rasterizer_numba`.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

EDGE = 1e-9  # b may be this negative, see rasterizer_numba


def solve(corners: Float[Tensor, "*n 3 3"], x: Tensor, y: Tensor) -> Float[Tensor, "*n 3"]:
    """u of the numba kernel's docstring for triangles `corners` (rows V_i) at pixel centres (x, y)."""
    v0, v1, v2 = corners.unbind(-2)
    adjugate = torch.stack(
        [torch.linalg.cross(v1, v2), torch.linalg.cross(v2, v0), torch.linalg.cross(v0, v1)], dim=-2
    )
    det = (v0 * adjugate[..., 0, :]).sum(-1)
    u = adjugate[..., 0] * x[..., None] + adjugate[..., 1] * y[..., None] + adjugate[..., 2]
    return u / torch.where(det == 0, torch.nan, det)[..., None]


def barycentrics(
    pixels: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], face_id: Int[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b h w 3"], Float[Tensor, "b h w"]]:
    """Weights and depth of known faces, differentiable in `pixels`."""
    view, row, column = (face_id >= 0).nonzero(as_tuple=True)
    corners = pixels[view[:, None], faces.long()[face_id[view, row, column]]]
    u = solve(corners, column + 0.5, row + 0.5)
    total = u.sum(-1)
    weights, depth = pixels.new_zeros((*face_id.shape, 3)), pixels.new_zeros(face_id.shape)
    weights = weights.index_put((view, row, column), u / total[:, None])
    return weights, depth.index_put((view, row, column), 1 / total)


def pixel_coordinates(
    clip: Float[Tensor, "b v 4"], height: int, width: int
) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, "b v 2"]]:
    """float64 homogeneous pixel coordinates (X, Y, w), and distances to the near and far planes."""
    x, y, z, w = clip.double().unbind(-1)
    pixels = torch.stack([0.5 * width * (w + x), 0.5 * height * (w - y), w], dim=-1)
    return pixels, torch.stack([w + z, w - z], dim=-1)


def interpolate(
    attributes: Float[Tensor, "b v c"],
    faces: Int[Tensor, "f 3"],
    face_id: Int[Tensor, "b h w"],
    barycentrics: Float[Tensor, "b h w 3"],
) -> Float[Tensor, "b h w c"]:
    """sum_i b_i attributes[faces[face_id, i]]; 0 where there is no face."""
    corners = faces.long()[face_id.clamp_min(0)]
    view = torch.arange(len(attributes), device=attributes.device)[:, None, None, None]
    return (attributes[view, corners] * barycentrics[..., None]).sum(-2)


def screen_derivatives(
    pixels: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], face_id: Int[Tensor, "b h w"]
) -> Float[Tensor, "b h w 3 2"]:
    """d(barycentrics) / d(pixel x, pixel y): how fast weights change from pixel to pixel; 0 where empty.

    u is linear in the pixel, so with U = sum_i u_i,  d b_i = (d u_i - b_i dU) / U.
    """
    view, row, column = (face_id >= 0).nonzero(as_tuple=True)
    corners = pixels[view[:, None], faces.long()[face_id[view, row, column]]]
    v0, v1, v2 = corners.unbind(-2)
    adjugate = torch.stack(
        [torch.linalg.cross(v1, v2), torch.linalg.cross(v2, v0), torch.linalg.cross(v0, v1)], dim=-2
    )
    center = torch.stack([column + 0.5, row + 0.5, torch.ones_like(column)], dim=-1).to(pixels)
    u = (adjugate @ center[:, :, None])[..., 0]  # times det, which cancels
    total = u.sum(-1)[:, None, None]
    slopes = adjugate[..., :2]
    found = (slopes - (u[..., None] / total) * slopes.sum(-2, keepdim=True)) / total
    return pixels.new_zeros((*face_id.shape, 3, 2)).index_put((view, row, column), found)


def boxes(
    corners: Float[Tensor, "f 3 3"], near: Float[Tensor, "f 3 2"], height: int, width: int, *, reach: float
) -> tuple[Int[Tensor, "f 2"], Int[Tensor, "f 2"]]:
    """The pixels (column, row) that faces may touch: the lowest, and how many along x and y.

    Args:
        reach: How far from a pixel's centre a face may be, in pixels; 0.5 is anywhere in the pixel.
    """
    in_front = (near[..., 0] > 0).all(1)
    xy = corners[..., :2] / torch.where(in_front[:, None], corners[..., 2], 1.0)[..., None]
    size = torch.tensor([width, height], device=corners.device)
    low = torch.where(in_front[:, None], (xy.amin(1) - 0.5 - reach).ceil(), 0.0).clamp_min(0).long()
    high = torch.where(in_front[:, None], (xy.amax(1) - 0.5 + reach).floor(), 1e9).clamp_min(-1).long()
    extent = (torch.minimum(high, size - 1) - low + 1).clamp_min(0)
    extent[(near[..., 0] <= 0).all(1)] = 0
    return low, extent


def pairs(
    low: Int[Tensor, "f 2"], extent: Int[Tensor, "f 2"], budget: int
) -> Iterator[tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]]:
    """Every (face, row, column) of the boxes, at most about `budget` at a time."""
    count = extent.prod(1)
    start, cumulative = 0, count.cumsum(0)
    while start < len(count):
        done = int(cumulative[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(cumulative, done + budget, right=True)))
        face = torch.arange(start, stop, device=count.device).repeat_interleave(count[start:stop])
        offset = torch.arange(len(face), device=count.device) - (cumulative - count)[face] + done
        row = low[face, 1] + offset.div(extent[face, 0], rounding_mode="floor")
        yield face, row, low[face, 0] + offset % extent[face, 0]
        start = stop


@torch.no_grad()
def visible_faces(
    pixels: Float[Tensor, "v 3"],
    planes: Float[Tensor, "v 2"],
    faces: Int[Tensor, "f 3"],
    height: int,
    width: int,
    *,
    budget: int = 2**22,
) -> Int[Tensor, "h w"]:
    """The z-buffer in torch, for one view: every pixel of every face's bounding box is tried.

    Args:
        pixels, planes: What `suite.geometry.rasterizer.pixel_coordinates` gives.
        budget: Pairs of face and pixel held in memory at a time.
    """
    faces, device = faces.long(), pixels.device
    corners, near = pixels[faces], planes[faces]
    low, extent = boxes(corners, near, height, width, reach=1e-6)
    best = torch.zeros(height * width, dtype=torch.float64, device=device)
    face_id = torch.full((height * width,), -1, device=device)
    for face, row, column in pairs(low, extent, budget):
        u = solve(corners[face], column + 0.5, row + 0.5)
        total = u.sum(-1)
        seen = (total > 0) & (u >= -EDGE * total[:, None]).all(-1)
        seen &= ((u[..., None] * near[face]).sum(1) >= 0).all(-1)
        face, place, total = face[seen], (row * width + column)[seen], total[seen]
        before = best.clone()
        best.scatter_reduce_(0, place, total, "amax")
        wins = (total == best[place]) & (total > before[place])
        first = torch.full_like(face_id, len(faces)).scatter_reduce_(0, place[wins], face[wins], "amin")
        face_id = torch.where(first < len(faces), first, face_id)
    return face_id.reshape(height, width)
