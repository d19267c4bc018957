"""The silhouettes of a mesh in pictures, cut at the borders of pixels, and what lies before and behind them.

Steps 1 and 2 of `suite.geometry.antialiasing`.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry import antialiasing_torch
from suite.geometry.edges import Edges, integers


@dataclass(frozen=True)
class Pieces:
    """Pieces of silhouettes, each within a pixel.

    Attributes:
        view, edge: Whose.
        side: 1 if the surface is on the left, -1 on the right.
        ends: Of the edge: vertices, numbered through all views.
        at: Where on the edge the middle is, 0 to 1, perspective-correct.
        place, near: The middle in pixels, and 1 / w there. piece: From end to end.
    """

    view: Int[Tensor, " n"]
    edge: Int[Tensor, " n"]
    side: Int[Tensor, " n"]
    ends: Int[Tensor, "n 2"]
    at: Float[Tensor, " n"]
    place: Float[Tensor, "n 2"]
    near: Float[Tensor, " n"]
    piece: Float[Tensor, "n 2"]

    def __getitem__(self, chosen: Int[Tensor, " m"]) -> "Pieces":
        return Pieces(*(getattr(self, x.name).index_select(0, chosen) for x in fields(self)))


def pieces_of_silhouettes(
    pixels: Float[Tensor, "b v 3"],
    planes: Float[Tensor, "b v 2"],
    faces: Int[Tensor, "f 3"],
    edges: Edges,
    height: int,
    width: int,
) -> Pieces:
    """All of them that are in the picture, seen or hidden.

    Args:
        pixels, planes: Homogeneous pixel coordinates, and distances to the near and far planes.
    """
    view, edge, side = silhouettes(pixels, faces, edges)
    ends = edges.ends[edge] + (view * pixels.shape[1])[:, None]
    corners = pixels.reshape(-1, 3)[ends]
    low, high = clipped(corners, planes.reshape(-1, 2)[ends], height, width)
    keep = (low < high).nonzero()[:, 0]
    view, edge, side, ends, corners = (x[keep] for x in (view, edge, side, ends, corners))
    span = torch.stack([low[keep], high[keep]], dim=1)
    tips = torch.lerp(corners[:, :1], corners[:, 1:], span[..., None])  # n 2 3
    xy, one_over_w = tips[..., :2] / tips[..., 2:], 1 / tips[..., 2]
    owner, begin, end = cut_at_pixels(xy)
    middle = 0.5 * (begin + end)
    span, xy, one_over_w = span[owner], xy[owner], one_over_w[owner]
    piece = (xy[:, 1] - xy[:, 0]) * (end - begin)[:, None]
    place = torch.lerp(xy[:, 0], xy[:, 1], middle[:, None])
    near = torch.lerp(one_over_w[:, 0], one_over_w[:, 1], middle)
    at = torch.lerp((span * one_over_w)[:, 0], (span * one_over_w)[:, 1], middle) / near
    inside = (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)  # false for NaN too
    pieces = Pieces(view[owner], edge[owner], side[owner], ends[owner], at, place, near, piece)
    return pieces[inside.nonzero()[:, 0]]


def silhouettes(
    pixels: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], edges: Edges
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """View, edge and side (1 left, -1 right, looking from the edge's first end to its second; y runs down)
    of the edges whose faces all lie on one side of them."""
    found, count = [], len(edges.ends)
    for k, points in enumerate(pixels):
        if pixels.is_cuda:
            left, right = antialiasing_torch.sides(points, faces, edges.of_face, count)
        else:
            from suite.geometry.antialiasing_numba import sides

            left, right = torch.zeros(2, count, dtype=torch.int32)
            sides(points.numpy(), integers(faces), integers(edges.of_face), left.numpy(), right.numpy())
        edge = ((left > 0) != (right > 0)).nonzero()[:, 0]
        found.append((torch.full_like(edge, k), edge, torch.where(left[edge] > 0, 1, -1)))
    return tuple(torch.cat(x) for x in zip(*found, strict=True))


def clipped(
    corners: Float[Tensor, "n 2 3"], planes: Float[Tensor, "n 2 2"], height: int, width: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The part (from, to) of each edge, 0 to 1, that is in the picture and between near and far plane."""
    x, y, w = corners.unbind(-1)
    distance = torch.stack([*planes.unbind(-1), x, width * w - x, y, height * w - y], dim=-1)
    start, end = distance.unbind(1)
    root = start / (start - end)
    low = torch.where(start < 0, root, 0.0).amax(1)
    high = torch.where(end < 0, root, 1.0).amin(1)
    return low, torch.where(((start < 0) & (end < 0)).any(1), -1.0, high)


def cut_at_pixels(
    xy: Float[Tensor, "n 2 2"],
) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Segments cut where x or y is a whole number: (which segment, from, to), 0 to 1 along it, in order."""
    start, end = xy.unbind(1)
    low = torch.minimum(start, end).floor()
    count = (torch.maximum(start, end).floor() - low).long()
    segments = torch.arange(len(xy), device=xy.device)
    owners, cuts = [segments], [torch.zeros(len(xy), dtype=xy.dtype, device=xy.device)]
    for axis in (0, 1):
        owner = segments.repeat_interleave(count[:, axis])
        before = count[:, axis].cumsum(0) - count[:, axis]
        line = low[owner, axis] + 1 + torch.arange(len(owner), device=xy.device) - before[owner]
        place = (line - start[owner, axis]) / (end - start)[owner, axis]
        owners.append(owner)
        cuts.append(place.clamp(0, 1))
    owner, cut = torch.cat(owners), torch.cat(cuts)
    order = (2 * owner + cut).argsort()
    owner, cut = owner[order], cut[order]
    until = torch.ones_like(cut)
    until[:-1] = torch.where(owner[1:] == owner[:-1], cut[1:], 1.0)
    keep = (until - cut > 1e-9).nonzero()[:, 0]
    return owner[keep], cut[keep], until[keep]


def met(
    pieces: Pieces,
    pixels: Float[Tensor, "b v 3"],
    planes: Float[Tensor, "b v 2"],
    faces: Int[Tensor, "f 3"],
    edges: Edges,
    height: int,
    width: int,
) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """Which pieces have a face, other than those of their edge, before and behind their middle."""
    points = torch.cat([pieces.place, pieces.near[:, None]], dim=1)
    found = torch.zeros(2, len(points), dtype=torch.bool, device=pixels.device)
    for k in range(len(pixels)):
        mine = (pieces.view == k).nonzero()[:, 0]
        given = (points[mine], pieces.edge[mine], height, width)
        given = (pixels[k], planes[k], faces, edges.of_face, *given)
        here = antialiasing_torch.covered(*given) if pixels.is_cuda else _covered(*given)
        found[:, mine] = torch.stack(here)
    return found[0], found[1]


def _covered(
    pixels: Float[Tensor, "v 3"],
    planes: Float[Tensor, "v 2"],
    faces: Int[Tensor, "f 3"],
    of_face: Int[Tensor, "f 3"],
    points: Float[Tensor, "n 3"],
    edge: Int[Tensor, " n"],
    height: int,
    width: int,
) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """`antialiasing_torch.covered` through numba."""
    from suite.geometry.antialiasing_numba import covered

    x, y, nearness = (np.ascontiguousarray(column) for column in points.numpy().T)
    column, row = (np.clip(v.astype(np.int64), 0, n - 1) for v, n in ((x, width), (y, height)))
    cell = row * width + column
    start = np.zeros(height * width + 1, np.int64)
    start[1:] = np.cumsum(np.bincount(cell, minlength=height * width))
    order, (hidden, backed) = np.argsort(cell, kind="stable"), np.zeros((2, len(points)), np.bool_)
    triangles, edges_of = integers(faces), integers(of_face)
    covered(
        pixels.numpy(), planes.numpy(), triangles, edges_of, start, order, x, y, nearness, edge.numpy(),
        width, hidden, backed,
    )  # fmt: skip
    return torch.from_numpy(hidden), torch.from_numpy(backed)
