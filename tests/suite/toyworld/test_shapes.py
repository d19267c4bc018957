"""Shapes are closed and have the volumes of the textbook."""

import numpy as np
import pytest

from suite.toyworld.shapes import arc, box, cone, cylinder, ellipsoid, extrude, lathe, sphere, torus, tube

PI = np.pi
SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        (sphere(0.5, 64), PI / 6),
        (ellipsoid(1.0, 2.0, 0.5, 64), 4 / 3 * PI),
        (box(1, 2, 3), 6),
        (cylinder(0.5, 2, axis="x", segments=64), PI / 2),
        (cylinder(0.5, 2, axis="y", segments=64), PI / 2),
        (cone(0.5, 1, segments=64), PI / 12),
        (torus(1, 0.2, segments=64, around=32), 2 * PI**2 * 0.04),
        (extrude(SQUARE, 2, "x"), 2),
        (extrude(SQUARE, 2, "y"), 2),
        (extrude(SQUARE, 2, "z"), 2),
        (tube([(0, 0, 0), (0, 1, 0), (0, 2, 0)], 0.5, 64), PI / 2),
        (lathe([(0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (0, 1)], 96), PI),
        (sphere(0.5, 64).scaled(1, -1, 1), PI / 6),
        (box(1, 2, 3).turned("x", 30).moved(5, 5, 5), 6),
    ],
)
def test_volume_by_the_divergence_theorem(shape, volume):
    """sum over faces of a . (b x c) / 6 is the volume: closed, and counter-clockwise from outside."""
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    assert (np.cross(b, c) * a).sum() / 6 == pytest.approx(volume, rel=0.015)


def test_turning_is_counter_clockwise():
    """A quarter turn about Z takes X to Y."""
    turned = box(2, 0.1, 0.1).turned("z", 90)
    assert np.ptp(turned.vertices, axis=0) == pytest.approx([0.1, 2, 0.1])


def test_mirrored_gives_both():
    """The second of a pair is the first with the other sign."""
    left, right = sphere().moved(y=1).mirrored()
    assert left.vertices[:, 1].mean() == pytest.approx(-right.vertices[:, 1].mean())


def test_arc_lies_on_its_circle():
    """All points at the radius, from the first angle to the last."""
    points = arc(2.0, 0, 90, "yz")
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.full(10, 2.0))
    assert points[0] == pytest.approx([0, 2, 0]) and points[-1] == pytest.approx([0, 0, 2])
