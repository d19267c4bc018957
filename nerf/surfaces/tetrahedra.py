"""Marching tetrahedra on a grid of cubes (Doi and Koide 1991; in DMTet, Shen et al. 2021, arXiv:2111.04276).

Each cube is cut into the six tetrahedra of Kuhn (1960), one for each order in which the axes can be walked
from corner 0 to corner 7. Neighbouring cubes cut their common square along the same diagonal, so the
tetrahedra of a grid fit together without a stored mesh. Their edges run from a vertex to the corners 1 to 7 of
the cube above it. On an edge whose ends differ in sign,

    v = (p_a s_b - p_b s_a) / (s_b - s_a)                                                   (DMTet, Eq. 2)

is a vertex of the surface. The triangles of a cube follow from the signs of its corners by a table of 256.
"""

from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerf.surfaces.grid import ActiveCells, active_cells, crossing, moved
from suite.geometry.mesh import Mesh

CORNERS = np.array([[c & 1, c >> 1 & 1, c >> 2 & 1] for c in range(8)])


def kuhn_tetrahedra() -> Int[np.ndarray, "6 4"]:
    """Corners of the six tetrahedra of a cube, each of positive volume."""
    tets = []
    for first, second, _ in permutations((1, 2, 4)):
        tet = [0, first, first + second, 7]
        a, b, c = CORNERS[tet[1:]]
        tets.append(tet if np.dot(a, np.cross(b, c)) > 0 else [0, tet[2], tet[1], 7])
    return np.array(tets)


def tetrahedral_grid(
    resolution: int, radius: float | int = 1.0
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "t 4"]]:
    """All vertices and tetrahedra of resolution^3 cubes over [-radius, radius]^3, each of positive volume."""
    if resolution < 1 or not radius > 0:
        raise ValueError(
            f"tetrahedral_grid needs resolution >= 1 and radius > 0, got {resolution}, {radius}."
        )
    n = resolution + 1
    axis = torch.linspace(-radius, radius, n)
    vertices = torch.cartesian_prod(axis, axis, axis)
    number = torch.arange(n**3).view(n, n, n)
    steps = torch.from_numpy(CORNERS[kuhn_tetrahedra()]) @ torch.tensor([n * n, n, 1])
    return vertices, (number[:-1, :-1, :-1].reshape(-1, 1, 1) + steps).reshape(-1, 4)


class TriangleTable(NamedTuple):
    """The triangles of a cube, by its code.

    first   of each code: where its triangles begin; one more entry at the end
    corner  of each triangle and each of its vertices: the lower corner of the edge that it lies on
    way     the difference to the edge's other corner, 1 to 7
    """

    first: Int[Tensor, " 257"]
    corner: Int[Tensor, "triangles 3"]
    way: Int[Tensor, "triangles 3"]


@lru_cache(maxsize=1)
def triangle_table() -> TriangleTable:
    """Made from the geometry: the same for all grids."""
    first, edges = [0], []
    for code in range(256):
        for tet in kuhn_tetrahedra():
            edges += _triangles([int(c) for c in tet], [bool(code >> c & 1) for c in tet])
        first.append(len(edges))
    pairs = torch.tensor(edges)  # triangles, 3, 2
    return TriangleTable(torch.tensor(first), pairs[..., 0], pairs[..., 1] - pairs[..., 0])


def _triangles(tet: list[int], inside: list[bool]) -> list[list[tuple[int, int]]]:
    """Triangles (of edges, which are pairs of corners) between inner and outer corners, seen from outside
    counter-clockwise."""
    inner = [c for c, is_in in zip(tet, inside) if is_in]
    outer = [c for c in tet if c not in inner]
    if not inner or not outer:
        return []
    if len(inner) == 2:
        (a, b), (c, d) = inner, outer
        cut = [(a, c), (a, d), (b, d), (b, c)]
        found = [[cut[0], cut[1], cut[2]], [cut[0], cut[2], cut[3]]]
    else:
        found = [[(i, o) for i in inner for o in outer]]
    outwards = CORNERS[outer].mean(0) - CORNERS[inner].mean(0)
    for triangle in found:
        p, q, r = (CORNERS[list(edge)].mean(0) for edge in triangle)
        if np.dot(np.cross(q - p, r - p), outwards) < 0:
            triangle.reverse()
    return [[(min(edge), max(edge)) for edge in triangle] for triangle in found]


def marching_tetrahedra(
    values: Float[Tensor, "n n n"],
    radius: float | int = 1.0,
    offsets: Float[Tensor, "n n n 3"] | None = None,
    *,
    bound: float | int | None = None,
) -> Mesh:
    """The surface on which signed distances are zero, differentiable in `values` and `offsets`.

    Args:
        values: s at the vertices of a grid over [-radius, radius]^3, axes x, y, z; inside where s < 0.
        offsets: How far each vertex of the grid is moved, in cells.
        bound: If given, the moves are bound * tanh(offsets), which is computed only where the surface is.

    Returns: Faces that look outwards; no vertex twice; closed where no value at the grid's border is inside
    (see `nerf.surfaces.grid.closed`); empty where no sign changes.
    """
    cells = active_cells(values)
    edge_of, ends, place = _cut_edges(cells)
    s = values.reshape(-1).index_select(0, ends.reshape(-1)).view(-1, 2)
    cell_size = 2 * radius / (cells.count - 1)
    p = moved(place, ends, offsets, bound) if offsets is not None else place.to(values.dtype)
    t = crossing(s)[:, None]
    vertices = (p[:, 0] + t * (p[:, 1] - p[:, 0])) * cell_size - radius
    return Mesh(vertices, _faces(cells, edge_of))


def _cut_edges(
    cells: ActiveCells,
) -> tuple[Int[Tensor, " slots"], Int[Tensor, "e 2"], Int[Tensor, "e 2 3"]]:
    """(number of the cut edge of each active cell and way; numbers of the grid vertices at both ends of each
    cut edge; their places)."""
    device = cells.code.device
    way, code = torch.arange(8, device=device), torch.arange(256, device=device)[:, None]
    is_cut = ((code >> way ^ code) & 1).bool().index_select(0, cells.code)  # corner `way` against corner 0
    if cells.wall.any():
        is_cut &= (cells.wall[:, None] & way) == 0
    slot = is_cut.view(-1).nonzero()[:, 0]  # 8 row + way
    edge_of = torch.empty(is_cut.numel(), dtype=torch.int64, device=device)
    edge_of[slot] = torch.arange(len(slot), device=device)
    row, way = slot >> 3, slot & 7
    begin, place = cells.vertex.index_select(0, row), cells.place.index_select(0, row)
    bits = torch.from_numpy(CORNERS).to(device).index_select(0, way)
    end = begin + cells.steps().index_select(0, way)
    return edge_of, torch.stack([begin, end], dim=-1), torch.stack([place, place + bits], dim=1)


def _faces(cells: ActiveCells, edge_of: Int[Tensor, " slots"]) -> Int[Tensor, "f 3"]:
    """The triangles of all active cells."""
    device = cells.code.device
    first, corner, way = (x.to(device) for x in triangle_table())
    begin = first.index_select(0, cells.code)
    amount = first.index_select(0, cells.code + 1) - begin
    if cells.wall.any():
        amount = amount * (cells.wall == 0)
    # of each triangle: its row in the table and its cell, from what is the same for a cell's triangles
    shift = begin - (amount.cumsum(0) - amount)
    shift, vertex = torch.repeat_interleave(torch.stack([shift, cells.vertex]), amount, dim=1)
    triangle = torch.arange(len(shift), device=device) + shift
    step = cells.steps()[corner].index_select(0, triangle)
    owner = cells.row.index_select(0, (vertex[:, None] + step).view(-1)).view(-1, 3)
    return edge_of.index_select(0, (8 * owner + way.index_select(0, triangle)).view(-1)).view(-1, 3)
