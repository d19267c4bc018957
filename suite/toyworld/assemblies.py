"""Things that are nothing: primitives put together at random, to learn from what shape does in general.

A network that is to complete shapes it has never seen learns from endless ones without meaning almost what it learns
from real ones (Zeroverse of LRM-Zero, Xie et al. 2024, arXiv:2406.09371).
"""

import numpy as np

from suite.toyworld.objects import Surface, assemble, painted
from suite.toyworld.paints import COLORS, FIXED, PATTERNS
from suite.toyworld.shapes import Shape, arc, box, cylinder, ellipsoid, torus, tube

PARTS = (2, 7)
MIRRORED = 0.8  # share of things whose left is like their right
LEGGED = 0.25  # share that stands on four legs or wheels


def random_assembly(random: np.random.Generator) -> Surface:
    """A painted thing of 2 to 7 parts, each touching one before it; most have a plane of symmetry, y = 0."""
    parts = [_primitive(random)]
    symmetric = random.random() < MIRRORED
    for _ in range(random.integers(*PARTS)):
        part = _primitive(random).scaled(*[random.uniform(0.3, 0.9)] * 3)
        if random.random() < 0.3:
            part = part.turned("y", random.uniform(-60, 60))
        where = _on(parts[random.integers(len(parts))], random)
        if symmetric and random.random() < 0.5:
            parts.append(part.moved(where[0], 0, where[2]))
        elif symmetric:
            parts += part.moved(*where).mirrored()
        else:
            parts.append(part.moved(*where))
    if random.random() < LEGGED:
        parts += _feet(parts, random)
    color, pattern = str(random.choice(list(COLORS))), "plain"
    if random.random() < 0.4:
        pattern = str(random.choice(PATTERNS))
    return painted(assemble(parts, random.uniform(0.7, 1.4, 3).tolist()), color, pattern)


def _primitive(random: np.random.Generator) -> Shape:
    """About the origin, with half axes from 0.06 to 0.5; two thirds of them in the main paint."""
    x, y, z = np.exp(random.uniform(np.log(0.06), np.log(0.5), 3))
    axis = str(random.choice(["x", "y", "z"]))
    choice = random.choice(6, p=[0.3, 0.3, 0.17, 0.08, 0.05, 0.1])
    if choice == 0:
        part = ellipsoid(x, y, z, 12)
    elif choice == 1:
        part = box(2 * x, 2 * y, 2 * z)
    elif choice == 2:
        part = cylinder(x, 2 * z, axis=axis, segments=14)
    elif choice == 3:
        part = cylinder(x, 2 * z, top=x * random.uniform(0, 0.8), axis=axis, segments=14)
    elif choice == 4:
        part = torus(
            max(x, 0.15), max(x, 0.15) * random.uniform(0.15, 0.45), axis=axis, segments=16, around=8
        )
    else:
        part = tube(arc(max(x, 0.12), *random.uniform([-180, 0], [0, 180])), random.uniform(0.025, 0.06), 6)
    return part if random.random() < 0.67 else part.painted(str(random.choice([*FIXED, "second"])))


def _on(part: Shape, random: np.random.Generator) -> np.ndarray:
    """A point of its surface or a little inside."""
    point = part.vertices[random.integers(len(part.vertices))]
    return point + random.uniform(0, 0.3) * (part.vertices.mean(0) - point)


def _feet(parts: list[Shape], random: np.random.Generator) -> list[Shape]:
    """Four legs, or wheels, below all parts."""
    vertices = np.concatenate([part.vertices for part in parts])
    low, high = vertices.min(0), vertices.max(0)
    middle, half = (low + high) / 2, (high - low) / 2 * random.uniform(0.5, 0.9)
    thick, tall = random.uniform(0.03, 0.12), random.uniform(0.1, 0.5)
    paint = str(random.choice([*FIXED, "main"]))
    if random.random() < 0.5:
        foot, z = box(thick, thick, tall), low[2] - tall / 2 + 0.05
    else:
        radius = random.uniform(0.08, 0.2)
        foot, z = cylinder(radius, thick, axis="y", segments=14), low[2]
    return [
        foot.painted(paint).moved(middle[0] + i * half[0], middle[1] + j * half[1], z)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
