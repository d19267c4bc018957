"""In how many sheets does a surface pass a cube, and which of the cube's edges does each sheet cut?

Dual marching cubes (Nielson 2004) puts one vertex on each sheet. A sheet's border runs over the faces of the
cube: on a face with one inner and one outer side it joins the two edges that are cut. A face whose corners
alternate is ambiguous: its four cuts are joined so that the inner corners stay apart. The rings that result
are the sheets. Both cubes at a face decide alike, so the sheets of a grid fit together.

If both joints on an ambiguous face belong to one sheet, in each of its two cubes, four quadrilaterals meet in
one edge. Then both cubes join this face's cuts the other way, which parts the sheet in two (Wenger 2013,
Isosurfaces, section 5.3.4; the checks of configurations 16 and 19 in FlexiCubes). No code has two such faces.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

# edge 4 a + k runs along axis a; k = j + 2 i: at side j of axis a + 1 and at side i of axis a + 2 (mod 3)
EDGE_CORNERS = [
    (low, low | 1 << a)
    for a in range(3)
    for i in (0, 1)
    for j in (0, 1)
    for low in [j << (a + 1) % 3 | i << (a + 2) % 3]
]
EDGE_NUMBER = {pair: e for e, pair in enumerate(EDGE_CORNERS)}
# face 2 a + side: its corners in cyclic order
FACE_CORNERS = [
    [side << a | j << (a + 1) % 3 | i << (a + 2) % 3 for j, i in ((0, 0), (1, 0), (1, 1), (0, 1))]
    for a in range(3)
    for side in (0, 1)
]


class SheetTable(NamedTuple):
    """The sheets of a cube, by its code; [1] as they are if the doubtful face is joined the other way.

    sheet     of each edge, -1 where it is not cut
    amount    of sheets
    doubtful  the ambiguous face that is twice in one sheet, or -1
    """

    sheet: Int[Tensor, "2 256 12"]
    amount: Int[Tensor, "2 256"]
    doubtful: Int[Tensor, " 256"]


@lru_cache(maxsize=1)
def sheet_table() -> SheetTable:
    """Made by joining cuts face by face."""
    plain = [_sheets(code, None) for code in range(256)]
    doubtful = [_doubtful(code, sheet) for code, sheet in enumerate(plain)]
    other = [_sheets(code, face if face >= 0 else None) for code, face in enumerate(doubtful)]
    sheet = torch.tensor([plain, other])
    return SheetTable(sheet, sheet.amax(-1) + 1, torch.tensor(doubtful))


def _joints(code: int, face: int, turned: bool) -> list[tuple[int, int]]:
    """Pairs of edges that the surface's border joins on a face."""
    around = FACE_CORNERS[face]
    edges = [EDGE_NUMBER[min(p, q), max(p, q)] for p, q in zip(around, around[1:] + around[:1])]
    inside = [code >> c & 1 for c in around]
    cut = [edges[k] for k in range(4) if inside[k] != inside[(k + 1) % 4]]
    if len(cut) < 4:
        return [(cut[0], cut[1])] if cut else []
    return [(edges[k - 1], edges[k]) for k in range(4) if inside[k] != turned]


def _sheets(code: int, turned: int | None) -> list[int]:
    """The sheet of each edge, numbered in the order of their first edges."""
    joined = {e: {e} for face in range(6) for pair in _joints(code, face, False) for e in pair}
    for face in range(6):
        for p, q in _joints(code, face, face == turned):
            ring = joined[p] | joined[q]
            joined |= dict.fromkeys(ring, ring)
    firsts = sorted({min(ring) for ring in joined.values()})
    return [firsts.index(min(joined[e])) if e in joined else -1 for e in range(12)]


def _doubtful(code: int, sheet: list[int]) -> int:
    faces = [
        face
        for face in range(6)
        for joints in [_joints(code, face, False)]
        if len(joints) == 2 and sheet[joints[0][0]] == sheet[joints[1][0]]
    ]
    assert len(faces) <= 1
    return faces[0] if faces else -1
