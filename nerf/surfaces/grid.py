"""Which cells of a grid of signed distances does the surface pass? Only those are looked at again.

s      signed distance at the vertices of a grid over [-radius, radius]^3; s < 0 is inside, 0 is outside
cell   the cube whose lowest corner is a vertex, under the same number
corner c = x + 2 y + 4 z of a cube, x, y, z in {0, 1}
code   sum over corners of 2^c [s_c < 0], from 0 (all outside) to 255 (all inside)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ActiveCells:
    """The cells with corners on both sides.

    Attributes:
        count: Vertices of the grid along an axis.
        vertex: Number of each cell's lowest corner, (x * count + y) * count + z, ascending.
        place: The same as x, y, z.
        code: From 1 to 254.
        wall: Bits 1, 2, 4 of the axes along which the cell lies behind the grid's upper wall.
        row: Of each cell of the grid, where it is in the lists above; undefined where it is not.
    """

    count: int
    vertex: Int[Tensor, " a"]
    place: Int[Tensor, "a 3"]
    code: Int[Tensor, " a"]
    wall: Int[Tensor, " a"]
    row: Int[Tensor, " cells"]

    def steps(self) -> Int[Tensor, " 8"]:
        """From the number of a cell's lowest corner to that of each of its corners."""
        return corner_steps(self.count, self.vertex.device)


def corner_steps(count: int, device: torch.device) -> Int[Tensor, " 8"]:
    """Differences between the numbers of a cell's corners and that of its lowest one."""
    c = torch.arange(8, device=device)
    return (c & 1) * count * count + (c >> 1 & 1) * count + (c >> 2)


def check_grid(values: Tensor) -> int:
    """Vertices along an axis.

    Raises:
        ValueError: The grid is not a cube, or has no cell.
    """
    count = values.shape[0]
    if values.dim() != 3 or set(values.shape) != {count} or count < 2:
        raise ValueError(
            f"Signed distances are a cubic grid with 2 or more vertices an axis, got {tuple(values.shape)}."
        )
    return count


def active_cells(values: Float[Tensor, "n n n"]) -> ActiveCells:
    """The cells that the surface s = 0 passes.

    A layer of cells behind the upper walls, which repeats their values, is listed too: it owns edges in the
    walls, but no part of the surface.
    """
    count = check_grid(values)
    inside = (values.detach() < 0).to(torch.uint8)
    for axis in range(3):  # corner bits 1, 2, 4 of both sides along x, then y, then z
        below, wall = inside.narrow(axis, 0, count - 1), inside.narrow(axis, count - 1, 1)
        below |= inside.narrow(axis, 1, count - 1) << 2**axis
        wall |= wall << 2**axis
    codes = inside.reshape(-1)
    vertex = ((codes - 1) < 254).nonzero()[:, 0]  # uint8: 0 - 1 is 255
    xy = vertex // count
    x = xy // count
    place = torch.stack([x, xy - count * x, vertex - count * xy], dim=-1)
    row = torch.empty(count**3, dtype=torch.int64, device=values.device)
    row[vertex] = torch.arange(len(vertex), device=values.device)
    wall = ((place == count - 1) * torch.tensor([1, 2, 4], device=values.device)).sum(-1)
    return ActiveCells(count, vertex, place, codes[vertex].long(), wall, row)


def closed(values: Float[Tensor, "n n n"], least: float | int) -> Float[Tensor, "n n n"]:
    """The grid with its outermost vertices at least `least` > 0, outside: no surface leaves the box."""
    if not least > 0:
        raise ValueError(f"closed needs least > 0, got {least}.")
    inner = torch.zeros_like(values, dtype=torch.bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return torch.where(inner | (values >= least), values, least)


def crossing(s: Float[Tensor, "e 2"], tiny: float = 1e-3) -> Float[Tensor, " e"]:
    """Where linear distances s_0, s_1 of unlike signs are zero: t = s_0 / (s_0 - s_1) in [tiny, 1 - tiny].

    Vertices of a mesh that meet in one grid vertex stay apart by `tiny`; the derivative is that without bounds.
    """
    t = s[:, 0] / (s[:, 0] - s[:, 1])
    return t + (t.clamp(tiny, 1 - tiny) - t).detach()


def moved(
    place: Int[Tensor, "e 2 3"],
    ends: Int[Tensor, "e 2"],
    offsets: Float[Tensor, "n n n 3"],
    bound: float | int | None,
) -> Float[Tensor, "e 2 3"]:
    """Places of grid vertices after they were moved by their offsets, or by bound * tanh(offsets)."""
    move = offsets.reshape(-1, 3).index_select(0, ends.reshape(-1)).view(-1, 2, 3)
    return place + (move if bound is None else bound * torch.tanh(move))
