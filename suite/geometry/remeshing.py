"""Operations that change the triangles of a mesh: welding, splitting long edges, components, decimation.

All work on plain numpy arrays: `positions` "v 3" and `faces` "f 3".
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Positions = Float[ndarray, "v 3"]
Faces = Int[ndarray, "f 3"]


def weld(positions: Positions, faces: Faces) -> Faces:
    """Faces that use one index a position, so that seams of colour or texture do not cut the surface."""
    _, inverse = np.unique(positions, axis=0, return_inverse=True)
    return inverse.reshape(-1).astype(np.int64)[faces]


def directed_edges(faces: Faces) -> Int[ndarray, "e 2"]:
    """The three directed edges of every face, face by face."""
    return faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)


def is_watertight(positions: Positions, faces: Faces) -> bool:
    """Whether every edge is run through as often in one direction as in the other: a closed, consistently
    oriented surface. Several closed parts, touching or crossing each other, count as watertight."""
    faces = weld(positions, faces)
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    edges = directed_edges(faces[proper])
    if len(edges) == 0:
        return False
    sign = np.where(edges[:, 0] < edges[:, 1], 1, -1)
    _, inverse = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    return not np.bincount(inverse.reshape(-1), weights=sign).any()


def component_of_face(positions: Positions, faces: Faces) -> Int[ndarray, " f"]:
    """The connected component of each face (faces that share a corner's position), numbered from 0."""
    faces = weld(positions, faces)
    edges = directed_edges(faces)
    count = int(faces.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, vertex_label = connected_components(graph, directed=False)
    _, label = np.unique(vertex_label[faces[:, 0]], return_inverse=True)
    return label.reshape(-1).astype(np.int64)


def split_long_edges(
    attributes: Float[ndarray, "v c"], faces: Faces, max_edge: float
) -> tuple[Float[ndarray, "w c"], Int[ndarray, "g 3"]]:
    """Halve edges until none is longer than `max_edge`; the first three attributes are the position.

    An edge is halved for both of its faces at once, so a closed mesh stays closed. New vertices take the
    mean of all attributes (position, colour, uv) of the edge's ends.
    """
    while True:
        edges = directed_edges(faces)
        welded = weld(np.ascontiguousarray(attributes[:, :3]), faces)  # seams decide alike on both sides
        length = np.linalg.norm(attributes[edges[:, 0], :3] - attributes[edges[:, 1], :3], axis=1)
        welded_edges = np.sort(directed_edges(welded), axis=1)
        _, key = np.unique(welded_edges, axis=0, return_inverse=True)
        key = key.reshape(-1)
        too_long = np.zeros(key.max(initial=-1) + 1, bool)
        too_long[key[length > max_edge]] = True
        marked = too_long[key]
        if not marked.any():
            return attributes, faces
        pairs, index = np.unique(np.sort(edges[marked], axis=1), axis=0, return_inverse=True)
        middle = np.full(len(edges), -1, dtype=np.int64)
        middle[marked] = len(attributes) + index.reshape(-1)
        halves = (attributes[pairs[:, 0]] + attributes[pairs[:, 1]]) * attributes.dtype.type(0.5)
        attributes = np.concatenate([attributes, halves])
        faces = _split_faces(faces, middle.reshape(-1, 3))


def _split_faces(faces: Faces, middle: Int[ndarray, "f 3"]) -> Int[ndarray, "g 3"]:
    """Cut faces at `middle`: column k is the new vertex on the edge from corner k to k + 1, -1 for none."""
    count = (middle >= 0).sum(axis=1)
    pieces = [faces[count == 0]]
    one, two, three = count == 1, count == 2, count == 3
    # turn each face so that the halved edge (one) or the whole edge (two) is the first, from a to b
    turn = np.where(one, (middle >= 0).argmax(1), (middle < 0).argmax(1))
    order = (np.arange(3) + turn[:, None]) % 3
    a, b, c = np.take_along_axis(faces, order, axis=1).T
    ab, bc, ca = np.take_along_axis(middle, order, axis=1).T
    triangles = [(one, a, ab, c), (one, ab, b, c), (two, c, ca, bc), (two, a, b, bc), (two, a, bc, ca)]
    triangles += [(three, a, ab, ca), (three, b, bc, ab), (three, c, ca, bc), (three, ab, bc, ca)]
    pieces += [np.stack([p, q, r], axis=1)[chosen] for chosen, p, q, r in triangles]
    return np.concatenate(pieces)


def decimate(
    positions: Positions, faces: Faces, target_faces: int
) -> tuple[Float[ndarray, "w 3"], Int[ndarray, "g 3"]]:
    """Quadric edge collapse down to about `target_faces` faces (fast-simplification), on the welded mesh."""
    import fast_simplification

    welded, first = np.unique(weld(positions, faces), return_index=True)
    points = np.ascontiguousarray(positions[faces.reshape(-1)[first]], dtype=np.float32)
    triangles = np.searchsorted(welded, weld(positions, faces)).astype(np.int32)
    points, triangles = fast_simplification.simplify(points, triangles, target_count=target_faces)
    return points.astype(np.float32), triangles.astype(np.int64)
