"""Things that are made of others' parts: a dog with a teapot's lid for a head, a chair on a car's wheels.

Assemblies of primitives have no sense; what people make and what lives has: legs below, wheels in pairs, handles at the
side. Parts of toyworld's kinds that are left out, changed for others' or resized give endless things of that sort.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from suite.toyworld.objects import Surface, assemble, kinds, painted
from suite.toyworld.paints import COLORS, FIXED, PATTERNS
from suite.toyworld.shapes import Shape

LEFT_OUT, CHANGED, RESIZED = 0.2, 0.35, 0.25  # shares of the parts of the first kind
ADDED = 0.5  # how often a further kind adds one part or two
THIN = 0.1  # what is thinner may grow by up to MARGIN
MARGIN = 0.12
RECOLORED = 0.25  # share of parts in another paint, in half of the things
STRETCH = 0.22  # standard deviation of the logarithm of how much longer a thing is along each axis

Group = tuple[Shape, ...]  # parts that are alike: both ears, four wheels


def random_hybrid(random: np.random.Generator, names: Sequence[str]) -> Surface:
    """A painted thing of the parts of three of these kinds."""
    first, *others = (
        _groups(names[random.integers(len(names))], bool(random.random() < 0.5)) for _ in range(3)
    )
    chosen = [made for group in first if (made := _varied(group, others, random))]
    for other in others:
        if random.random() < ADDED or not chosen:
            chosen += [other[random.integers(len(other))] for _ in range(random.integers(1, 3))]
    parts = [part for group in chosen for part in group]
    if random.random() < 0.5:
        paints = ["main", "second", *FIXED]
        parts = [
            part.painted(str(random.choice(paints))) if random.random() < RECOLORED else part
            for part in parts
        ]
    color, pattern = str(random.choice(list(COLORS))), "plain"
    if random.random() < 0.5:
        pattern = str(random.choice(PATTERNS))
    return painted(assemble(parts, np.exp(random.normal(0, STRETCH, 3)).tolist()), color, pattern)


def _varied(group: Group, others: Sequence[Sequence[Group]], random: np.random.Generator) -> Group | None:
    """Parts as they are, resized, others in their place, or none."""
    chance, (low, high) = random.random(), _box(group)
    middle, half = (low + high) / 2, (high - low) / 2
    if chance < LEFT_OUT:
        return None
    if chance < LEFT_OUT + CHANGED:
        other = others[random.integers(len(others))]
        half = half * np.exp(random.normal(0, 0.2, 3)) + random.uniform(0, MARGIN) * (high - low < THIN)
        return _fitted(other[random.integers(len(other))], middle, half)
    if chance < LEFT_OUT + CHANGED + RESIZED:
        middle = middle + random.normal(0, 0.06, 3) * [1, 0, 1]  # y = 0 stays a plane of symmetry
        return _fitted(group, middle, half * np.exp(random.normal(0, 0.3, 3)))
    return group


@cache
def _groups(name: str, option: bool) -> tuple[Group, ...]:
    """The parts of a kind, its box about the origin and its longest side 1; those that are alike together."""
    kind = kinds()[name]
    groups: dict[tuple, list[Shape]] = {}
    for part in kind.build(option and bool(kind.option)):
        low, high = part.vertices.min(0), part.vertices.max(0)
        alike = (part.paint, len(part.vertices), *(high - low).round(2), low[2].round(2))
        groups.setdefault(alike, []).append(part)
    low, high = _box([part for group in groups.values() for part in group])
    scale, middle = 1 / (high - low).max(), (low + high) / 2
    return tuple(
        tuple(replace(part, vertices=(part.vertices - middle) * scale) for part in group)
        for group in groups.values()
    )


def _box(parts: Sequence[Shape]) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.concatenate([part.vertices for part in parts])
    return vertices.min(0), vertices.max(0)


def _fitted(group: Group, middle: np.ndarray, half: np.ndarray) -> Group:
    """Parts stretched and moved into a box."""
    low, high = _box(group)
    scale = (2 * half + 1e-3) / (high - low + 1e-3)
    return tuple(
        replace(part, vertices=(part.vertices - (low + high) / 2) * scale + middle) for part in group
    )
