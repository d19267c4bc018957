"""Solid shapes from which the objects of toyworld are built: plain numpy triangle meshes, moved and painted.

Vertices are shared where a surface is smooth and repeated where it has an edge, so that area-weighted vertex normals
shade both rightly. Faces are counter-clockwise seen from outside. +X is an object's front, +Z is up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Number = int | float
Vector = Sequence[Number] | np.ndarray
Points = Sequence[Vector] | np.ndarray  # `n 2` or `n 3`
AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Shape:
    """A painted triangle mesh.

    Args:
        vertices: `v 3` float64 positions.
        faces: `f 3` int32 vertex indices, counter-clockwise from outside.
        paint: "main" (takes the object's colour and pattern), "second" (takes its companion colour) or the name of a
            fixed paint of `suite.toyworld.paints`.
    """

    vertices: np.ndarray
    faces: np.ndarray
    paint: str = "main"

    def painted(self, paint: str) -> "Shape":
        """The same shape in another paint."""
        return replace(self, paint=paint)

    def moved(self, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> "Shape":
        """Translated."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: Number = 1.0, y: Number = 1.0, z: Number = 1.0) -> "Shape":
        """Scaled about the origin; an odd number of negative factors mirrors it, and the winding follows."""
        faces = self.faces[:, ::-1] if x * y * z < 0 else self.faces
        return replace(self, vertices=self.vertices * np.array([x, y, z]), faces=faces)

    def turned(self, axis: str, deg: Number) -> "Shape":
        """Rotated about a coordinate axis through the origin, counter-clockwise by `deg` seen from its tip."""
        i, j = [(1, 2), (2, 0), (0, 1)][AXES[axis]]
        c, s = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
        rotation = np.eye(3)
        rotation[i, i], rotation[i, j], rotation[j, i], rotation[j, j] = c, -s, s, c
        return replace(self, vertices=self.vertices @ rotation.T)

    def mirrored(self, axis: str = "y") -> list["Shape"]:
        """The shape and its mirror image: two wheels, two ears."""
        factors = {"x": 1.0, "y": 1.0, "z": 1.0, axis: -1.0}
        return [self, self.scaled(**factors)]


def _grid(points: np.ndarray, close_rows: bool, close_columns: bool) -> np.ndarray:
    """Faces of a grid of `rows columns` points, row-major, seen from the side where rows x columns points away."""
    rows, columns = points.shape[:2]
    i, j = np.arange(rows if close_rows else rows - 1), np.arange(columns if close_columns else columns - 1)
    i, j = (a.ravel() for a in np.meshgrid(i, j, indexing="ij"))
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = (i + 1) % rows * columns + (j + 1) % columns, (i + 1) % rows * columns + j
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def _drop_slivers(shape: Shape) -> Shape:
    """Without the triangles of no area that a pole makes."""
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return replace(shape, faces=shape.faces[area > 1e-10])


def merge(shapes: Sequence[Shape], paint: str | None = None) -> Shape:
    """Several shapes as one, in the first one's paint unless another is given."""
    starts = np.cumsum([0] + [len(s.vertices) for s in shapes[:-1]])
    faces = np.concatenate([s.faces + start for s, start in zip(shapes, starts)]).astype(np.int32)
    return Shape(np.concatenate([s.vertices for s in shapes]), faces, paint or shapes[0].paint)


def lathe(profile: Points, segments: int = 24) -> Shape:
    """A surface of revolution about Z.

    Args:
        profile: Points (radius, z) from bottom to top, outside to the right; a repeated point makes a sharp edge.
        segments: Number of steps around.
    """
    groups, current = [], [profile[0]]
    for previous, point in zip(profile[:-1], profile[1:]):
        if tuple(previous) == tuple(point):
            groups.append(current)
            current = []
        current.append(point)
    groups.append(current)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    shapes = []
    for group in groups:
        r, z = np.array(group, dtype=float).T
        points = np.stack(
            [r[:, None] * np.cos(angle), r[:, None] * np.sin(angle), z[:, None] + 0 * angle], -1
        )
        shapes.append(_drop_slivers(Shape(points.reshape(-1, 3), _grid(points, False, True))))
    return merge(shapes)


def sphere(radius: Number = 0.5, segments: int = 20) -> Shape:
    """A sphere about the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return lathe(np.stack([radius * np.cos(angle).round(12), radius * np.sin(angle)], 1), segments)


def ellipsoid(x: Number, y: Number, z: Number, segments: int = 20) -> Shape:
    """An ellipsoid about the origin with these half axes."""
    return sphere(1.0, segments).scaled(x, y, z)


def cylinder(
    radius: Number, height: Number, top: Number | None = None, axis: str = "z", segments: int = 24
) -> Shape:
    """A closed cylinder, or a cone or its frustum where `top` is another radius, about the origin along an axis."""
    top, h = radius if top is None else top, height / 2
    profile = [(0, -h), (radius, -h), (radius, -h), (top, h)] + ([(top, h), (0, h)] if top > 0 else [])
    return along(lathe(profile, segments), axis)


def cone(radius: Number, height: Number, axis: str = "z", segments: int = 24) -> Shape:
    """A closed cone about the origin, its tip towards +axis."""
    return cylinder(radius, height, 0.0, axis, segments)


def torus(ring: Number, tube_radius: Number, axis: str = "z", segments: int = 28, around: int = 14) -> Shape:
    """A ring about an axis: `ring` is the radius of its middle line."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    r, z = ring + tube_radius * np.cos(angle), tube_radius * np.sin(angle)
    points = np.stack([r[:, None] * np.cos(turn), r[:, None] * np.sin(turn), z[:, None] + 0 * turn], -1)
    return along(Shape(points.reshape(-1, 3), _grid(points, True, True)), axis)


def along(shape: Shape, axis: str) -> Shape:
    """A shape made along Z, laid along another axis."""
    return {"z": shape, "x": shape.turned("y", 90), "y": shape.turned("x", -90)}[axis]


def box(x: Number, y: Number, z: Number) -> Shape:
    """A box about the origin with these side lengths and sharp edges."""
    corners = (
        np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * np.array([x, y, z]) / 2
    )
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    vertices = np.concatenate([corners[list(q)] for q in quads])
    faces = np.concatenate([[[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]] for i in range(6)])
    return Shape(vertices, faces.astype(np.int32))


def extrude(outline: Points, depth: Number, axis: str = "y") -> Shape:
    """A prism: a star-shaped (seen from its centroid) polygon, drawn in the plane across `axis` and given thickness.

    Args:
        outline: Corners, counter-clockwise from the axis's tip: (z, x) for "y", (x, y) for "z", (y, z) for "x".
        depth: Thickness, centred about the origin.
        axis: The direction of the thickness.
    """
    corners = np.array(outline, dtype=float)
    n, i = len(corners), (AXES[axis] + 1) % 3
    j, k = (i + 1) % 3, AXES[axis]

    def lift(points: np.ndarray, height: Number) -> np.ndarray:
        out = np.zeros((len(points), 3))
        out[:, i], out[:, j], out[:, k] = points[:, 0], points[:, 1], height
        return out

    fan = np.concatenate([corners.mean(0)[None], corners])
    ring = np.stack([np.zeros(n, int), 1 + np.arange(n), 1 + (np.arange(n) + 1) % n], 1).astype(np.int32)
    caps = [Shape(lift(fan, depth / 2), ring), Shape(lift(fan, -depth / 2), ring[:, ::-1])]
    sides = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0)):
        quad = np.concatenate([lift(np.stack([a, b]), -depth / 2), lift(np.stack([b, a]), depth / 2)])
        sides.append(Shape(quad, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    return merge(caps + sides)


def tube(path: Points, radius: Number | Vector, segments: int = 10) -> Shape:
    """A round bar along a path of points, with closed ends: handles, tails, legs, necks.

    Args:
        path: Points `n 3` of its middle line.
        radius: One radius, or one for each point.
    """
    points = np.array(path, dtype=float)
    radii = np.broadcast_to(np.asarray(radius, dtype=float), (len(points),))
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent[0], [0.0, 0.0, 1.0] if abs(tangent[0, 2]) < 0.9 else [1.0, 0.0, 0.0])
    angle, rings = np.linspace(0, 2 * np.pi, segments, endpoint=False), []
    for p, t, r in zip(points, tangent, radii):
        side = side - (side @ t) * t
        side /= np.linalg.norm(side)
        up = np.cross(t, side)
        rings.append(p + r * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up))
    rings = np.stack(rings)
    body = Shape(rings.reshape(-1, 3), _grid(rings, False, True))
    caps = []
    for ring, centre, flip in ((rings[0], points[0], True), (rings[-1], points[-1], False)):
        faces = [(0, 1 + i, 1 + (i + 1) % segments) for i in range(segments)]
        faces = np.array(faces, np.int32)[:, ::-1] if flip else np.array(faces, np.int32)
        caps.append(Shape(np.concatenate([centre[None], ring]), faces))
    return _drop_slivers(merge([body, *caps]))


def arc(radius: Number, start_deg: Number, end_deg: Number, plane: str = "xz", steps: int = 10) -> np.ndarray:
    """Points `n 3` on an arc about the origin in a coordinate plane, for `tube`: handles and arches."""
    angle = np.deg2rad(np.linspace(start_deg, end_deg, steps))
    out = np.zeros((steps, 3))
    out[:, AXES[plane[0]]], out[:, AXES[plane[1]]] = radius * np.cos(angle), radius * np.sin(angle)
    return out
