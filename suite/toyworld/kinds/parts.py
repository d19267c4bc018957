"""Shapes in the words in which objects are described: blocks between bounds, slabs, wheels, lamps."""

import numpy as np

from suite.toyworld.shapes import Number, Points, Shape, Vector, box, cylinder, extrude

Span = tuple[Number, Number]


def block(x: Span, y: Span, z: Span) -> Shape:
    """The box between these bounds."""
    shape = box(x[1] - x[0], y[1] - y[0], z[1] - z[0])
    return shape.moved((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)


def prism(corners: Points, depth: Number, axis: str = "y") -> Shape:
    """A convex polygon given thickness about the plane across `axis`.

    Args:
        corners: In either order, as (x, z) for axis "y", (x, y) for "z" and (y, z) for "x".
        depth: Thickness along the axis.
        axis: The direction of the thickness.
    """
    points = np.array(corners, dtype=float)
    points = points[:, ::-1] if axis == "y" else points
    following = np.roll(points, -1, axis=0)
    area = (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum()
    return extrude(points if area > 0 else points[::-1], depth, axis)


def slab(start: Vector, end: Vector, width: Number, thickness: Number = 0.06) -> Shape:
    """A plate from (x, z) to (x, z), `width` wide along Y: windscreens, ramps, seat backs."""
    a, b = np.array(start, dtype=float), np.array(end, dtype=float)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.array([-along[1], along[0]]) * thickness / 2
    return prism([a - across, b - across, b + across, a + across], width)


def tapered(shape: Shape, x: Number, y: Number) -> Shape:
    """The shape with its foot scaled by these factors about the Z axis, growing to full size at its top."""
    v = shape.vertices
    height = (v[:, 2:] - v[:, 2].min()) / np.ptp(v[:, 2])
    factors = np.concatenate([x + (1 - x) * height, y + (1 - y) * height, np.ones_like(height)], 1)
    return Shape(v * factors, shape.faces, shape.paint)


def wheels(x: Number, y: Number, radius: Number, width: Number, hub: str = "metal") -> list[Shape]:
    """Two wheels of an axle on the ground z = 0, their middles at -y and +y."""
    tyre = cylinder(radius, width, axis="y", segments=16).moved(x, y, radius).painted("black")
    cap = cylinder(0.5 * radius, 1.2 * width, axis="y", segments=12).moved(x, y, radius).painted(hub)
    return [*tyre.mirrored(), *cap.mirrored()]


def legs(x: Number, y: Number, height: Number, thickness: Number, paint: str) -> list[Shape]:
    """Four square legs from the ground at (+-x, +-y)."""
    half = thickness / 2
    leg = block((x - half, x + half), (y - half, y + half), (0, height)).painted(paint)
    return [part for side in leg.mirrored("x") for part in side.mirrored("y")]


def lamps(x: Number, y: Number, z: Number, radius: Number, paint: str) -> list[Shape]:
    """Two round lamps facing along X, at -y and +y."""
    return cylinder(radius, 0.12, axis="x", segments=12).moved(x, y, z).painted(paint).mirrored()
