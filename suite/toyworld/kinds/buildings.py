"""Things that stand in a landscape. Their doors are in front."""

import numpy as np

from suite.toyworld.kinds.parts import block, prism
from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, cone, cylinder, ellipsoid, lathe, sphere, torus, tube


@kind("house", front=True, synonyms=("cottage",), option="a chimney")
def house(option: bool) -> list[Shape]:
    """A gabled house with a porch; only its front has a door."""
    walls = block((-0.72, 0.72), (-0.88, 0.88), (0, 1.7))
    gable = prism([(-0.72, 1.68), (0.72, 1.68), (0, 2.55)], 1.76)
    slope = prism([(0.88, 1.52), (0.88, 1.64), (0, 2.72), (0, 2.55)], 1.98).painted("dark")
    door = block((0.67, 0.78), (-0.25, 0.25), (0, 1.1)).painted("wood")
    frame = block((0.67, 0.75), (-0.33, 0.33), (0, 1.18)).painted("white")
    knob = sphere(0.07, 8).moved(0.8, 0.15, 0.5).painted("yellow")
    canopy = prism([(0.72, 1.28), (1.12, 1.18), (1.12, 1.26), (0.72, 1.46)], 0.85).painted("dark")
    posts = block((1.0, 1.09), (0.32, 0.41), (0, 1.2)).painted("white").mirrored()
    step = block((0.72, 1.16), (-0.43, 0.43), (0, 0.1)).painted("cream")
    frames = block((0.67, 0.75), (0.45, 0.83), (0.55, 1.2)).painted("white").mirrored()
    panes = block((0.67, 0.78), (0.5, 0.78), (0.62, 1.13)).painted("glass").mirrored()
    side = block((-0.32, 0.32), (-0.92, 0.92), (0.6, 1.2)).painted("glass")
    parts = [
        walls,
        gable,
        *slope.mirrored("x"),
        door,
        frame,
        knob,
        canopy,
        *posts,
        step,
        *frames,
        *panes,
        side,
    ]
    stack = block((-0.6, -0.28), (0.35, 0.7), (1.6, 2.9)).painted("red")
    top = block((-0.65, -0.23), (0.3, 0.75), (2.85, 2.98)).painted("cream")
    return parts + ([stack, top] if option else [])


def _merlons(length: float, thickness: float, count: int, z: float) -> list[Shape]:
    """The teeth of a wall along Y about x = 0, resting on height z."""
    middles = np.linspace(-length / 2, length / 2, count)
    half = length / (4 * count)
    return [block((-thickness / 2, thickness / 2), (y - half, y + half), (z, z + 0.2)) for y in middles]


@kind("castle", front=True, synonyms=("fortress",), option="flags")
def castle(option: bool) -> list[Shape]:
    """Walls between four round towers, the gate in front and the keep behind."""
    wall = [block((-0.1, 0.1), (-1.1, 1.1), (0, 1.05)), *_merlons(1.5, 0.22, 4, 1.0)]
    walls = [part.moved(x=1.1).turned("z", deg) for part in wall for deg in (0, 90, 180, 270)]
    tower = lathe(
        [(0, 0), (0.33, 0), (0.33, 0), (0.31, 1.45), (0.38, 1.5), (0.38, 1.7), (0.38, 1.7), (0, 1.7)], 12
    )
    roof = cone(0.4, 0.6, segments=12).moved(z=2.0).painted("dark")
    corners = [(x, y) for x in (-1.1, 1.1) for y in (-1.1, 1.1)]
    towers = [part.moved(x, y) for part in (tower, roof) for x, y in corners]
    keep = block((-0.85, 0.05), (-0.5, 0.5), (0, 2.3))
    teeth = [
        block((x - 0.12, x + 0.12), (y - 0.12, y + 0.12), (2.28, 2.5))
        for x in (-0.73, -0.07)
        for y in (-0.38, 0, 0.38)
    ]
    gatehouse = block((1.0, 1.55), (-0.5, 0.5), (0, 1.35))
    rim = [block((1.1, 1.55), (y - 0.1, y + 0.1), (1.33, 1.55)) for y in (-0.4, 0, 0.4)]
    gate = block((1.5, 1.6), (-0.32, 0.32), (0, 0.7)).painted("wood")
    arch = cylinder(0.32, 0.1, axis="x", segments=16).moved(1.55, 0, 0.7).painted("wood")
    bridge = block((1.55, 2.1), (-0.36, 0.36), (0, 0.08)).painted("wood")
    slits = block((-0.9, 0.1), (-0.09, 0.09), (1.55, 2.0)).painted("black")
    parts = [*walls, *towers, keep, *teeth, gatehouse, *rim, gate, arch, bridge, slits]
    pole = tube([(0, 0, 2.2), (0, 0, 3.0)], 0.04, 6).painted("metal")
    cloth = prism([(0, 2.6), (0, 3.0), (-0.6, 2.8)], 0.05).painted("orange")
    return parts + ([part.moved(x, y) for part in (pole, cloth) for x, y in corners] if option else [])


@kind("windmill", front=True, option="a balcony")
def windmill(option: bool) -> list[Shape]:
    """A tapered tower with four sails in front."""
    tower = lathe([(0, 0), (0.8, 0), (0.8, 0), (0.5, 2.3), (0.5, 2.3), (0, 2.3)], 10)
    cap = lathe([(0.6, 2.25), (0.6, 2.4), (0.6, 2.4), (0.45, 2.7), (0, 2.9)], 14).painted("dark")
    door = block((0.5, 0.84), (-0.25, 0.25), (0, 0.75)).painted("wood")
    frame = block((0.5, 0.81), (-0.33, 0.33), (0, 0.84)).painted("white")
    window = block((0.4, 0.69), (-0.16, 0.16), (1.1, 1.45)).painted("glass")
    axle = cylinder(0.1, 0.55, axis="x", segments=10).moved(0.75, 0, 2.35).painted("dark")
    hub = sphere(0.19, 12).moved(1.02, 0, 2.35).painted("dark")
    spar = block((-0.04, 0.04), (-0.05, 0.05), (0, 1.7)).painted("wood")
    sail = block((-0.03, 0.03), (0.0, 0.4), (0.35, 1.68)).painted("white")
    lattice = [
        block((-0.05, 0.05), (0.0, 0.4), (z, z + 0.06)).painted("wood") for z in (0.35, 0.78, 1.2, 1.62)
    ]
    sails = [
        part.turned("x", deg).moved(1.0, 0, 2.35)
        for part in (spar, sail, *lattice)
        for deg in (35, 125, 215, 305)
    ]
    ring = lathe([(0.6, 1.0), (1.05, 1.0), (1.05, 1.0), (1.05, 1.12), (1.05, 1.12), (0.6, 1.12)], 16).painted(
        "wood"
    )
    rail = torus(1.02, 0.04, "z", 16, 6).moved(z=1.4).painted("wood")
    bars = [
        block((0.98, 1.06), (-0.04, 0.04), (1.1, 1.4)).painted("wood").turned("z", deg)
        for deg in range(0, 360, 45)
    ]
    return [tower, cap, door, frame, window, axle, hub, *sails, *([ring, rail, *bars] if option else [])]


@kind("lighthouse", front=True, option="rocks")
def lighthouse(option: bool) -> list[Shape]:
    """A banded tower with a lamp on top and the keeper's porch in front."""
    tower = lathe([(0, 0), (0.62, 0), (0.62, 0), (0.38, 2.9), (0.38, 2.9), (0, 2.9)], 18)
    bands = [
        lathe(
            [
                (0.63 - 0.083 * z, z),
                (0.655 - 0.083 * z, z),
                (0.61 - 0.083 * z, z + 0.5),
                (0.58 - 0.083 * z, z + 0.5),
            ],
            18,
        )
        for z in (0.85, 1.9)
    ]
    gallery = cylinder(0.58, 0.12, segments=18).moved(z=2.95).painted("dark")
    rail = torus(0.54, 0.035, "z", 18, 6).moved(z=3.22).painted("dark")
    bars = [
        block((0.51, 0.57), (-0.03, 0.03), (2.95, 3.2)).painted("dark").turned("z", deg)
        for deg in range(0, 360, 45)
    ]
    room = cylinder(0.3, 0.55, segments=14).moved(z=3.25).painted("lamp")
    dome = lathe(
        [(0, 3.48), (0.42, 3.48), (0.42, 3.48), (0.3, 3.75), (0.08, 3.92), (0.05, 4.1), (0, 4.1)], 16
    ).painted("dark")
    porch = block((0.3, 1.15), (-0.38, 0.38), (0, 0.85))
    roof = prism([(-0.5, 0.83), (0.5, 0.83), (0, 1.2)], 0.95, "x").moved(x=0.77).painted("dark")
    door = block((1.1, 1.2), (-0.2, 0.2), (0, 0.7)).painted("wood")
    window = block((0.3, 0.58), (-0.12, 0.12), (1.45, 1.75)).painted("glass")
    rocks = [
        ellipsoid(0.42, 0.4, 0.3, 8).moved(0.85).turned("z", deg).painted("metal")
        for deg in (60, 110, 160, 210, 260, 310)
    ]
    base = [
        *(band.painted("second") for band in bands),
        gallery,
        rail,
        *bars,
        room,
        dome,
        porch,
        roof,
        door,
        window,
    ]
    return [tower, *base, *(rocks if option else [])]
