"""Edges as wide as a pixel, and gradients that move silhouettes.

A picture sampled at pixel centres does not change when a silhouette moves by less than a pixel. Its mean over
the pixel does: with C_1 and C_2 the colours on the two sides of a silhouette and n its normal from 1 to 2,

    d(pixel) / d(theta) = integral over the silhouette within the pixel of (C_1 - C_2) n . d(x)/d(theta) ds

(Li et al. 2018, "Differentiable Monte Carlo ray tracing through edge sampling"). As in Laine et al. 2020
("Modular primitives for high-performance differentiable rendering") the colours are those of two neighbouring
pixels, whose centres the silhouette parts; but where that paper starts from pixels that differ and looks for
the edge between them, which is lost when triangles are as small as pixels, here it starts from the edges:

    1. An edge is a silhouette where all its faces lie on one side of it in the picture: folds and borders.
    2. Silhouettes are cut at the borders of pixels. A piece is seen if no face covers its middle (exact, in
       float64, against every face).
    3. The pixel of a piece gets (C_1 - C_2) * area, the part of the pixel that the piece moves from the one
       colour to the other; for a straight silhouette that is exactly the mean over the pixel. The area's
       gradient is the integral above.

Where a piece has nothing behind it, C_2 is that of a pixel that sees nothing. Of silhouettes before something
else more than one may pass between two pixel centres: they share the step from C_1 to C_2, as `_shares` says.
Lines in which faces run through each other are no edges, and are not antialiased; nor are silhouettes within
half a pixel of the picture's border, which have a colour on one side only.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry import antialiasing_torch
from suite.geometry.edges import Edges, integers
from suite.geometry.rasterizer_fragments import Fragments
from suite.geometry.rasterizer_torch import pixel_coordinates

FAR_BEHIND = 0.05  # in depths: what is so much deeper than the pixel beside it is not the nearer surface


def antialias(
    images: Float[Tensor, "b h w c"],
    fragments: Fragments,
    clip: Float[Tensor, "b v 4"],
    faces: Int[Tensor, "f 3"],
    *,
    edges: Edges | None = None,
) -> Float[Tensor, "b h w c"]:
    """Images sampled at pixel centres, with silhouettes smoothed over the pixels that they pass through.

    Differentiable in the images and, through the silhouettes, in the clip positions.

    Args:
        images: Any number of channels; linear ones (a colour times its mask, the mask itself), as pixels
            become weighted means of their neighbours.
        fragments: `rasterize(clip, faces, h, w)`, from which the images were made.
        clip, faces: What was rasterized. Where two vertices are at one place, as at the seams of a texture,
            `welded` makes them one; each side of a seam is a border otherwise.
        edges: `Edges.of(faces)`, if it is there already.
    """
    b, h, w, c = images.shape
    pixels, planes = pixel_coordinates(clip, h, w)
    nearness = torch.where(fragments.face_id < 0, 0.0, 1 / fragments.depth.detach())
    steps = silhouette_steps(pixels.detach(), planes.detach(), faces, edges or Edges.of(faces), nearness)
    area = steps.area
    if clip.requires_grad:
        flat = pixels.reshape(-1, 3)
        first, second = (flat.index_select(0, end) for end in steps.ends.unbind(1))
        middle = torch.lerp(first, second, steps.at[:, None])
        x, y, depth = middle.unbind(1)
        moved = (steps.normal[:, 0] * x + steps.normal[:, 1] * y) / depth
        area = area + (moved - moved.detach())
    colors = images.reshape(-1, c)
    jump = colors.index_select(0, steps.first) - colors.index_select(0, steps.second)
    return colors.index_add(0, steps.target, jump * area.to(jump)[:, None]).reshape(b, h, w, c)


@dataclass(frozen=True)
class Steps:
    """The visible pieces of silhouettes, each within one pixel. Pixels are numbered through all views.

    Attributes:
        ends: Of the edge that it is a piece of: vertices, numbered through all views.
        at: Where on the edge its middle is, 0 to 1, perspective-correct.
        normal: In pixels, from the first to the second colour, as long as the piece.
        area: What the pixel has of the other colour.
        first, second: The pixels of the two colours. target: The one of them that the piece lies in.
    """

    ends: Int[Tensor, "n 2"]
    at: Float[Tensor, " n"]
    normal: Float[Tensor, "n 2"]
    area: Float[Tensor, " n"]
    first: Int[Tensor, " n"]
    second: Int[Tensor, " n"]
    target: Int[Tensor, " n"]


@torch.no_grad()
def silhouette_steps(
    pixels: Float[Tensor, "b v 3"],
    planes: Float[Tensor, "b v 2"],
    faces: Int[Tensor, "f 3"],
    edges: Edges,
    nearness: Float[Tensor, "b h w"],
) -> Steps:
    """What `antialias` adds to pixels.

    Args:
        pixels, planes: Homogeneous pixel coordinates, and distances to the near and far planes.
        nearness: 1 / depth of what the pixels see, 0 where they see nothing.
    """
    _, height, width = nearness.shape
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
    pieces = _Pieces(view[owner], edge[owner], side[owner], ends[owner], at, place, near, piece)
    pieces = pieces[inside.nonzero()[:, 0]]
    hidden, backed = _met(pieces, pixels, planes, faces, edges, height, width)
    seen = (~hidden).nonzero()[:, 0]
    return _between_pixels(pieces[seen], backed[seen], nearness)


@dataclass(frozen=True)
class _Pieces:
    """Pieces of silhouettes, each within a pixel.

    Attributes:
        side: 1 if the surface is on the left, -1 on the right. ends, at: As in `Steps`.
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

    def __getitem__(self, chosen: Int[Tensor, " m"]) -> "_Pieces":
        return _Pieces(*(getattr(self, x.name).index_select(0, chosen) for x in fields(self)))


def _between_pixels(pieces: _Pieces, backed: Bool[Tensor, " n"], nearness: Float[Tensor, "b h w"]) -> Steps:
    """Finds the two pixels whose centres each piece parts: left and right, or above and below.

    A piece is made longer until it meets the line of centres through its pixel. Where it has nothing behind
    it (`backed` is false), one of the two pixels must see nothing, else both see something: next to corners
    that may fail, and then a piece with nothing behind it takes any neighbours of which one sees nothing.
    """
    _, height, width = nearness.shape
    steep = pieces.piece[:, 1].abs() >= pieces.piece[:, 0].abs()  # parts left from right
    order = torch.where(steep, 0, 1)[:, None] ^ torch.tensor([0, 1], device=steep.device)  # across, along
    x, y = pieces.place.gather(1, order).unbind(1)
    dx, dy = pieces.piece.gather(1, order).unbind(1)
    line = y.floor() + 0.5
    first = (x + (line - y) * dx / dy - 0.5).floor()
    column, row = torch.where(steep, first, line - 0.5).long(), torch.where(steep, line - 0.5, first).long()
    inside = (column >= 0) & (row >= 0) & (column + steep < width) & (row + ~steep < height)
    pixel = torch.where(inside, (pieces.view * height + row) * width + column, 0)
    second = torch.where(inside, pixel + torch.where(steep, 1, width), 0)
    seen = nearness.reshape(-1)
    near, far = seen[pixel], seen[second]
    fits = inside & (((near > 0) ^ (far > 0)) ^ backed) & ((near > 0) | (far > 0))
    length, direction = dy.abs(), dy.sign()
    on_first = pieces.side * torch.where(steep, direction, -direction)  # 1: the surface is on the first side
    share = _shares(on_first, length, 2 * pixel + steep, near - far, torch.maximum(near, far), backed)
    normal = torch.stack([length, -direction * dx], dim=1).gather(1, order) * share[:, None]
    place = pieces.place.floor().long()
    target = (pieces.view * height + place[:, 1]) * width + place[:, 0]
    steps = Steps(pieces.ends, pieces.at, normal, share * length * (x - first - 1), pixel, second, target)
    lost = (~fits & ~backed).nonzero()[:, 0]
    turned = torch.stack([pieces.piece[:, 1], -pieces.piece[:, 0]], dim=1) * pieces.side[:, None]
    found, inner, outer = _neighbours(target[lost], nearness)
    lost = lost[found]
    rest = Steps(
        pieces.ends[lost],
        pieces.at[lost],
        turned[lost],
        torch.zeros_like(x[lost]),
        inner,
        outer,
        target[lost],
    )
    fits = fits.nonzero()[:, 0]
    joined = [
        torch.cat([getattr(steps, each.name)[fits], getattr(rest, each.name)]) for each in fields(Steps)
    ]
    return Steps(*joined)


def _neighbours(
    pixel: Int[Tensor, " n"], nearness: Float[Tensor, "b h w"]
) -> tuple[Bool[Tensor, " n"], Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Whether there is, and where are, a pixel that sees something and one that sees nothing, in the 3 x 3
    around each pixel: the nearest of each."""
    _, height, width = nearness.shape
    row, column = pixel.div(width, rounding_mode="floor") % height, pixel % width
    offsets = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
    offset = torch.tensor(offsets, device=pixel.device)
    rows, columns = row[:, None] + offset[:, 0], column[:, None] + offset[:, 1]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    around = torch.where(inside, pixel[:, None] + offset[:, 0] * width + offset[:, 1], pixel[:, None])
    full = nearness.reshape(-1)[around] > 0
    found = full.any(1) & ~full.all(1)
    around, full = around[found], full[found].to(torch.uint8)
    chosen = [around.gather(1, which.argmax(1, keepdim=True))[:, 0] for which in (full, 1 - full)]
    return found, *chosen


def _shares(
    on_first: Float[Tensor, " n"],
    length: Float[Tensor, " n"],
    pair: Int[Tensor, " n"],
    contrast: Float[Tensor, " n"],
    nearest: Float[Tensor, " n"],
    backed: Bool[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """What of the step from the first to the second colour of its pair each piece moves, along its normal.

    With nothing behind: all of it, towards the pixel that sees nothing. Else several silhouettes between the
    two pixels have colours between them that nobody knows. Together they move the step once: those that part
    the wrong way (the surface on the far pixel's side) are folds back and forth, if twice as many part the
    right way; else they are the other side of a thin part, which has no colour to give.

    Args:
        on_first: 1 if the piece's surface is on the first pixel's side, -1 if on the second's.
        contrast: Difference in 1 / depth of the two pixels. nearest: The larger 1 / depth of the two.
    """
    _, pair = torch.unique(torch.where(backed, pair, -1), return_inverse=True)
    zero = torch.zeros_like(length)
    net = zero.index_add(0, pair, on_first * length)[pair]
    sure = ~backed | (contrast.abs() > FAR_BEHIND * nearest)
    way = on_first * torch.where(sure, contrast.to(net), net).sign()
    right, wrong = (zero.index_add(0, pair, length * (way * sign > 0))[pair] for sign in (1, -1))
    back = torch.where(right > 0, (right / wrong.clamp_min(1e-9) - 1).clamp(0, 1), 1.0)
    forth = ((1 + back * wrong) / right.clamp_min(1e-9)).clamp_max(1)
    return torch.where(backed, torch.where(way > 0, forth, -back), way)


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


def _met(
    pieces: _Pieces,
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
