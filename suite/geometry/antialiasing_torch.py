"""The parts of antialiasing that run over all faces of a mesh, in plain torch: the twin of the numba kernels,
and what runs on a GPU. Notation as there.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry.rasterizer_torch import EDGE, boxes, pairs, solve

TIE = 1e-7  # see antialiasing_numba


def edge_table(faces: Int[Tensor, "f 3"]) -> tuple[Int[Tensor, "e 2"], Int[Tensor, "f 3"]]:
    """The corners of each edge, the smaller first, and the edge from each face's corner i to corner i + 1."""
    a, b = faces.long(), faces.long().roll(-1, dims=1)
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    count = int(high.max()) + 1 if len(faces) else 1
    key, of_face = torch.unique(low * count + high, return_inverse=True)
    return torch.stack([key.div(count, rounding_mode="floor"), key % count], dim=1), of_face


def same_places(vertices: Float[Tensor, "v 3"]) -> tuple[Int[Tensor, " v"], int]:
    """The number of the place of each vertex, and how many places there are."""
    places, place = torch.unique(vertices, dim=0, return_inverse=True)
    return place, len(places)


def sides(
    pixels: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], of_face: Int[Tensor, "f 3"], edges: int
) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"]]:
    """How many faces lie to the left and to the right of each edge in the picture."""
    faces = faces.long()
    det = torch.linalg.det(pixels[faces])[:, None]
    forward = faces < faces.roll(-1, dims=1)
    usable = (det != 0) & det.isfinite()
    counts = []
    for which in (forward == (det > 0), forward != (det > 0)):
        total = torch.zeros(edges, dtype=torch.int64, device=pixels.device)
        counts.append(total.index_add(0, of_face.reshape(-1), (which & usable).reshape(-1).long()))
    return counts[0], counts[1]


def covered(
    pixels: Float[Tensor, "v 3"],
    planes: Float[Tensor, "v 2"],
    faces: Int[Tensor, "f 3"],
    of_face: Int[Tensor, "f 3"],
    points: Float[Tensor, "n 3"],
    edge: Int[Tensor, " n"],
    height: int,
    width: int,
    *,
    budget: int = 2**22,
) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """Which points (x, y, 1 / w) on edges lie behind and before some face that is not at their own edge."""
    corners, near = pixels[faces.long()], planes[faces.long()]
    column, row = (points[:, k].floor().long().clamp(0, size - 1) for k, size in enumerate((width, height)))
    cell, order = (row * width + column).sort()
    count = torch.bincount(cell, minlength=height * width)
    start = count.cumsum(0) - count
    hidden, backed = torch.zeros(2, len(points), dtype=torch.bool, device=points.device)
    for face, at_row, at_column in pairs(*boxes(corners, near, height, width, reach=0.5), budget):
        here = at_row * width + at_column
        face, here = face[count[here] > 0], here[count[here] > 0]
        many = count[here]
        first = start[here] - (many.cumsum(0) - many)
        k = order[torch.arange(int(many.sum()), device=face.device) + first.repeat_interleave(many)]
        face = face.repeat_interleave(many)
        u = solve(corners[face], points[k, 0], points[k, 1])
        nearness = u.sum(1)
        meets = (nearness > 0) & (u >= -EDGE * nearness[:, None]).all(1)
        meets &= ((u[..., None] * near[face]).sum(1) >= 0).all(1)
        meets &= (of_face[face] != edge[k][:, None]).all(1)
        hidden[k[meets & (nearness > points[k, 2] * (1 + TIE))]] = True
        backed[k[meets & (nearness < points[k, 2] * (1 - TIE))]] = True
    return hidden, backed
