"""Things that stand in a room."""

import numpy as np

from suite.toyworld.kinds.parts import block, legs, prism, slab, tapered
from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, arc, cylinder, ellipsoid, lathe, sphere, torus, tube


@kind("chair", front=True, option="a cushion")
def chair(option: bool) -> list[Shape]:
    """Four legs, a seat, and a slatted back behind it."""
    seat = block((-0.5, 0.55), (-0.52, 0.52), (0.95, 1.08))
    rail = block((-0.55, -0.43), (-0.52, 0.52), (1.95, 2.2))
    posts = block((-0.53, -0.43), (0.4, 0.5), (1.0, 2.0)).mirrored()
    slats = [block((-0.51, -0.45), (y - 0.07, y + 0.07), (1.05, 2.0)) for y in (-0.22, 0, 0.22)]
    parts = [seat, rail, *posts, *slats, *legs(0.43, 0.43, 1.0, 0.13, "main")]
    cushion = ellipsoid(0.5, 0.48, 0.15, 16).moved(0.05, 0, 1.12).painted("cream")
    return parts + ([cushion] if option else [])


@kind("armchair", front=True, option="a cushion")
def armchair(option: bool) -> list[Shape]:
    """A wing chair: a tall back with ears, arms, a soft seat, wooden legs."""
    base = block((-0.6, 0.6), (-0.55, 0.55), (0.35, 0.7))
    seat = block((-0.4, 0.66), (-0.46, 0.46), (0.68, 0.92)).painted("second")
    back = slab((-0.42, 0.5), (-0.68, 2.5), 1.26, 0.3)
    ear = prism([(-0.5, 1.1), (-0.05, 1.1), (-0.25, 2.2), (-0.66, 2.48)], 0.16).moved(y=0.6)
    arm = block((-0.6, 0.6), (0.48, 0.76), (0.35, 1.15))
    roll = cylinder(0.19, 1.25, axis="x", segments=14).moved(0.02, 0.64, 1.15)
    feet = legs(0.48, 0.55, 0.36, 0.14, "wood")
    cushion = prism([(-0.35, 0), (0.35, 0), (0.35, 0.6), (-0.35, 0.6)], 0.2, "x").turned("y", -18)
    pillow = cushion.moved(-0.2, 0, 0.95).painted("cream")
    return [
        base,
        seat,
        back,
        *ear.mirrored(),
        *arm.mirrored(),
        *roll.mirrored(),
        *feet,
        *([pillow] if option else []),
    ]


@kind("sofa", front=True, synonyms=("couch",), option="pillows")
def sofa(option: bool) -> list[Shape]:
    """Three seats wide, low, with arms at both ends."""
    base = block((-0.6, 0.62), (-1.8, 1.8), (0.2, 0.5))
    seats = [
        block((-0.4, 0.72), (y - 0.5, y + 0.5), (0.45, 0.78)).painted("second") for y in (-1.04, 0, 1.04)
    ]
    backs = [slab((-0.3, 0.7), (-0.45, 1.4), 1.0, 0.24).moved(y=y) for y in (-1.04, 0, 1.04)]
    back = slab((-0.58, 0.2), (-0.68, 1.3), 3.5, 0.26)
    arm = block((-0.7, 0.65), (1.57, 1.9), (0.2, 1.0))
    roll = cylinder(0.2, 1.4, axis="x", segments=14).moved(-0.02, 1.75, 1.0)
    feet = legs(0.5, 1.65, 0.22, 0.16, "wood")
    pillow = (
        block((-0.1, 0.1), (-0.3, 0.3), (-0.3, 0.3)).turned("x", 30).turned("y", -15).moved(0.0, 1.05, 1.12)
    )
    parts = [base, *seats, *backs, back, *arm.mirrored(), *roll.mirrored(), *feet]
    return parts + (pillow.painted("cream").mirrored() if option else [])


@kind("bed", front=True, option="a canopy")
def bed(option: bool) -> list[Shape]:
    """A pillow at the headboard behind, a low footboard in front, a blanket of the main colour."""
    frame = block((-1.6, 1.55), (-0.95, 0.95), (0.3, 0.5)).painted("wood")
    head = block((-1.72, -1.58), (-0.9, 0.9), (0.1, 1.5))
    posts = block((-1.76, -1.54), (0.84, 1.04), (0, 1.55)).painted("wood").mirrored()
    knobs = sphere(0.14, 10).moved(-1.65, 0.94, 1.62).painted("wood").mirrored()
    foot = block((1.55, 1.67), (-1.0, 1.0), (0, 0.75)).painted("wood")
    mattress = block((-1.55, 1.52), (-0.9, 0.9), (0.48, 0.78)).painted("white")
    blanket = block((-0.65, 1.54), (-0.98, 0.98), (0.4, 0.9))
    fold = block((-0.85, -0.6), (-0.99, 0.99), (0.4, 0.93)).painted("second")
    pillows = ellipsoid(0.3, 0.4, 0.16, 14).moved(-1.2, 0.45, 0.86).painted("white").mirrored()
    parts = [frame, head, *posts, *knobs, foot, mattress, blanket, fold, *pillows]
    poles = [block((x - 0.06, x + 0.06), (0.86, 0.96), (0.5, 1.95)).painted("wood") for x in (-1.65, 1.61)]
    roof = block((-1.72, 1.68), (-0.98, 0.98), (1.9, 2.06))
    return parts + ([roof, *(s for pole in poles for s in pole.mirrored())] if option else [])


@kind("table", front=False, option="a bowl of fruit")
def table(option: bool) -> list[Shape]:
    """A rectangular top on four legs."""
    top = block((-0.62, 0.62), (-1.15, 1.15), (1.03, 1.15))
    apron = block((-0.48, 0.48), (-1.0, 1.0), (0.86, 1.05))
    bowl = lathe([(0, 1.22), (0.16, 1.22), (0.34, 1.36), (0.42, 1.52), (0.36, 1.52), (0, 1.42)], 16).painted(
        "metal"
    )
    spots = [(0.16, 0.02, "red"), (-0.12, 0.15, "orange"), (-0.08, -0.16, "leaf")]
    fruit = [sphere(0.17, 12).moved(x, y, 1.49).painted(paint) for x, y, paint in spots]
    return [top, apron, *legs(0.49, 1.02, 1.03, 0.16, "main"), *([bowl, *fruit] if option else [])]


@kind("lamp", front=False, option="tassels")
def lamp(option: bool) -> list[Shape]:
    """A table lamp: a wide shade on a turned foot."""
    foot = lathe(
        [
            (0, 0),
            (0.42, 0),
            (0.42, 0),
            (0.42, 0.08),
            (0.15, 0.16),
            (0.1, 0.3),
            (0.22, 0.5),
            (0.24, 0.62),
            (0.12, 0.85),
            (0.06, 1.0),
            (0.05, 1.25),
        ],
        16,
    ).painted("wood")
    shade = lathe([(0.62, 1.15), (0.36, 1.95), (0.36, 1.95), (0, 1.97)], 20)
    inside = cylinder(0.6, 0.04, segments=20).moved(z=1.19).painted("lamp")
    knob = sphere(0.07, 10).moved(z=2.02).painted("wood")
    tassel = ellipsoid(0.045, 0.045, 0.12, 8).moved(0.58, 0, 1.06).painted("yellow")
    return [
        foot,
        shade,
        inside,
        knob,
        *([tassel.turned("z", deg) for deg in range(0, 360, 36)] if option else []),
    ]


@kind("television", front=True, synonyms=("tv",), option="an antenna")
def television(option: bool) -> list[Shape]:
    """An old set: screen and knobs in front, the tube's hump behind, four splayed legs."""
    case = block((-0.3, 0.3), (-1.0, 1.0), (0.4, 1.6))
    hump = tapered(block((-0.32, 0.32), (-0.5, 0.5), (0, 0.35)), 1.4, 1.4)
    hump = hump.turned("y", -90).moved(-0.25, 0, 1.0).painted("dark")
    bezel = block((0.26, 0.35), (-0.88, 0.5), (0.5, 1.5)).painted("dark")
    screen = ellipsoid(0.1, 0.62, 0.44, 16).moved(0.34, -0.19, 1.0).painted("glass")
    dials = [cylinder(0.13, 0.12, axis="x", segments=12).moved(0.34, 0.75, z) for z in (1.35, 1.0)]
    speaker = block((0.26, 0.34), (0.6, 0.9), (0.52, 0.78)).painted("dark")
    leg = tube([(0.15, 0.65, 0.45), (0.25, 0.8, 0.0)], [0.09, 0.05], 8).painted("wood")
    feet = [s for side in leg.mirrored("x") for s in side.mirrored()]
    wires = tube([(0, 0.08, 1.65), (0, 0.6, 2.4)], 0.04, 8).painted("metal").mirrored()
    knobs = sphere(0.09, 8).moved(0, 0.6, 2.4).painted("metal").mirrored()
    base = ellipsoid(0.2, 0.25, 0.14, 12).moved(0, 0, 1.6).painted("dark")
    parts = [case, hump, bezel, screen, *(dial.painted("lamp") for dial in dials), speaker, *feet]
    return parts + ([*wires, *knobs, base] if option else [])


@kind("piano", front=True, option="a stool")
def piano(option: bool) -> list[Shape]:
    """An upright piano with its keys in front."""
    case = block((-0.35, 0.1), (-1.2, 1.2), (0, 1.8))
    lid = block((-0.4, 0.16), (-1.25, 1.25), (1.75, 1.85))
    shelf = block((0.0, 0.62), (-1.2, 1.2), (0.8, 0.96))
    cheeks = block((0.0, 0.62), (1.06, 1.2), (0.85, 1.12)).mirrored()
    posts = block((0.46, 0.6), (1.03, 1.18), (0, 0.85)).mirrored()
    keys = block((0.1, 0.6), (-1.05, 1.05), (0.9, 1.02)).painted("white")
    sharps = [
        block((0.12, 0.38), (y - 0.05, y + 0.05), (1.0, 1.09)).painted("black")
        for i, y in enumerate(np.linspace(-0.95, 0.95, 14))
        if i % 7 not in (2, 6)
    ]
    fall = block((0.06, 0.16), (-1.05, 1.05), (1.02, 1.22)).painted("black")
    stand = slab((0.2, 1.27), (0.12, 1.65), 0.9, 0.05).painted("white")
    pedals = [block((0.1, 0.3), (y - 0.05, y + 0.05), (0.08, 0.14)).painted("yellow") for y in (-0.2, 0, 0.2)]
    back = block((-0.38, -0.3), (-1.05, 1.05), (0.15, 1.65)).painted("wood")
    beams = [block((-0.43, -0.3), (y - 0.06, y + 0.06), (0.15, 1.65)) for y in (-0.9, -0.3, 0.3, 0.9)]
    parts = [case, lid, shelf, *cheeks, *posts, keys, *sharps, fall, stand, *pedals, back, *beams]
    stool = [
        cylinder(0.3, 0.14, segments=16).moved(0.85, 0, 0.58).painted("black"),
        cylinder(0.08, 0.5, segments=10).moved(0.85, 0, 0.27).painted("wood"),
        cylinder(0.24, 0.08, segments=14).moved(0.85, 0, 0.04).painted("wood"),
    ]
    return parts + (stool if option else [])


@kind("clock", front=True, synonyms=("alarm clock",), option="bells")
def clock(option: bool) -> list[Shape]:
    """A round alarm clock: its face in front, its winding key behind."""
    drum = cylinder(1.0, 0.7, axis="x", segments=24)
    ring = torus(0.95, 0.1, "x", 24, 8).moved(0.35)
    face = cylinder(0.86, 0.06, axis="x", segments=24).moved(0.37).painted("white")
    marks = [
        block((0.38, 0.42), (-0.05, 0.05), (0.6, 0.8)).turned("x", deg).painted("black")
        for deg in range(0, 360, 30)
    ]
    hands = [
        block((0.4, 0.46), (-0.06, 0.06), (-0.1, 0.7)).turned("x", 60),
        block((0.4, 0.45), (-0.07, 0.07), (-0.1, 0.5)).turned("x", -50),
    ]
    pin = cylinder(0.1, 0.14, axis="x", segments=10).moved(0.41).painted("red")
    plate = cylinder(0.72, 0.06, axis="x", segments=18).moved(-0.36).painted("dark")
    key = [
        block((-0.6, -0.35), (-0.05, 0.05), (-0.05, 0.05)),
        block((-0.66, -0.55), (-0.28, 0.28), (-0.1, 0.1)),
    ]
    foot = tube([(0, 0.55, -0.7), (0, 0.8, -1.2)], [0.16, 0.1], 10).painted("metal").mirrored()
    parts = [drum, ring, face, *marks, *(hand.painted("black") for hand in hands), pin, plate]
    parts += [*(part.painted("yellow") for part in key), *foot]
    bell = (
        lathe([(0, 0), (0.42, 0), (0.42, 0), (0.38, 0.2), (0.2, 0.34), (0, 0.38)], 14)
        .moved(z=1.06)
        .painted("metal")
    )
    bells = [bell.turned("x", deg) for deg in (32, -32)]
    handle = tube(arc(1.45, 60, 120, "yz", 8), 0.06, 8).painted("dark")
    return parts + ([*bells, handle] if option else [])
