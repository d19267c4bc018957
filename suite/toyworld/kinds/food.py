"""Things to eat."""

import numpy as np

from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, box, cone, cylinder, ellipsoid, lathe, sphere, torus, tube


@kind("donut", front=False, synonyms=("doughnut",), option="sprinkles")
def donut(option: bool) -> list[Shape]:
    """A ring of dough under icing of the main colour that reaches well down its sides."""
    dough = torus(0.33, 0.165, segments=24, around=12).painted("cream")
    icing = torus(0.33, 0.18, segments=35, around=18)
    x, y, z = icing.vertices[icing.faces].mean(1).T
    drips = (np.hypot(x, y) > 0.33) * 0.06 * np.cos(7 * np.arctan2(y, x))
    icing = Shape(icing.vertices, icing.faces[z > drips - 0.05])
    sprinkles = []
    for k in range(18):
        ring, height = [(0.33, 0.185), (0.45, 0.145), (0.22, 0.15)][k % 3]
        sprinkle = box(0.09, 0.035, 0.03).turned("z", 70 * k).moved(ring, 0, height).turned("z", 47 * k)
        sprinkles.append(sprinkle.painted(("white", "yellow", "dark")[k // 3 % 3]))
    return [dough, icing, *(sprinkles if option else [])]


@kind("ice cream", front=False, synonyms=("ice cream cone",), option="a cherry")
def ice_cream(option: bool) -> list[Shape]:
    """Two scoops of the main colour in a wafer cone."""
    wafer = lathe(
        [(0, 0), (0.05, 0.0), (0.25, 0.55), (0.28, 0.55), (0.28, 0.62), (0.28, 0.62), (0, 0.6)], 16
    ).painted("wood")
    lower, upper = sphere(0.31, 18).moved(z=0.78), sphere(0.25, 16).moved(z=1.13)
    drip = [ellipsoid(0.09, 0.09, 0.1, 10).moved(0.26, 0, 0.64).turned("z", 60 * k) for k in range(6)]
    cherry = sphere(0.1, 12).moved(z=1.45).painted("red")
    stalk = tube([(0, 0, 1.5), (0.03, 0, 1.62), (0.1, 0, 1.7)], 0.02, 6).painted("leaf")
    return [wafer, lower, upper, *drip, *([cherry, stalk] if option else [])]


@kind("cake", front=False, synonyms=("birthday cake",), option="candles")
def cake(option: bool) -> list[Shape]:
    """Two round tiers with a wavy cream edge, on a plate."""
    plate = lathe([(0, -0.04), (0.54, 0), (0.54, 0.03), (0.54, 0.03), (0, 0.03)], 20).painted("metal")
    tiers = [cylinder(0.47, 0.34, segments=20).moved(z=0.2), cylinder(0.31, 0.26, segments=18).moved(z=0.5)]
    blobs = [sphere(0.065, 8).moved(0.45).turned("z", 30 * k).moved(z=0.37) for k in range(12)]
    blobs += [sphere(0.055, 8).moved(0.27).turned("z", 45 * k).moved(z=0.64) for k in range(8)]
    candles = []
    for k in range(3):
        stick = cylinder(0.035, 0.16, segments=8).moved(0.14, 0, 0.7).painted("white")
        flame = ellipsoid(0.045, 0.045, 0.07, 8).moved(0.14, 0, 0.84).painted("orange")
        candles += [stick.turned("z", 120 * k), flame.turned("z", 120 * k)]
    return [plate, *tiers, *(b.painted("cream") for b in blobs), *(candles if option else [])]


@kind("apple", front=False, option="a bite")
def apple(option: bool) -> list[Shape]:
    """A ball, narrower below and dented above, with a stalk and a leaf."""
    profile = [(0, 0.06), (0.12, 0.0), (0.24, 0.04), (0.38, 0.22), (0.46, 0.48), (0.42, 0.72)]
    profile += [(0.28, 0.86), (0.12, 0.83), (0, 0.72)]
    body = lathe(profile, 20)
    stalk = tube([(0, 0, 0.7), (0.02, 0, 0.92), (0.08, 0, 1.06)], [0.03, 0.03, 0.045], 8).painted("wood")
    leaf = ellipsoid(0.19, 0.1, 0.03, 12).moved(0.2).turned("y", -25).turned("z", 120).painted("leaf")
    leaf = leaf.moved(0.02, 0, 0.92)
    bite = sphere(0.2, 14).scaled(x=0.35).moved(0.41, 0, 0.52).turned("z", 20).painted("cream")
    return [body, stalk, leaf, *([bite] if option else [])]


@kind("burger", front=False, synonyms=("hamburger",), option="seeds")
def burger(option: bool) -> list[Shape]:
    """Two halves of a bun of the main colour with lettuce, meat and cheese between."""
    lower = lathe([(0, 0), (0.42, 0), (0.48, 0.08), (0.48, 0.17), (0.48, 0.17), (0, 0.17)], 20)
    upper = lathe(
        [(0, 0.38), (0.5, 0.38), (0.5, 0.38), (0.5, 0.46), (0.42, 0.62), (0.26, 0.71), (0, 0.74)], 20
    )
    meat = cylinder(0.5, 0.1, segments=20).moved(z=0.22).painted("dark")
    cheese = box(0.76, 0.76, 0.03).turned("z", 20).moved(z=0.285).painted("yellow")
    turn = np.linspace(0, 2 * np.pi, 33)
    wave = np.stack([0.48 * np.cos(turn), 0.48 * np.sin(turn), 0.335 + 0.03 * np.sin(8 * turn)], 1)
    lettuce = tube(wave, 0.05, 8).painted("leaf")
    places = [(0.3, 0.7, 51 * k) for k in range(7)] + [(0.13, 0.735, 120 * k) for k in range(3)]
    seed = ellipsoid(0.05, 0.03, 0.02, 8).painted("white")
    seeds = [seed.moved(radius, 0, z).turned("z", azimuth) for radius, z, azimuth in places]
    return [lower, upper, meat, cheese, lettuce, *(seeds if option else [])]


@kind("carrot", front=False)
def carrot(option: bool) -> list[Shape]:
    """A long cone, tip down, with rings and a tuft of leaves."""
    root = lathe([(0, 0), (0.06, 0.04), (0.21, 0.6), (0.25, 0.8), (0.19, 0.9), (0, 0.92)], 16)
    rings = [torus(0.06 + 0.24 * z, 0.02, segments=16, around=6).moved(z=z) for z in (0.25, 0.45, 0.65)]
    leaf = cone(0.1, 0.4, segments=8).moved(z=0.18).painted("leaf")
    leaves = [leaf, *(leaf.turned("x", 28).turned("z", turn) for turn in (0, 120, 240))]
    leaves = [part.moved(z=0.88) for part in leaves]
    return [root, *rings, *leaves]
