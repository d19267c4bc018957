"""Fewer faces for coloured meshes that are too dense, without losing what they look like.

Real models are polygon soups: posts of a dozen triangles, leaves and petals that are all border. Each kind of
part needs its own way (`thinned` chooses):
    foliage (hundreds of small separate pieces): pieces are dropped at random and the others grow to cover the
        same area (stochastic simplification of aggregate detail, Cook, Halstead, Planck and Ryu 2007);
    anything else: quadric error edge collapse, and what resists it is clustered on a grid.
"""

from dataclasses import replace

import fast_simplification
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.spatial import cKDTree

from suite.geometry.remeshing import component_of_face, weld
from suite.toyworld.materials import Part, wound_like

MIN_PIECES = 200  # from how many separate pieces a part is foliage, if they are small:
SMALL_PIECE = 0.05  # mean half size of a leaf, the object's longest side being 1


def shared_limit(counts: list[int], budget: int) -> int:
    """The limit at which counts, each cut to it, sum to at most `budget`: large ones pay, small ones stay."""
    left = budget
    for position, count in enumerate(sorted(counts)):
        share = left // (len(counts) - position)
        if count > share:
            return share
        left -= count
    return max(counts)


def thinned(part: Part, target: int, *, seed: int = 0) -> Part:
    """The part with about `target` faces (at most 1.2 times as many); parts of 50 faces stay as they are."""
    if len(part.faces) <= max(target, 50):
        return part
    piece = component_of_face(np.round(part.vertices, 5), part.faces)
    count = int(piece.max()) + 1
    corners = part.vertices[part.faces].reshape(-1, 3)
    label = np.repeat(piece, 3)
    size = np.zeros(count)
    np.maximum.at(size, label, np.abs(corners - _means(corners, label)[label]).max(1))
    if count > MIN_PIECES and size.mean() < SMALL_PIECE:
        return _fewer_pieces(part, piece, target / len(part.faces), seed)
    return _clustered_to(_collapsed(part, target), target)


def _fewer_pieces(part: Part, piece: Int[ndarray, " f"], fraction: float, seed: int) -> Part:
    count = int(piece.max()) + 1
    stay = np.random.default_rng(seed).permutation(count) < max(1, round(fraction * count))
    of_vertex = np.zeros(len(part.vertices), int)
    of_vertex[part.faces] = piece[:, None]
    centres = _means(part.vertices, of_vertex)[of_vertex]
    grown = centres + (part.vertices - centres) / np.sqrt(fraction)
    return replace(part, vertices=grown).with_faces(part.faces[stay[piece]])


def _collapsed(part: Part, target: int) -> Part:
    """Quadric edge collapse of the welded part; normals and colours are those of the nearest old vertex."""
    welded = weld(np.round(part.vertices, 5), part.faces)
    proper = _is_proper(welded)
    _, first, index = np.unique(welded[proper], return_index=True, return_inverse=True)
    points = part.vertices[part.faces[proper].reshape(-1)[first]].astype(np.float32)
    triangles = index.reshape(-1, 3).astype(np.int32)
    if len(triangles) > target:  # a higher `agg` is faster, and swallows thin posts
        points, triangles = fast_simplification.simplify(
            points, triangles, target_count=max(target, 20), agg=1.0
        )
    points, triangles = points.astype(float), triangles.astype(np.int64)
    near = cKDTree(part.vertices).query(points)[1]
    normals = part.normals[near]
    faces = wound_like(points, triangles, normals)
    return Part(points, faces, normals, part.colors[near]).with_faces(faces[_is_proper(faces)])


def _clustered_to(part: Part, target: int) -> Part:
    cell = 0.004
    while len(part.faces) > 1.2 * target:
        part, cell = _clustered(part, cell), 1.25 * cell
    return part


def _clustered(part: Part, cell: float) -> Part:
    """Vertices in one cubic cell meet in their mean. Only those that face the same way share normal and
    colour, so that the two sides of a thin sheet stay two sides."""
    _, place = np.unique(np.floor(part.vertices / cell).astype(int), axis=0, return_inverse=True)
    place = place.reshape(-1)
    axis = np.abs(part.normals).argmax(1)
    side = 2 * axis + (part.normals[np.arange(len(axis)), axis] > 0)
    keys, vertex = np.unique(6 * place + side, return_inverse=True)
    faces = vertex[part.faces]
    faces = faces[_is_proper(keys[faces] // 6)]
    faces = faces[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]]
    new = Part(
        _means(part.vertices, place)[keys // 6],
        faces,
        _means(part.normals, vertex),
        _means(part.colors, vertex),
    )
    return new.with_faces(faces)


def _is_proper(faces: Int[ndarray, "f 3"]) -> ndarray:
    """Which faces have three different corners."""
    return (faces != np.roll(faces, 1, axis=1)).all(1)


def _means(values: Float[ndarray, "n c"], label: Int[ndarray, " n"]) -> Float[ndarray, "k c"]:
    """Mean of the values that carry each label; 0 for labels that none carries."""
    sums = [np.bincount(label, weights=column) for column in values.T]
    return np.stack(sums, axis=1) / np.bincount(label)[:, None].clip(1)
