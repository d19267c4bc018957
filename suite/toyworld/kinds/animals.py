"""Animals: each has its face at +X and its tail at -X."""

from dataclasses import replace

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
    sphere,
    torus,
    tube,
)


def _pairs(*shapes: Shape) -> list[Shape]:
    """Each shape and its mirror image on the other side."""
    return [side for shape in shapes for side in shape.mirrored()]


def _eyes(x: float, y: float, z: float, radius: float) -> list[Shape]:
    """Two white balls with black pupils that look ahead and a little aside."""
    white = sphere(radius, 12).painted("white").moved(x, y, z)
    pupil = ellipsoid(0.4 * radius, 0.68 * radius, 0.68 * radius, 12).painted("black").moved(x=0.8 * radius)
    return _pairs(white, pupil.turned("z", 18).moved(x, y, z))


def _legs(x_front: float, x_back: float, y: float, height: float, radius: float) -> list[Shape]:
    """Four straight legs, standing on z = 0."""
    leg = cylinder(radius, height, 0.85 * radius, segments=12).moved(y=y, z=height / 2)
    return _pairs(leg.moved(x=x_front), leg.moved(x=x_back))


@kind("duck", front=True, synonyms=("duckling",), option="a scarf")
def duck(option: bool) -> list[Shape]:
    """A floating body with an upturned tail, a round head and a flat beak."""
    body = ellipsoid(0.5, 0.36, 0.3).moved(z=0.3)
    tail = cone(0.2, 0.42, segments=14).scaled(y=1.2).turned("y", -50).moved(-0.45, 0, 0.48)
    wing = ellipsoid(0.28, 0.08, 0.17, 14).turned("y", 15).moved(-0.06, 0.34, 0.36)
    neck = cylinder(0.18, 0.3, 0.16, segments=14).moved(0.3, 0, 0.58)
    head = sphere(0.24, 16).moved(0.32, 0, 0.83)
    beak = ellipsoid(0.22, 0.15, 0.055, 14).moved(0.6, 0, 0.78).painted("orange")
    scarf = torus(0.18, 0.055, segments=18, around=8).moved(0.3, 0, 0.63).painted("second")
    parts = [body, tail, neck, head, beak, *_eyes(0.48, 0.12, 0.92, 0.075), *_pairs(wing)]
    return parts + [scarf] if option else parts


@kind("dog", front=True, synonyms=("puppy",), option="a collar")
def dog(option: bool) -> list[Shape]:
    """On four legs, with a long snout, hanging ears and a raised tail."""
    body = ellipsoid(0.5, 0.22, 0.22).moved(z=0.55)
    neck = tube([(0.34, 0, 0.58), (0.46, 0, 0.86)], [0.17, 0.14], 14)
    head = ellipsoid(0.22, 0.19, 0.19, 16).moved(0.5, 0, 0.95)
    snout = cylinder(0.13, 0.32, 0.1, "x", 14).moved(0.76, 0, 0.89)
    nose = sphere(0.085, 12).moved(0.92, 0, 0.93).painted("black")
    ear = ellipsoid(0.1, 0.05, 0.2, 12).turned("x", 14).moved(0.42, 0.21, 0.9).painted("dark")
    tail = tube([(-0.44, 0, 0.62), (-0.6, 0, 0.78), (-0.66, 0, 1.0)], [0.07, 0.06, 0.03], 10)
    tongue = box(0.12, 0.1, 0.03).turned("y", 35).moved(0.86, 0, 0.77).painted("pink")
    collar = torus(0.155, 0.045, segments=18, around=8).turned("y", 23).moved(0.41, 0, 0.74).painted("second")
    parts = [body, neck, head, snout, nose, tail, tongue]
    parts += [*_legs(0.3, -0.32, 0.13, 0.5, 0.085), *_eyes(0.66, 0.1, 1.04, 0.065), *_pairs(ear)]
    return parts + [collar] if option else parts


@kind("cat", front=True, synonyms=("kitten",), option="a cushion")
def cat(option: bool) -> list[Shape]:
    """Sitting upright, with pointed ears, whiskers and a long tail swung up behind."""
    body = lathe([(0, 0), (0.3, 0.02), (0.33, 0.16), (0.27, 0.42), (0.16, 0.66), (0.1, 0.74)], 18)
    leg = tube([(0.14, 0.12, 0.5), (0.24, 0.13, 0.06)], [0.09, 0.08], 12)
    paw = ellipsoid(0.13, 0.09, 0.06, 12).moved(0.3, 0.13, 0.06)
    head = ellipsoid(0.22, 0.27, 0.22, 16).moved(0.08, 0, 0.85)
    ear = cone(0.12, 0.26, segments=10).scaled(x=0.6).turned("x", -20).moved(0.06, 0.17, 1.08)
    inner = (
        cone(0.075, 0.17, segments=8).scaled(x=0.4).turned("x", -20).moved(0.115, 0.165, 1.06).painted("pink")
    )
    muzzle = ellipsoid(0.06, 0.11, 0.07, 12).moved(0.28, 0, 0.77).painted("white")
    nose = sphere(0.04, 8).moved(0.33, 0, 0.81).painted("pink")
    whisker = tube([(0.3, 0.06, 0.78), (0.28, 0.4, 0.82)], 0.012, 5).painted("dark")
    path = [
        (-0.22, 0, 0.08),
        (-0.4, 0, 0.06),
        (-0.54, 0, 0.2),
        (-0.54, 0, 0.42),
        (-0.45, 0, 0.58),
        (-0.5, 0, 0.76),
    ]
    tail = tube(path, [0.08, 0.08, 0.075, 0.07, 0.065, 0.05], 10)
    cushion = ellipsoid(0.58, 0.48, 0.1, 18).moved(-0.08, 0, -0.06).painted("pink")
    parts = [body, head, muzzle, nose, tail]
    parts += [*_eyes(0.24, 0.11, 0.9, 0.07), *_pairs(leg, paw, ear, inner, whisker)]
    return parts + [cushion] if option else parts


@kind("elephant", front=True, option="a blanket")
def elephant(option: bool) -> list[Shape]:
    """Thick legs, big flat ears, a hanging trunk and tusks."""
    body = ellipsoid(0.52, 0.36, 0.36).moved(-0.05, 0, 0.68)
    head = ellipsoid(0.26, 0.25, 0.27, 16).moved(0.5, 0, 0.86)
    trunk = [(0.68, 0, 0.84), (0.84, 0, 0.7), (0.88, 0, 0.45), (0.88, 0, 0.22), (1.0, 0, 0.12)]
    trunk = tube(trunk, [0.14, 0.12, 0.1, 0.08, 0.07], 12)
    ear = ellipsoid(0.05, 0.28, 0.32, 16).turned("z", 25).moved(0.4, 0.44, 0.88)
    tusk = tube([(0.66, 0.14, 0.72), (0.8, 0.17, 0.6), (0.95, 0.17, 0.62)], [0.05, 0.045, 0.015], 8).painted(
        "white"
    )
    tail = tube([(-0.54, 0, 0.78), (-0.66, 0, 0.66), (-0.68, 0, 0.42)], 0.03, 8)
    tuft = sphere(0.06, 8).moved(-0.68, 0, 0.4).painted("dark")
    blanket = cylinder(0.375, 0.4, axis="x", segments=24).moved(-0.08, 0, 0.69).painted("second")
    blanket = replace(blanket, faces=blanket.faces[blanket.vertices[blanket.faces, 2].max(1) > 0.62])
    parts = [body, head, trunk, tail, tuft]
    parts += [*_legs(0.25, -0.34, 0.19, 0.5, 0.14), *_eyes(0.7, 0.14, 0.98, 0.06), *_pairs(ear, tusk)]
    return parts + [blanket] if option else parts


@kind("rabbit", front=True, synonyms=("bunny",), option="a carrot")
def rabbit(option: bool) -> list[Shape]:
    """Crouching, with long upright ears, buck teeth and a white ball of a tail."""
    body = ellipsoid(0.42, 0.3, 0.32, 16).turned("y", -15).moved(-0.05, 0, 0.32)
    thigh = ellipsoid(0.22, 0.1, 0.2, 12).moved(-0.16, 0.27, 0.22)
    foot = ellipsoid(0.18, 0.08, 0.06, 12).moved(0.0, 0.27, 0.06)
    paw = ellipsoid(0.09, 0.08, 0.14, 12).moved(0.32, 0.14, 0.13)
    head = ellipsoid(0.24, 0.22, 0.21, 14).moved(0.34, 0, 0.66)
    ear = ellipsoid(0.06, 0.1, 0.33, 12)
    inner = ellipsoid(0.03, 0.06, 0.25, 10).moved(0.045).painted("pink")
    ears = [e.turned("y", -10).turned("x", -9).moved(0.25, 0.12, 1.08) for e in (ear, inner)]
    tail = sphere(0.13, 12).moved(-0.47, 0, 0.3).painted("white")
    muzzle = ellipsoid(0.06, 0.1, 0.07, 12).moved(0.54, 0, 0.58).painted("white")
    nose = sphere(0.045, 10).moved(0.59, 0, 0.63).painted("pink")
    root = cone(0.09, 0.4, "x", 12).scaled(x=-1).moved(0.68, 0, 0.12).turned("z", 12).painted("orange")
    leaves = [
        tube([(0.86, 0.15, 0.12), (1.03, 0.18 + y, 0.2)], 0.035, 6).painted("leaf") for y in (-0.08, 0, 0.08)
    ]
    parts = [body, head, tail, muzzle, nose]
    parts += [*_eyes(0.5, 0.12, 0.73, 0.065), *_pairs(thigh, foot, paw, ears[0], ears[1])]
    return parts + [root, *leaves] if option else parts


@kind("penguin", front=True, option="a scarf")
def penguin(option: bool) -> list[Shape]:
    """Upright, with a white belly, flippers held off, flat feet and a pointed beak."""
    body = lathe([(0, 0.03), (0.22, 0.06), (0.31, 0.25), (0.31, 0.45), (0.22, 0.75), (0.17, 0.85)], 20)
    belly = ellipsoid(0.12, 0.2, 0.28, 16).moved(0.225, 0, 0.36).painted("white")
    head = sphere(0.21, 16).moved(0.02, 0, 0.95)
    beak = cone(0.085, 0.26, "x", 12).moved(0.32, 0, 0.91).painted("orange")
    flipper = ellipsoid(0.11, 0.045, 0.3, 14).turned("x", 32).moved(0, 0.41, 0.46)
    foot = ellipsoid(0.2, 0.12, 0.05, 12).moved(0.2, 0.15, 0.04).painted("orange")
    tail = cone(0.13, 0.3, segments=10).scaled(x=0.5).turned("y", -115).moved(-0.32, 0, 0.1)
    scarf = torus(0.19, 0.06, segments=18, around=8).moved(0.01, 0, 0.78).painted("red")
    end = box(0.05, 0.12, 0.3).turned("x", 8).moved(0.28, 0.12, 0.62).painted("red")
    parts = [body, belly, head, beak, tail, *_eyes(0.17, 0.09, 1.01, 0.06), *_pairs(flipper, foot)]
    return parts + [scarf, end] if option else parts


@kind("owl", front=True, option="a branch")
def owl(option: bool) -> list[Shape]:
    """A broad egg of a body with two huge eyes, ear tufts and folded wings."""
    body = ellipsoid(0.34, 0.4, 0.48).moved(z=0.5)
    disc = ellipsoid(0.08, 0.21, 0.21, 16).turned("z", 20).moved(0.26, 0.17, 0.72).painted("cream")
    eye = ellipsoid(0.06, 0.13, 0.13, 14).turned("z", 20).moved(0.32, 0.17, 0.73).painted("yellow")
    pupil = ellipsoid(0.05, 0.075, 0.075, 12).turned("z", 20).moved(0.37, 0.18, 0.73).painted("black")
    beak = cone(0.07, 0.2, segments=10).turned("y", 160).moved(0.39, 0, 0.6).painted("orange")
    tuft = cone(0.13, 0.32, segments=10).turned("x", -25).moved(0.04, 0.27, 0.98)
    wing = ellipsoid(0.25, 0.09, 0.34, 14).turned("x", 8).moved(-0.05, 0.38, 0.42)
    tail = ellipsoid(0.09, 0.17, 0.24, 12).turned("y", 30).moved(-0.3, 0, 0.06)
    foot = ellipsoid(0.12, 0.1, 0.06, 10).moved(0.14, 0.15, 0.02).painted("orange")
    branch = cylinder(0.075, 1.05, axis="y", segments=12).moved(0.05, 0, -0.1).painted("wood")
    leaf = ellipsoid(0.04, 0.1, 0.16, 10).turned("x", -35).moved(0.05, 0.46, 0.02).painted("leaf")
    parts = [body, beak, tail, *_pairs(disc, eye, pupil, tuft, wing, foot)]
    return parts + [branch, leaf] if option else parts


@kind("fish", front=True)
def fish(option: bool) -> list[Shape]:
    """An oval body, tall and narrow, with a forked tail, fins above, below and aside."""
    body = ellipsoid(0.45, 0.2, 0.3).moved(z=0.4)
    upper = extrude([(-0.02, 0.06), (-0.06, -0.05), (0.28, -0.36), (0.3, -0.2)], 0.07).moved(-0.4, 0, 0.42)
    lower = upper.moved(z=-0.42).scaled(z=-1).moved(z=0.38)
    dorsal = extrude([(0.0, 0.24), (0.0, -0.26), (0.26, -0.32), (0.2, 0.0)], 0.06).moved(0, 0, 0.62)
    ventral = extrude([(0.0, 0.08), (-0.2, -0.14), (0.0, -0.12)], 0.06).moved(0.05, 0, 0.14)
    fin = (
        ellipsoid(0.16, 0.03, 0.09, 12)
        .turned("y", -20)
        .moved(-0.14, 0, 0)
        .turned("z", -38)
        .moved(0.12, 0.18, 0.33)
    )
    lips = torus(0.06, 0.035, "x", 12, 8).moved(0.45, 0, 0.36).painted("pink")
    return [body, upper, lower, dorsal, ventral, lips, *_eyes(0.3, 0.13, 0.5, 0.08), *_pairs(fin)]


@kind("turtle", front=True, synonyms=("tortoise",), option="a flag")
def turtle(option: bool) -> list[Shape]:
    """A domed shell of the main colour; a pale head on a neck, four flippers and a pointed tail."""
    shell = lathe(
        [(0, 0.12), (0.46, 0.12), (0.46, 0.2), (0.42, 0.4), (0.28, 0.58), (0.1, 0.65), (0, 0.66)], 20
    )
    rim = torus(0.45, 0.075, segments=24, around=8).moved(z=0.18)
    shell, rim = (s.scaled(x=1.12, y=0.95) for s in (shell, rim))
    neck = tube([(0.4, 0, 0.2), (0.6, 0, 0.28), (0.66, 0, 0.4)], 0.08, 12).painted("cream")
    head = ellipsoid(0.17, 0.13, 0.12, 14).moved(0.7, 0, 0.42).painted("cream")
    mouth = box(0.02, 0.12, 0.025).moved(0.86, 0, 0.38).painted("dark")
    leg = ellipsoid(0.12, 0.11, 0.13, 12)
    legs = [leg.moved(x, 0.37, 0.11).painted("cream") for x in (0.34, -0.36)]
    tail = cone(0.08, 0.3, "x", 10).scaled(x=-1).moved(-0.62, 0, 0.12).painted("cream")
    pole = cylinder(0.02, 0.45, segments=8).moved(-0.1, 0, 0.8).painted("dark")
    flag = box(0.3, 0.03, 0.2).moved(-0.26, 0, 0.9).painted("red")
    parts = [shell, rim, neck, head, mouth, tail]
    parts += [*_eyes(0.79, 0.09, 0.49, 0.055), *_pairs(legs[0], legs[1])]
    return parts + [pole, flag] if option else parts


@kind("frog", front=True, synonyms=("toad",), option="a crown")
def frog(option: bool) -> list[Shape]:
    """Squatting, with eyes on top of a wide mouth and folded hind legs that stick out."""
    body = ellipsoid(0.42, 0.32, 0.24, 16).turned("y", -25).moved(0, 0, 0.3)
    head = ellipsoid(0.27, 0.34, 0.19).moved(0.28, 0, 0.48)
    mouth = tube(np.array([(0.3, 0, 0)]) + arc(0.29, -75, 75, "xy", 12) * [0.93, 1.1, 0], 0.028, 6)
    mouth = mouth.moved(z=0.45).painted("dark")
    bump = sphere(0.13, 14).moved(0.28, 0.19, 0.65)
    hind = tube(
        [(-0.24, 0.2, 0.2), (0.08, 0.48, 0.38), (-0.2, 0.52, 0.06), (0.16, 0.6, 0.04)],
        [0.16, 0.1, 0.07, 0.06],
        10,
    )
    fore = tube([(0.24, 0.22, 0.36), (0.34, 0.32, 0.16), (0.42, 0.34, 0.03)], [0.1, 0.07, 0.06], 10)
    toes = ellipsoid(0.15, 0.12, 0.035, 12)
    toes = [toes.moved(0.2, 0.6, 0.035), toes.moved(0.48, 0.36, 0.035)]
    band = (
        lathe([(0.13, 0), (0.15, 0.12), (0.15, 0.12), (0, 0.12)], 14).moved(0.12, 0, 0.64).painted("yellow")
    )
    tips = [
        cone(0.05, 0.14, segments=6).moved(0.12).turned("z", 72 * k).moved(0.12, 0, 0.82) for k in range(5)
    ]
    parts = [body, head, mouth, *_eyes(0.36, 0.2, 0.67, 0.1), *_pairs(bump, hind, fore, toes[0], toes[1])]
    return parts + [band, *(t.painted("yellow") for t in tips)] if option else parts


@kind("snail", front=True)
def snail(option: bool) -> list[Shape]:
    """A coiled shell of the main colour, carried on a pale foot with two eyes on stalks."""
    path = [(-0.72, 0, 0.03), (-0.4, 0, 0.08), (0.2, 0, 0.1), (0.48, 0, 0.16), (0.58, 0, 0.36)]
    foot = tube(path, [0.02, 0.12, 0.14, 0.12, 0.11], 12).painted("cream")
    head = sphere(0.125, 14).moved(0.6, 0, 0.39).painted("cream")
    stalk = tube([(0.62, 0.06, 0.45), (0.72, 0.12, 0.74)], 0.03, 8).painted("cream")
    mouth = box(0.03, 0.14, 0.03).moved(0.715, 0, 0.36).painted("dark")
    turns = np.linspace(0, 1, 27)
    angle, reach = -0.5 - 4.4 * np.pi * turns, 0.4 * (1 - turns) ** 0.8
    coil = np.stack([reach * np.cos(angle), 0 * turns, reach * np.sin(angle)], 1) + [-0.12, 0, 0.58]
    shells = [
        tube(coil + [[0, s * 0.14, 0]] * (1 + turns[:, None]) * [0, 1, 0], 0.155 - 0.1 * turns, 12)
        for s in (1, -1)
    ]
    core = ellipsoid(0.42, 0.22, 0.42, 16).moved(-0.12, 0, 0.58)
    return [foot, head, mouth, core, *shells, *_eyes(0.72, 0.12, 0.76, 0.07), *_pairs(stalk)]
