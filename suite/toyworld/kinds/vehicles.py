"""Things that drive, float and fly. Pale lamps and glass are in front, red lamps behind."""

import numpy as np

from suite.toyworld.kinds.parts import block, lamps, prism, slab, tapered, wheels
from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, along, box, cone, cylinder, ellipsoid, lathe, sphere, torus, tube


@kind("car", front=True, synonyms=("automobile",), option="a roof rack")
def car(option: bool) -> list[Shape]:
    """A hatchback."""
    body = prism([(-2, 0.4), (2, 0.4), (2.05, 0.85), (0.9, 1.1), (-2, 1.1), (-2.1, 0.8)], 1.7)
    cabin = prism([(-1.9, 1.05), (1.0, 1.05), (0.2, 1.75), (-1.55, 1.75)], 1.5)
    windows = prism([(-1.55, 1.15), (0.6, 1.15), (0.12, 1.62), (-1.4, 1.62)], 1.56).painted("glass")
    pillar = block((-0.75, -0.55), (-0.8, 0.8), (1.1, 1.66))
    screen = slab((0.92, 1.14), (0.28, 1.7), 1.3).painted("glass")
    rear = slab((-1.83, 1.2), (-1.62, 1.62), 1.1).painted("dark")
    grille = block((2.0, 2.1), (-0.38, 0.38), (0.5, 0.78)).painted("dark")
    bumpers = block((-2.15, 2.12), (-0.86, 0.86), (0.3, 0.45)).painted("metal")
    parts = [body, cabin, windows, pillar, screen, rear, grille, bumpers]
    parts += lamps(2.03, 0.62, 0.72, 0.2, "lamp") + lamps(-2.07, 0.62, 0.82, 0.17, "red")
    parts += wheels(1.25, 0.78, 0.42, 0.3) + wheels(-1.25, 0.78, 0.42, 0.3)
    bars = [block((-1.4, 0.1), (y - 0.05, y + 0.05), (1.86, 1.96)) for y in (-0.6, -0.2, 0.2, 0.6)]
    bars += [block((x - 0.07, x + 0.07), (-0.7, 0.7), (1.72, 1.88)) for x in (-1.25, -0.05)]
    return parts + ([bar.painted("dark") for bar in bars] if option else [])


@kind("truck", front=True, synonyms=("lorry",), option="logs")
def truck(option: bool) -> list[Shape]:
    """A high cab before an open, slatted bed."""
    cab = prism([(0.9, 0.5), (2.3, 0.5), (2.3, 1.35), (2.05, 2.2), (0.9, 2.2)], 1.7)
    screen = slab((2.28, 1.45), (2.1, 2.08), 1.45, 0.1).painted("glass")
    windows = prism([(1.3, 1.45), (2.0, 1.45), (1.88, 2.0), (1.3, 2.0)], 1.76).painted("glass")
    grille = block((2.25, 2.36), (-0.4, 0.4), (0.65, 1.2)).painted("dark")
    frame = block((-2.6, 2.4), (-0.6, 0.6), (0.4, 0.6)).painted("dark")
    bed = block((-2.6, 0.7), (-0.9, 0.9), (0.6, 0.8))
    rails = [block((-2.6, 0.7), (0.82, 0.9), (z, z + 0.2)) for z in (0.9, 1.2)]
    posts = [block((x - 0.06, x + 0.06), (0.8, 0.94), (0.75, 1.45)) for x in (-2.54, -1.5, -0.4, 0.64)]
    ends = [block((x, x + 0.08), (-0.86, 0.86), (0.75, 1.4)) for x in (-2.6, 0.62)]
    parts = [
        cab,
        screen,
        windows,
        grille,
        frame,
        bed,
        *ends,
        *(s for p in rails + posts for s in p.mirrored()),
    ]
    parts += lamps(2.3, 0.63, 0.85, 0.18, "lamp") + lamps(-2.6, 0.6, 0.98, 0.16, "red")
    parts += wheels(1.55, 0.75, 0.48, 0.34) + wheels(-0.9, 0.75, 0.48, 0.34) + wheels(-2.0, 0.75, 0.48, 0.34)
    places = [(-0.54, 1.07), (0, 1.07), (0.54, 1.07), (-0.27, 1.54), (0.27, 1.54), (0, 2.0)]
    logs = [cylinder(0.27, 3.0, axis="x", segments=12).moved(-0.98, y, z).painted("wood") for y, z in places]
    return parts + (logs if option else [])


@kind("bus", front=True, synonyms=("coach",), option="luggage on the roof")
def bus(option: bool) -> list[Shape]:
    """A long box with a row of windows."""
    body = block((-3, 3), (-0.9, 0.9), (0.4, 2.3))
    roof = prism([(-0.9, 2.3), (0.9, 2.3), (0.7, 2.5), (-0.7, 2.5)], 5.9, "x")
    windows = [
        block((x, x + 0.72), (-0.94, 0.94), (1.35, 2.05)).painted("glass")
        for x in np.arange(-2.75, 2.2, 0.94)
    ]
    band = block((-3.02, 3.02), (-0.92, 0.92), (0.85, 1.0)).painted("white")
    screen = block((2.98, 3.06), (-0.78, 0.78), (1.2, 2.15)).painted("glass")
    sign = block((2.98, 3.08), (-0.5, 0.5), (2.2, 2.42)).painted("lamp")
    grille = block((2.98, 3.06), (-0.3, 0.3), (0.5, 0.8)).painted("dark")
    engine = block((-3.06, -2.98), (-0.55, 0.55), (0.5, 1.3)).painted("dark")
    parts = [body, roof, *windows, band, screen, sign, grille, engine]
    parts += lamps(3.02, 0.62, 0.66, 0.18, "lamp") + lamps(-3.02, 0.7, 1.9, 0.16, "red")
    parts += wheels(1.9, 0.8, 0.45, 0.3) + wheels(-1.8, 0.8, 0.45, 0.3)
    bags = [((-1.9, -1.0), 0.5, "wood"), ((-0.8, -0.1), 0.4, "dark"), ((0.1, 1.3), 0.55, "orange")]
    luggage = [block(x, (-0.5, 0.5), (2.48, 2.5 + height)).painted(paint) for x, height, paint in bags]
    return parts + (luggage if option else [])


@kind("train", front=True, synonyms=("locomotive",), option="smoke")
def train(option: bool) -> list[Shape]:
    """A steam locomotive: boiler and chimney in front, cab behind."""
    boiler = cylinder(0.72, 3.2, axis="x", segments=18).moved(0.7, 0, 1.6)
    door = cylinder(0.6, 0.16, axis="x", segments=18).moved(2.33, 0, 1.6).painted("dark")
    lamp = cylinder(0.24, 0.2, axis="x", segments=12).moved(2.48, 0, 1.85).painted("lamp")
    bands = [
        cylinder(0.75, 0.12, axis="x", segments=18).moved(x, 0, 1.6).painted("yellow")
        for x in (0.1, 1.1, 2.1)
    ]
    chimney = (
        lathe([(0, 0), (0.2, 0), (0.2, 0.55), (0.4, 0.9), (0.4, 0.9), (0, 0.9)], 14)
        .moved(1.8, 0, 2.2)
        .painted("black")
    )
    dome = ellipsoid(0.34, 0.34, 0.45, 14).moved(0.5, 0, 2.3).painted("yellow")
    cab = block((-2.1, -0.7), (-0.85, 0.85), (0.7, 2.55))
    windows = block((-1.75, -1.0), (-0.9, 0.9), (1.75, 2.3)).painted("glass")
    roof = block((-2.25, -0.55), (-0.95, 0.95), (2.55, 2.7)).painted("dark")
    back = block((-2.16, -2.08), (-0.35, 0.35), (0.75, 2.2)).painted("black")
    frame = block((-2.2, 2.3), (-0.75, 0.75), (0.5, 0.85)).painted("black")
    catcher = prism([(2.2, 0.75), (2.2, 0.05), (2.9, 0.05)], 1.3).painted("red")
    parts = [boiler, door, lamp, *bands, chimney, dome, cab, windows, roof, back, frame, catcher]
    for x, radius in ((1.75, 0.38), (0.9, 0.38), (-0.2, 0.62), (-1.5, 0.62)):
        parts += wheels(x, 0.78, radius, 0.2, "red")
    puffs = [(1.65, 3.4, 0.35), (1.2, 3.75, 0.45), (0.55, 4.05, 0.55)]
    smoke = [sphere(r, 12).moved(x, 0, z).painted("white") for x, z, r in puffs]
    return parts + (smoke if option else [])


@kind("airplane", front=True, synonyms=("plane",), option="propellers")
def airplane(option: bool) -> list[Shape]:
    """An airliner with an engine under each wing."""
    profile = [(0, -2.3), (0.14, -2.25), (0.42, -1.0), (0.45, 1.4), (0.36, 1.95), (0.2, 2.2), (0, 2.3)]
    fuselage = along(lathe(profile, 18), "x")
    wing = prism([(0.7, 0), (-0.35, 0), (-1.0, 2.3), (-0.5, 2.3)], 0.12, "z").moved(z=-0.12)
    tail = prism([(-1.5, 0), (-2.1, 0), (-2.45, 0.95), (-2.1, 0.95)], 0.1, "z").moved(z=0.12)
    fin = prism([(-1.35, 0.2), (-2.2, 0.2), (-2.5, 1.25), (-2.1, 1.25)], 0.12)
    stripe = prism([(-2.0, 0.72), (-2.33, 0.72), (-2.5, 1.27), (-2.1, 1.27)], 0.15).painted("white")
    cockpit = ellipsoid(0.3, 0.34, 0.22, 14).moved(1.85, 0, 0.22).painted("dark")
    windows = [
        block((x, x + 0.2), (-0.46, 0.46), (0.06, 0.24)).painted("dark") for x in np.arange(-0.9, 1.4, 0.4)
    ]
    engine = cylinder(0.22, 0.8, axis="x", segments=14).moved(0.25, 1.05, -0.36).painted("metal")
    intake = cylinder(0.16, 0.05, axis="x", segments=12).moved(0.66, 1.05, -0.36).painted("black")
    parts = [fuselage, *wing.mirrored(), *tail.mirrored(), fin, stripe, cockpit, *windows]
    parts += [*engine.mirrored(), *intake.mirrored()]
    blades = [
        box(0.06, 0.13, 1.3).turned("x", deg).moved(0.74, 1.05, -0.36).painted("black") for deg in (45, 135)
    ]
    hub = cone(0.15, 0.3, "x", 12).moved(0.8, 1.05, -0.36).painted("yellow")
    return parts + ([s for part in [*blades, hub] for s in part.mirrored()] if option else [])


@kind("helicopter", front=True, synonyms=("chopper",), option="floats")
def helicopter(option: bool) -> list[Shape]:
    """A glass nose in front, a boom with a small rotor behind, the large rotor above."""
    body = ellipsoid(1.15, 0.68, 0.75, 18)
    canopy = ellipsoid(0.75, 0.6, 0.56, 16).moved(0.55, 0, 0.08).painted("glass")
    door = ellipsoid(0.3, 0.7, 0.36, 14).moved(-0.15, 0, 0.1).painted("glass")
    boom = tube([(-0.7, 0, 0.15), (-2.3, 0, 0.4)], [0.4, 0.17], 12)
    fin = prism([(-1.95, 0.3), (-2.4, 0.3), (-2.65, 1.2), (-2.25, 1.2)], 0.14)
    rotor = [
        box(0.05, 0.04, 0.85).turned("y", deg).moved(-2.42, 0.14, 0.8).painted("dark") for deg in (30, 120)
    ]
    mast = cylinder(0.14, 0.5, segments=10).moved(0, 0, 0.9).painted("dark")
    blades = [box(3.7, 0.24, 0.06).turned("z", deg).moved(0, 0, 1.15).painted("dark") for deg in (35, 125)]
    skid = tube([(1.25, 0.62, -0.95), (1.0, 0.62, -1.1), (-1.0, 0.62, -1.1)], 0.08, 8).painted("metal")
    struts = [tube([(x, 0.35, -0.5), (x, 0.62, -1.1)], 0.07, 8).painted("metal") for x in (-0.5, 0.5)]
    parts = [body, canopy, door, boom, fin, *rotor, mast, *blades]
    parts += [s for part in [skid, *struts] for s in part.mirrored()]
    floats = ellipsoid(1.35, 0.25, 0.25, 14).moved(0.05, 0.66, -1.1).painted("yellow").mirrored()
    return parts + (floats if option else [])


@kind("boat", front=True, synonyms=("sailboat",), option="a flag")
def boat(option: bool) -> list[Shape]:
    """A sailing boat, its bow in front."""
    outline = [(-1.7, -0.62), (0.2, -0.78), (1.2, -0.5), (2.1, 0), (1.2, 0.5), (0.2, 0.78), (-1.7, 0.62)]
    hull = tapered(prism(outline, 0.9, "z"), 0.72, 0.45)
    rim = prism(outline, 0.12, "z").scaled(1.02, 1.04, 1).moved(z=0.46).painted("white")
    deck = prism(outline, 0.04, "z").scaled(0.92, 0.86, 1).moved(z=0.52).painted("wood")
    cabin = block((-1.2, -0.35), (-0.4, 0.4), (0.5, 0.85)).painted("white")
    mast = tube([(0.3, 0, 0.4), (0.3, 0, 3.7)], 0.07, 8).painted("wood")
    boom = tube([(0.3, 0, 1.05), (-1.75, 0, 1.05)], 0.06, 8).painted("wood")
    sail = prism([(0.2, 1.15), (-1.7, 1.15), (0.2, 3.6)], 0.05)
    swung = [part.moved(x=-0.3).turned("z", -20).moved(x=0.3) for part in (boom, sail)]
    jib = prism([(0.42, 0.75), (1.95, 0.62), (0.42, 3.1)], 0.05).painted("white")
    rudder = block((-1.95, -1.65), (-0.06, 0.06), (-0.6, 0.35)).painted("dark")
    flag = prism([(0.3, 3.65), (0.3, 4.15), (-0.6, 3.9)], 0.06).painted("orange")
    top = tube([(0.3, 0, 3.6), (0.3, 0, 4.2)], 0.06, 8).painted("wood")
    return [hull, rim, deck, cabin, mast, *swung, jib, rudder, *([flag, top] if option else [])]


@kind("rocket", front=True, synonyms=("spaceship",), option="flames")
def rocket(option: bool) -> list[Shape]:
    """It stands on three fins, one of them behind, with a round window and a hatch in front."""
    body = lathe([(0, 0), (0.4, 0), (0.4, 0), (0.6, 0.9), (0.62, 1.7), (0.5, 2.6), (0.47, 2.75)], 18)
    nose = lathe([(0.48, 2.7), (0.28, 3.3), (0.1, 3.7), (0, 3.8)], 18).painted("dark")
    fin = prism([(0.45, 0.3), (0.55, 1.3), (1.25, 0.3), (1.25, -0.45)], 0.14).painted("dark")
    ring = torus(0.34, 0.09, "x", 18, 8).moved(0.57, 0, 2.0).painted("metal")
    window = ellipsoid(0.1, 0.34, 0.34, 14).moved(0.57, 0, 2.0).painted("glass")
    frame = block((0.4, 0.63), (-0.31, 0.31), (0.3, 1.35)).painted("metal")
    hatch = block((0.4, 0.66), (-0.22, 0.22), (0.3, 1.25)).painted("white")
    nozzle = cylinder(0.42, 0.4, 0.28, segments=14).moved(z=-0.18).painted("metal")
    flames = [
        cylinder(0.06, 1.4, 0.42, segments=12).moved(z=-1.05).painted("orange"),
        cylinder(0.04, 0.9, 0.46, segments=12).moved(z=-0.8).painted("yellow"),
    ]
    fins = [fin.turned("z", deg) for deg in (60, 180, 300)]
    return [body, nose, *fins, ring, window, frame, hatch, nozzle, *(flames if option else [])]


@kind("tractor", front=True, option="a roof")
def tractor(option: bool) -> list[Shape]:
    """A bonnet and small wheels in front, a seat between large wheels behind."""
    bonnet = prism([(-0.1, 0.75), (1.9, 0.75), (1.9, 1.45), (1.7, 1.6), (-0.1, 1.7)], 0.85)
    grille = block((1.86, 1.97), (-0.3, 0.3), (0.8, 1.3)).painted("dark")
    rear = block((-1.2, 0.0), (-0.5, 0.5), (0.7, 1.2))
    seat = slab((-0.95, 1.35), (-0.4, 1.35), 0.6, 0.2).painted("dark")
    back = slab((-1.0, 1.3), (-1.15, 1.95), 0.6, 0.18).painted("dark")
    column = tube([(-0.05, 0, 1.5), (-0.25, 0, 1.95)], 0.06, 8).painted("dark")
    steering = torus(0.26, 0.06, "z", 14, 6).turned("y", -25).moved(-0.25, 0, 1.95).painted("black")
    exhaust = tube([(1.2, 0.2, 1.5), (1.2, 0.2, 2.5)], 0.1, 8).painted("metal")
    fender = prism([(-1.75, 1.35), (-1.4, 1.95), (-0.6, 1.95), (-0.2, 1.35)], 0.5).moved(y=0.82)
    parts = [bonnet, grille, rear, seat, back, column, steering, exhaust, *fender.mirrored()]
    parts += lamps(1.9, 0.3, 1.42, 0.14, "lamp") + lamps(-1.22, 0.35, 1.05, 0.14, "red")
    parts += wheels(-1.0, 0.85, 0.9, 0.45, "yellow") + wheels(1.4, 0.65, 0.45, 0.3, "yellow")
    posts = [block((x - 0.05, x + 0.05), (0.5, 0.6), (1.6, 2.95)) for x in (-1.25, -0.05)]
    roof = block((-1.5, 0.3), (-0.8, 0.8), (2.9, 3.05))
    return parts + ([roof, *(s.painted("dark") for post in posts for s in post.mirrored())] if option else [])


@kind("tank", front=True, option="a flag")
def tank(option: bool) -> list[Shape]:
    """Tracks, a turret and a gun that points ahead."""
    hull = prism([(-1.9, 0.55), (-1.75, 1.15), (1.3, 1.15), (2.1, 0.75), (1.7, 0.35), (-1.7, 0.35)], 1.5)
    shape = [
        (-1.9, 0.25),
        (-2.1, 0.6),
        (-1.9, 0.9),
        (1.9, 0.9),
        (2.15, 0.6),
        (1.8, 0.25),
        (1.5, 0),
        (-1.6, 0),
    ]
    track = prism(shape, 0.5).moved(y=0.95).painted("dark")
    rollers = [
        cylinder(0.25, 0.56, axis="y", segments=12).moved(x, 0.95, 0.35)
        for x in (-1.35, -0.68, 0, 0.68, 1.35)
    ]
    guard = block((-2.0, 1.9), (0.68, 1.24), (0.9, 1.02))
    turret = cylinder(0.85, 0.65, 0.62, segments=16).scaled(1.15, 0.95, 1).moved(-0.25, 0, 1.45)
    barrel = tube([(0.3, 0, 1.5), (2.6, 0, 1.6)], 0.12, 10).painted("dark")
    muzzle = tube([(2.5, 0, 1.595), (2.85, 0, 1.61)], 0.19, 10).painted("dark")
    lid = cylinder(0.3, 0.15, segments=12).moved(-0.35, 0, 1.82).painted("dark")
    engine = block((-1.86, -1.75), (-0.55, 0.55), (0.6, 1.0)).painted("black")
    parts = [hull, turret, barrel, muzzle, lid, engine, *track.mirrored(), *guard.mirrored()]
    parts += [s.painted("metal") for roller in rollers for s in roller.mirrored()]
    parts += lamps(1.75, 0.45, 0.95, 0.15, "lamp") + lamps(-1.88, 0.62, 0.7, 0.13, "red")
    flag = prism([(-0.9, 2.75), (-0.9, 3.3), (-1.75, 3.02)], 0.06).painted("orange")
    pole = tube([(-0.9, 0, 1.6), (-0.9, 0, 3.35)], 0.05, 8).painted("metal")
    return parts + ([flag, pole] if option else [])


@kind("hot-air balloon", front=False, synonyms=("balloon",), option="sandbags")
def hot_air_balloon(option: bool) -> list[Shape]:
    """An envelope over a basket."""
    profile = [
        (0.3, 1.3),
        (0.55, 1.65),
        (1.1, 2.35),
        (1.4, 3.0),
        (1.45, 3.5),
        (1.25, 4.1),
        (0.75, 4.6),
        (0, 4.8),
    ]
    envelope = lathe(profile, 20)
    mouth = lathe([(0, 1.3), (0.3, 1.3), (0.3, 1.3), (0.42, 1.5), (0.42, 1.5), (0, 1.5)], 16).painted("dark")
    band = lathe([(1.38, 2.9), (1.46, 3.0), (1.5, 3.5), (1.42, 3.65)], 20).painted("second")
    basket = tapered(block((-0.42, 0.42), (-0.42, 0.42), (0, 0.65)), 0.8, 0.8).painted("wood")
    rim = block((-0.47, 0.47), (-0.47, 0.47), (0.6, 0.72)).painted("cream")
    rope = tube([(0.4, 0.4, 0.65), (0.22, 0.22, 1.4)], 0.035, 6).painted("dark")
    ropes = [rope.turned("z", deg) for deg in (0, 90, 180, 270)]
    bag = ellipsoid(0.13, 0.17, 0.22, 10).moved(0.5, 0, 0.38).painted("cream")
    bags = [bag.turned("z", deg) for deg in (0, 90, 180, 270)]
    return [envelope, mouth, band, basket, rim, *ropes, *(bags if option else [])]
