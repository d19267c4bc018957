"""Things of the household and toys."""

import numpy as np

from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import (
    Shape,
    arc,
    box,
    cone,
    cylinder,
    ellipsoid,
    extrude,
    lathe,
    merge,
    sphere,
    torus,
    tube,
)


@kind("teapot", front=True, synonyms=("tea kettle",))
def teapot(option: bool) -> list[Shape]:
    """A round pot with a spout ahead, a handle behind and a lid with a knob."""
    body = lathe(
        [(0, 0), (0.24, 0), (0.24, 0), (0.4, 0.14), (0.46, 0.32), (0.4, 0.5), (0.26, 0.62), (0.24, 0.63)], 20
    )
    lid = lathe([(0.28, 0.6), (0.25, 0.66), (0.12, 0.73), (0, 0.75)], 18)
    knob = sphere(0.075, 12).moved(z=0.8).painted("dark")
    spout = tube(
        [(0.36, 0, 0.2), (0.52, 0, 0.28), (0.61, 0, 0.48), (0.72, 0, 0.66)], [0.15, 0.12, 0.09, 0.075], 12
    )
    mouth = ellipsoid(0.05, 0.06, 0.05, 10).moved(0.725, 0, 0.665).painted("black")
    handle = tube(arc(0.23, 70, 290, steps=12) + [-0.46, 0, 0.34], 0.06, 10).painted("dark")
    return [body, lid, knob, spout, mouth, handle]


@kind("robot", front=True, option="antennas")
def robot(option: bool) -> list[Shape]:
    """A box of a body with a panel of lamps, a square head with two lit eyes, and claws."""
    body, head = box(0.36, 0.52, 0.5).moved(z=0.6), box(0.34, 0.4, 0.32).moved(z=1.06)
    neck = cylinder(0.09, 0.12, segments=12).moved(z=0.88).painted("metal")
    eye = cylinder(0.075, 0.06, axis="x", segments=14).moved(0.18, 0.1, 1.11).painted("lamp")
    pupil = cylinder(0.035, 0.08, axis="x", segments=10).moved(0.18, 0.1, 1.11).painted("black")
    mouth = box(0.03, 0.24, 0.05).moved(0.17, 0, 0.97).painted("dark")
    panel = box(0.03, 0.34, 0.26).moved(0.18, 0, 0.64).painted("dark")
    lamps = [
        sphere(0.045, 8).moved(0.2, y, 0.7).painted(p)
        for y, p in ((-0.1, "red"), (0, "yellow"), (0.1, "leaf"))
    ]
    dial = box(0.04, 0.26, 0.06).moved(0.18, 0, 0.58).painted("glass")
    ear = cylinder(0.07, 0.07, axis="y", segments=12).moved(0, 0.23, 1.06).painted("metal")
    arm = tube([(0, 0.28, 0.78), (0.0, 0.42, 0.72), (0.1, 0.44, 0.5)], 0.065, 10)
    claw = torus(0.075, 0.03, "y", 12, 6).moved(0.14, 0.44, 0.4).painted("metal")
    leg, foot = (
        box(0.14, 0.15, 0.3).moved(y=0.15, z=0.22),
        box(0.3, 0.2, 0.1).moved(0.05, 0.15, 0.05).painted("metal"),
    )
    antenna = cylinder(0.02, 0.24, segments=8).moved(0, 0.12, 1.32).painted("metal")
    bulb = sphere(0.055, 10).moved(0, 0.12, 1.46).painted("red")
    key = [cylinder(0.03, 0.16, axis="x", segments=8).moved(-0.24, 0, 0.62)]
    key += torus(0.08, 0.035, "x", 12, 6).moved(-0.32, 0.09, 0.62).mirrored()
    parts = [eye, pupil, ear, arm, claw, leg, foot, *([antenna, bulb] if option else [])]
    return [
        body,
        head,
        neck,
        mouth,
        panel,
        *lamps,
        dial,
        merge(key, "metal"),
        *(s for part in parts for s in part.mirrored()),
    ]


@kind("snowman", front=True, option="a hat")
def snowman(option: bool) -> list[Shape]:
    """Three balls with a carrot for a nose, buttons, and twigs for arms."""
    balls = [sphere(r, 18).moved(z=z) for r, z in ((0.36, 0.32), (0.27, 0.82), (0.2, 1.2))]
    nose = cone(0.06, 0.3, "x", 10).moved(0.33, 0, 1.2).painted("orange")
    eye = sphere(0.04, 8).moved(0.175, 0.085, 1.28).painted("black")
    buttons = [
        sphere(0.045, 8).moved(x, 0, z).painted("black")
        for x, z in ((0.26, 0.93), (0.275, 0.8), (0.345, 0.45))
    ]
    arm = tube([(0, 0.22, 0.88), (0.06, 0.5, 1.02), (0.06, 0.62, 1.16)], 0.028, 6).painted("wood")
    twig = tube([(0.06, 0.5, 1.02), (0.08, 0.66, 1.03)], 0.022, 6).painted("wood")
    brim = cylinder(0.26, 0.04, segments=16).moved(z=1.36).painted("black")
    hat = cylinder(0.17, 0.28, segments=16).moved(z=1.52).painted("black")
    band = cylinder(0.175, 0.07, segments=16).moved(z=1.42).painted("red")
    return [
        *balls,
        nose,
        *eye.mirrored(),
        *buttons,
        *arm.mirrored(),
        *twig.mirrored(),
        *([brim, hat, band] if option else []),
    ]


@kind("mug", front=False, synonyms=("cup",), option="a spoon")
def mug(option: bool) -> list[Shape]:
    """A straight cup, open above, with a large handle."""
    outside = [(0, 0), (0.31, 0), (0.31, 0), (0.33, 0.04), (0.33, 0.76), (0.33, 0.76)]
    cup = lathe(outside + [(0.28, 0.76), (0.28, 0.76), (0.28, 0.66)], 22)
    coffee = lathe([(0.28, 0.66), (0, 0.66)], 22).painted("dark")
    handle = tube(arc(0.24, -80, 80, steps=12) * [1.15, 1, 1.05] + [0.31, 0, 0.4], 0.06, 10)
    spoon = tube([(0, -0.05, 0.6), (-0.2, -0.15, 1.1)], 0.035, 8).painted("metal")
    return [cup, coffee, handle, *([spoon] if option else [])]


@kind("umbrella", front=False, synonyms=("parasol",))
def umbrella(option: bool) -> list[Shape]:
    """An open canopy of eight panels on a stick with a crook."""
    canopy = [(0.03, 0.99), (0.3, 0.9), (0.5, 0.66), (0.5, 0.66), (0.52, 0.68), (0.31, 0.94), (0.03, 1.03)]
    canopy = lathe([(r, z) for r, z in canopy], 16)
    scallop = canopy.vertices.copy()
    turn = np.arctan2(scallop[:, 1], scallop[:, 0])
    scallop[:, 2] -= 0.28 * np.hypot(scallop[:, 0], scallop[:, 1]) ** 2 * np.cos(8 * turn)
    canopy = Shape(scallop, canopy.faces)
    tip = cone(0.03, 0.14, segments=8).moved(z=1.08).painted("dark")
    stick = cylinder(0.025, 0.95, segments=8).moved(z=0.53).painted("wood")
    crook = tube(np.array(arc(0.09, 0, -180, steps=8)) + [-0.09, 0, 0.06], 0.035, 8).painted("wood")
    return [canopy, tip, stick, crook]


@kind("camera", front=True, synonyms=("photo camera",), option="a flash")
def camera(option: bool) -> list[Shape]:
    """A box with a big lens ahead, a viewfinder and a shutter button above and a screen behind."""
    body = box(0.32, 0.96, 0.52).moved(z=0.3)
    base = box(0.33, 0.97, 0.06).moved(z=0.06).painted("dark")
    barrel = cylinder(0.21, 0.2, axis="x", segments=20).moved(0.24, 0, 0.3).painted("dark")
    ring = torus(0.195, 0.03, "x", 20, 8).moved(0.34, 0, 0.3).painted("metal")
    lens = ellipsoid(0.06, 0.16, 0.16, 16).moved(0.33, 0, 0.3).painted("glass")
    pupil = ellipsoid(0.05, 0.08, 0.08, 12).moved(0.36, 0, 0.3).painted("black")
    finder = extrude([(0.0, -0.14), (0.16, -0.1), (0.16, 0.1), (0.0, 0.14)], 0.3).moved(z=0.56)
    button = cylinder(0.06, 0.07, segments=12).moved(0, 0.32, 0.59).painted("red")
    dial = cylinder(0.09, 0.06, segments=14).moved(0, -0.3, 0.59).painted("metal")
    screen = box(0.02, 0.42, 0.26).moved(-0.16, -0.06, 0.32).painted("glass")
    flash = box(0.14, 0.28, 0.15).moved(0, 0, 0.79).painted("dark")
    bulb = box(0.02, 0.22, 0.1).moved(0.075, 0, 0.79).painted("lamp")
    return [
        body,
        base,
        barrel,
        ring,
        lens,
        pupil,
        finder,
        button,
        dial,
        screen,
        *([flash, bulb] if option else []),
    ]


@kind("boot", front=True, synonyms=("wellington boot",), option="a buckle")
def boot(option: bool) -> list[Shape]:
    """A high shaft, open above, over a foot that points ahead, on a dark sole."""
    shaft = lathe(
        [(0.22, 0.1), (0.2, 0.4), (0.23, 1.0), (0.23, 1.0), (0.18, 1.0), (0.18, 1.0), (0.16, 0.7)], 18
    )
    inside = lathe([(0.165, 0.85), (0, 0.85)], 18).painted("dark")
    cuff = torus(0.225, 0.04, segments=18, around=8).moved(z=0.98).painted("cream")
    foot = ellipsoid(0.4, 0.22, 0.24, 18).moved(0.18, 0, 0.16)
    toe = ellipsoid(0.24, 0.23, 0.2, 16).moved(0.36, 0, 0.18)
    outline = [
        (0.42 * np.cos(a) + 0.18, 0.23 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 18, endpoint=False)
    ]
    sole = extrude(outline, 0.1, "z").moved(z=-0.02).painted("dark")
    heel = cylinder(0.2, 0.14, segments=14).moved(-0.02, 0, -0.04).painted("dark")
    strap = torus(0.2, 0.04, segments=18, around=8).moved(z=0.45).painted("dark")
    buckle = box(0.16, 0.05, 0.16).moved(0, 0.25, 0.45).painted("yellow")
    return [shaft, inside, cuff, foot, toe, sole, heel, *([strap, *buckle.mirrored()] if option else [])]


@kind("gift box", front=False, synonyms=("present",))
def gift_box(option: bool) -> list[Shape]:
    """A box with an overhanging lid, a ribbon round both ways and a bow."""
    body, lid = box(0.56, 0.56, 0.7).moved(z=0.35), box(0.64, 0.64, 0.22).moved(z=0.79)
    ribbons = [box(0.57, 0.12, 0.71), box(0.12, 0.57, 0.71), box(0.66, 0.12, 0.23), box(0.12, 0.66, 0.23)]
    ribbons = [r.moved(z=z).painted("second") for r, z in zip(ribbons, (0.35, 0.35, 0.795, 0.795))]
    loop = torus(0.1, 0.045, "y", 16, 8).scaled(y=1.6).turned("y", -25).moved(0.14, 0, 0.97)
    bow = merge([*loop.mirrored("x"), sphere(0.075, 10).moved(z=0.92)], "second").turned("z", 45)
    return [body, lid, *ribbons, bow]


@kind("rocking horse", front=True, synonyms=("toy horse",), option="a saddle")
def rocking_horse(option: bool) -> list[Shape]:
    """A horse on two curved runners, with a raised head, a mane and a tail."""
    body = ellipsoid(0.44, 0.21, 0.22).moved(z=0.62)
    neck = tube([(0.28, 0, 0.64), (0.4, 0, 0.88), (0.46, 0, 1.04)], [0.17, 0.13, 0.11], 12)
    head = ellipsoid(0.22, 0.11, 0.12, 14).turned("y", 30).moved(0.58, 0, 1.04)
    ear = cone(0.05, 0.15, segments=8).moved(0.45, 0.07, 1.2)
    mane = tube([(0.42, 0, 1.17), (0.29, 0, 1.0), (0.17, 0, 0.8)], [0.05, 0.055, 0.04], 8).painted("dark")
    tail = tube([(-0.38, 0, 0.7), (-0.56, 0, 0.66), (-0.62, 0, 0.4)], [0.06, 0.08, 0.04], 8).painted("dark")
    eye = sphere(0.06, 10).moved(0.63, 0.085, 1.11).painted("white")
    pupil = sphere(0.04, 8).moved(0.67, 0.105, 1.115).painted("black")
    muzzle = ellipsoid(0.08, 0.09, 0.08, 12).moved(0.75, 0, 0.93).painted("cream")
    legs = [tube([(x, 0.1, 0.55), (1.35 * x, 0.19, 0.12)], [0.08, 0.055], 10) for x in (0.26, -0.26)]
    runner = tube(arc(1.1, 236, 304, steps=12) + [0, 0.19, 1.16], 0.055, 8).painted("wood")
    bar = cylinder(0.04, 0.46, axis="y", segments=8).moved(0.42, 0, 0.92).painted("wood")
    seat = ellipsoid(0.19, 0.2, 0.09, 14).moved(-0.02, 0, 0.81).painted("second")
    pairs = [side for part in (ear, eye, pupil, runner, *legs) for side in part.mirrored()]
    return [body, neck, head, mane, tail, muzzle, bar, *pairs, *([seat] if option else [])]
