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

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry.edges import Edges
from suite.geometry.rasterizer_fragments import Fragments
from suite.geometry.rasterizer_torch import pixel_coordinates
from suite.geometry.silhouettes import Pieces, met, pieces_of_silhouettes

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
    pieces = pieces_of_silhouettes(pixels, planes, faces, edges, *nearness.shape[1:])
    hidden, backed = met(pieces, pixels, planes, faces, edges, *nearness.shape[1:])
    seen = (~hidden).nonzero()[:, 0]
    return _between_pixels(pieces[seen], backed[seen], nearness)


def _between_pixels(pieces: Pieces, backed: Bool[Tensor, " n"], nearness: Float[Tensor, "b h w"]) -> Steps:
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
