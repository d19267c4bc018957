"""The shapes of people: limbs, torso, head, hair, hat and clothes about the bones of a skeleton."""

from functools import cache

import numpy as np

from suite.toyworld.outfits import Outfit
from suite.toyworld.poses import Pose
from suite.toyworld.shapes import Number, Shape, cylinder, lathe, merge, sphere, tube
from suite.toyworld.skeletons import BUILDS, Build, Skeleton, girth, head_radius, skeleton


def dressed(outfit: Outfit, pose: Pose) -> tuple[list[Shape], Skeleton]:
    """Shapes about the pelvis and the skeleton inside them."""
    build = BUILDS[outfit.build]
    bones = skeleton(build, pose)
    shapes = [*_head(outfit, build, bones), *_torso(outfit, build, bones)]
    for side in ("left", "right"):
        shapes += [*_arm(outfit, build, bones, side), *_leg(outfit, build, bones, side)]
    if pose.stool:
        floor = min(shape.vertices[:, 2].min() for shape in shapes)
        seat = cylinder(0.15 * girth(build), 0.06, segments=14).moved(-0.03, 0, -0.14)
        shapes += [merge([seat, tube([(-0.03, 0, floor), (-0.03, 0, -0.14)], 0.05, 8)], "wood")]
    return shapes, bones


@cache
def _unit_sphere(segments: int) -> Shape:
    return sphere(1.0, segments)


def _ellipsoid(x: Number, y: Number, z: Number, segments: int) -> Shape:
    return _unit_sphere(segments).scaled(x, y, z)


def _placed(shape: Shape, frame: np.ndarray, origin: np.ndarray) -> Shape:
    return Shape(shape.vertices @ frame.T + origin, shape.faces, shape.paint)


def _bone(start: np.ndarray, end: np.ndarray, thick: Number, thin: Number, paint: str) -> Shape:
    """A limb between two joints, round at its end."""
    return merge(
        [tube(np.stack([start, end]), (thick, thin), 10), _ellipsoid(thin, thin, thin, 8).moved(*end)], paint
    )


def _arm(outfit: Outfit, build: Build, bones: Skeleton, side: str) -> list[Shape]:
    shoulder, elbow, wrist = (bones.joints[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    thick = 0.056 * build.girth
    hand = _placed(_ellipsoid(0.045, 0.035, 0.06, 8).moved(z=-0.03), bones.frames[f"{side}_forearm"], wrist)
    sleeve = outfit.shirt if outfit.long_sleeves else outfit.skin
    ball = _ellipsoid(1.1 * thick, 1.1 * thick, 1.1 * thick, 8).moved(*shoulder).painted(outfit.shirt)
    upper = _bone(shoulder, elbow, 1.1 * thick, thick, outfit.shirt)
    return [ball, upper, _bone(elbow, wrist, 0.96 * thick, 0.8 * thick, sleeve), hand.painted(outfit.skin)]


def _leg(outfit: Outfit, build: Build, bones: Skeleton, side: str) -> list[Shape]:
    hip, knee, ankle = (bones.joints[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    thick = 0.08 * (0.3 + 0.7 * build.girth)
    stocking = outfit.lower if outfit.garment == "trousers" else outfit.skin
    shin = _bone(knee, ankle, 0.84 * thick, 0.7 * thick, stocking)
    foot = _placed(
        _ellipsoid(0.115, 0.058, 0.045, 10).moved(0.05, 0, -0.035), bones.frames[f"{side}_foot"], ankle
    )
    if outfit.garment == "skirt":
        hem = hip + 0.85 * (knee - hip)
        cloth = tube(np.stack([hip, hem]), (1.2 * thick, 1.75 * thick), 12).painted(outfit.lower)
        thigh = [cloth, _bone(hem, knee, 0.85 * thick, 0.85 * thick, outfit.skin)]
    else:
        thigh = [_bone(hip, knee, 1.1 * thick, 0.9 * thick, outfit.lower)]
    return [*thigh, shin, foot.painted("dark")]


def _torso(outfit: Outfit, build: Build, bones: Skeleton) -> list[Shape]:
    wide, long = 0.17 * girth(build), 0.42 * build.torso
    waist = 0.78 + 0.9 * max(0.0, build.girth - 1)
    profile = [(0, 0), (0.85, 0.0), (waist, 0.3), (1.02, 0.72), (0.94, 0.9), (0.5, 0.99), (0, 1.0)]
    chest = lathe([(wide * r, long * z) for r, z in profile], 16).scaled(
        x=0.62 + 0.25 * max(0.0, build.girth - 1)
    )
    neck = tube(np.stack([bones.joints["neck"], bones.joints["head"]]), 0.06, 8).painted(outfit.skin)
    hips = _ellipsoid(0.66 * wide, 0.98 * wide, 0.1, 14).moved(z=-0.01).painted(outfit.lower)
    parts = [_placed(chest, bones.frames["torso"], bones.joints["pelvis"]).painted(outfit.shirt), neck, hips]
    if outfit.garment == "skirt":
        thighs = [bones.joints[f"{side}_knee"] - bones.joints[f"{side}_hip"] for side in ("left", "right")]
        hem = 0.85 * sum(thighs) / 2
        parts.append(tube(np.stack([0 * hem, hem]), (0.85 * wide, 1.12 * wide), 16).painted(outfit.lower))
    return parts


def _head(outfit: Outfit, build: Build, bones: Skeleton) -> list[Shape]:
    r = head_radius(build)
    skull = _ellipsoid(0.98, 0.95, 1.08, 14).painted(outfit.skin)
    eye = _ellipsoid(0.14, 0.26, 0.3, 10).painted("white").moved(0.85, 0.38, 0.12)
    pupil = _ellipsoid(0.09, 0.17, 0.21, 10).painted("black").moved(0.96, 0.39, 0.11)
    ear = _ellipsoid(0.16, 0.12, 0.24, 8).painted(outfit.skin).moved(0, 0.96, 0)
    nose = _ellipsoid(0.14, 0.14, 0.14, 8).painted(outfit.skin).moved(0.98, 0, -0.13)
    mouth = _ellipsoid(0.1, 0.3, 0.08, 10).painted("red").moved(0.84, 0, -0.5)
    pairs = [side for part in (eye, pupil, ear) for side in part.mirrored()]
    parts = [skull, nose, mouth, *pairs, *_hair(outfit), *_hat(outfit)]
    return [_placed(part.scaled(r, r, r), bones.frames["head"], bones.joints["head"]) for part in parts]


def _hair(outfit: Outfit) -> list[Shape]:
    """About a head of radius 1."""
    if outfit.hairstyle == "bald":
        return []
    hair = [_ellipsoid(1.03, 1.05, 1.05, 12).moved(-0.2, 0, 0.2)]
    if outfit.hairstyle == "long":
        hair.append(_ellipsoid(0.55, 1.1, 1.35, 12).moved(-0.55, 0, -0.55))
    if outfit.hairstyle == "bun":
        hair.append(_ellipsoid(0.46, 0.46, 0.46, 10).moved(*((-1.25, 0, 0) if outfit.hat else (-0.75, 0, 1))))
    return [part.painted(outfit.hair) for part in hair]


def _hat(outfit: Outfit) -> list[Shape]:
    """About a head of radius 1."""
    profile = [(0, 0.4), (1.1, 0.4), (1.1, 0.4), (1.1, 0.75), (0.85, 1.15), (0.4, 1.36), (0, 1.4)]
    crown = lathe(profile, 14).moved(-0.12)
    brim = _ellipsoid(0.75, 0.8, 0.07, 12).moved(0.85, 0, 0.5)
    if outfit.hat == "sun hat":
        brim = cylinder(1.85, 0.1, segments=18).moved(-0.05, 0, 0.48)
    return [part.painted(outfit.hat_color) for part in (crown, brim)] if outfit.hat else []
