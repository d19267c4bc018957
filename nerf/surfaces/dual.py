"""FlexiCubes (Shen et al. 2023, arXiv:2308.05371): a differentiable dual surface of a grid.

    u_e    = (s_i alpha_i x_j - s_j alpha_j x_i) / (s_i alpha_i - s_j alpha_j)      crossing of edge (i, j)
    v_d    = sum_e beta_e u_e / sum_e beta_e                                        dual vertex of a sheet
    v_mid  = (g_1 g_3 (v_1 + v_3) / 2 + g_2 g_4 (v_2 + v_4) / 2) / (g_1 g_3 + g_2 g_4)    centre of a quad
    L_dev  = mean over d of  mean over e of | |v_d - u_e| - mean_e |v_d - u_e| |

alpha (8), beta (12) and g = gamma (1) are positive weights of each cube. Around each edge of the grid that the
surface cuts lie four cubes, whose dual vertices are a quadrilateral: four triangles about v_mid while training,
two at the end, cut along the diagonal with the larger product of gammas. Only cubes with both signs are visited.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerf.surfaces.grid import ActiveCells, active_cells, crossing, moved
from nerf.surfaces.patches import EDGE_CORNERS, sheet_table
from suite.geometry.mesh import Mesh

WEIGHTS = 21  # of a cube: alpha of its corners, beta of its edges, gamma


@dataclass(frozen=True)
class DualSurface:
    """What `flexicubes` finds.

    Attributes:
        mesh: Closed where no value at the grid's border is inside; faces look outwards.
        deviation: L_dev, in the unit of the vertices: how unlike the distances from each dual vertex to the
            crossings are of which it is the mean.
    """

    mesh: Mesh
    deviation: Float[Tensor, ""]


class _Cuts(NamedTuple):
    """The cut edges of the active cubes, cube by cube."""

    row: Int[Tensor, " k"]  # the cube
    edge: Int[Tensor, " k"]  # number of the edge in the cube, 0 to 11
    dual: Int[Tensor, " k"]  # number of the dual vertex
    duals: int


def flexicubes(
    values: Float[Tensor, "n n n"],
    radius: float | int = 1.0,
    offsets: Float[Tensor, "n n n 3"] | None = None,
    weights: Float[Tensor, "n n n 21"] | None = None,
    *,
    bound: float | int | None = None,
    scale: float | int | None = None,
    training: bool = True,
) -> DualSurface:
    """The surface on which signed distances are zero, differentiable in all tensors.

    Args:
        values: s at the vertices of a grid over [-radius, radius]^3, axes x, y, z; inside where s < 0.
        offsets: How far each vertex of the grid is moved, in cells.
        bound: If given, the moves are bound * tanh(offsets).
        weights: alpha, beta, gamma > 0 of the cube above each vertex; all 1 if not given.
        scale: If given, alpha and beta are 1 + scale * tanh(weights), gamma is (1 + scale * tanh(weights)) / 2.
        training: Four triangles a quadrilateral, else two.
    """
    cells = active_cells(values)
    cuts = _cuts(cells)
    corners = torch.tensor(EDGE_CORNERS, device=values.device)[cuts.edge]  # k 2
    ends = cells.vertex[cuts.row][:, None] + cells.steps()[corners]
    place = cells.place[cuts.row][:, None] + torch.stack([corners & 1, corners >> 1 & 1, corners >> 2], -1)
    x = moved(place, ends, offsets, bound) if offsets is not None else place.to(values.dtype)
    s = values.reshape(-1).index_select(0, ends.reshape(-1)).view(-1, 2)
    beta, gamma = s.new_ones(len(s)), s.new_ones(len(cells.vertex))
    if weights is not None:
        of_cube = weights.reshape(-1, WEIGHTS).index_select(0, cells.vertex)
        of_cube = of_cube if scale is None else 1 + scale * torch.tanh(of_cube)
        gamma = of_cube[:, 20] if scale is None else of_cube[:, 20] / 2
        flat, begin = of_cube.reshape(-1), WEIGHTS * cuts.row
        s = s * flat.index_select(0, (begin[:, None] + corners).reshape(-1)).view(-1, 2)
        beta = flat.index_select(0, begin + 8 + cuts.edge)
    u = x[:, 0] + crossing(s)[:, None] * (x[:, 1] - x[:, 0])
    total = beta.new_zeros(cuts.duals).index_add(0, cuts.dual, beta)
    v = u.new_zeros(cuts.duals, 3).index_add(0, cuts.dual, beta[:, None] * u) / total[:, None]
    cell_size = 2 * radius / (cells.count - 1)
    deviation = cell_size * _deviation(u, v, cuts)
    quads, rows = _quads(cells, cuts)
    mesh = _triangles(v * cell_size - radius, quads, gamma[rows], training)
    return DualSurface(mesh, deviation)


def _cuts(cells: ActiveCells) -> _Cuts:
    table = sheet_table()
    sheet, amount, doubtful = (x.to(cells.code.device) for x in table)
    turned = _turned(cells, doubtful)
    amount = amount[turned, cells.code] * (cells.wall == 0)
    first = amount.cumsum(0) - amount
    of_edge = torch.where(cells.wall[:, None] == 0, sheet[turned, cells.code], -1)
    row, edge = (of_edge >= 0).nonzero(as_tuple=True)
    return _Cuts(row, edge, first[row] + of_edge[row, edge], int(amount.sum()))


def _turned(cells: ActiveCells, doubtful: Int[Tensor, " 256"]) -> Int[Tensor, " a"]:
    """1 for each cube whose doubtful face is doubtful for the cube behind it, too."""
    face = doubtful[cells.code]
    turned = torch.zeros_like(face)
    asking = ((face >= 0) & (cells.wall == 0)).nonzero()[:, 0]
    axis, side = face[asking] // 2, face[asking] % 2
    place = cells.place[asking]
    at = place.gather(1, axis[:, None])[:, 0] + 2 * side - 1
    there = (at >= 0) & (at < cells.count - 1)
    asking, axis, side = asking[there], axis[there], side[there]
    step = cells.steps()[2**axis] * (2 * side - 1)
    neighbour = cells.row[cells.vertex[asking] + step]  # the face has both signs, so the neighbour is active
    turned[asking] = (face[neighbour] == 2 * axis + 1 - side).long()
    return turned


def _quads(cells: ActiveCells, cuts: _Cuts) -> tuple[Int[Tensor, "q 4"], Int[Tensor, "q 4"]]:
    """(dual vertices, rows of the cubes) around each cut edge of the grid, counter-clockwise from outside.

    Edges that lack one of their four cubes, at the grid's border, have none.
    """
    axis, k = cuts.edge // 4, cuts.edge % 4
    low = torch.tensor(EDGE_CORNERS, device=k.device)[:, 0][cuts.edge]
    key = 3 * (cells.vertex[cuts.row] + cells.steps()[low]) + axis
    # cubes at sides (0, 0), (1, 0), (1, 1), (0, 1) of an edge lie around it counter-clockwise about its axis
    slot = torch.tensor([0, 1, 3, 2], device=k.device)[k]
    number = torch.full((3 * cells.count**3,), -1, dtype=torch.int64, device=k.device)
    keys = key[slot == 0]  # each edge with four cubes is once at sides (0, 0)
    number[keys] = torch.arange(len(keys), device=k.device)
    known = number[key] >= 0
    place = 4 * number[key[known]] + slot[known]
    quads = torch.full((2, 4 * len(keys)), -1, dtype=torch.int64, device=k.device)
    quads[0, place], quads[1, place] = cuts.dual[known], cuts.row[known]
    begins_inside = (cells.code[cuts.row] >> low & 1)[slot == 0]
    quads = quads.view(2, -1, 4)
    quads = torch.where(begins_inside[:, None] == 1, quads, quads.flip(-1))
    whole = (quads[0] >= 0).all(-1)
    return quads[0][whole], quads[1][whole]


def _triangles(
    v: Float[Tensor, "d 3"], quads: Int[Tensor, "q 4"], gamma: Float[Tensor, "q 4"], training: bool
) -> Mesh:
    a, b, c, d = quads.unbind(-1)
    even, odd = gamma[:, 0] * gamma[:, 2], gamma[:, 1] * gamma[:, 3]
    if not training:
        along_even = torch.stack([a, b, c, a, c, d], -1)
        along_odd = torch.stack([a, b, d, b, c, d], -1)
        faces = torch.where((even >= odd)[:, None], along_even, along_odd)
        return Mesh(v, faces.view(-1, 3))
    corner = v.index_select(0, quads.reshape(-1)).view(-1, 4, 3)
    share = (even / (even + odd))[:, None]
    centre = share * (corner[:, 0] + corner[:, 2]) / 2 + (1 - share) * (corner[:, 1] + corner[:, 3]) / 2
    m = len(v) + torch.arange(len(quads), device=quads.device)
    faces = torch.stack([a, b, m, b, c, m, c, d, m, d, a, m], -1)
    return Mesh(torch.cat([v, centre]), faces.view(-1, 3))


def _deviation(u: Float[Tensor, "k 3"], v: Float[Tensor, "d 3"], cuts: _Cuts) -> Float[Tensor, ""]:
    """L_dev; a mean of nothing is 0."""
    if cuts.duals == 0:
        return v.sum()
    away = (u - v.index_select(0, cuts.dual)).square().sum(-1)
    distance = (away + 1e-12).sqrt()  # a dual vertex may lie on its crossing, where the root has no slope
    amount = v.new_zeros(cuts.duals).index_add(0, cuts.dual, torch.ones_like(distance))
    mean = v.new_zeros(cuts.duals).index_add(0, cuts.dual, distance) / amount
    spread = (distance - mean.index_select(0, cuts.dual)).abs()
    return (spread / amount.index_select(0, cuts.dual)).sum() / cuts.duals
