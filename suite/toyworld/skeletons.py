"""Skeletons of people: proportions of bodies, and where a pose puts their joints.

People face +X, +Z is up, their left is +Y. Lengths are such that a person of average build is about 1.3 high.
"""

from dataclasses import dataclass

import numpy as np

from suite.toyworld.poses import Pose
from suite.toyworld.shapes import Number

COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


@dataclass(frozen=True)
class Build:
    """Proportions of a body, as factors of the average: lengths of legs, arms and torso, thickness, head."""

    leg: Number = 1.0
    arm: Number = 1.0
    torso: Number = 1.0
    girth: Number = 1.0
    head: Number = 1.0


BUILDS = {
    "average": Build(),
    "tall": Build(leg=1.3, arm=1.2, torso=1.15, head=0.95),
    "short": Build(leg=0.75, arm=0.85, torso=0.95),
    "slim": Build(leg=1.05, girth=0.75, head=0.95),
    "stout": Build(leg=0.9, girth=1.4),
    "child": Build(leg=0.62, arm=0.72, torso=0.72, girth=0.85, head=1.05),
}


@dataclass(frozen=True)
class Skeleton:
    """Places `3` of the joints and frames `3 3` (columns: ahead, left, up) of what turns with them."""

    joints: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]


def rotation(axis: str, deg: Number) -> np.ndarray:
    """Rotation `3 3` about a coordinate axis, counter-clockwise seen from its tip."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out, c, s = np.eye(3), np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def skeleton(build: Build, pose: Pose) -> Skeleton:
    """Forward kinematics from the pelvis, which stays at the origin."""
    joints, frames = {"pelvis": np.zeros(3)}, {"pelvis": np.eye(3)}
    torso = rotation("z", pose.turn) @ rotation("y", pose.lean)
    frames["torso"] = torso
    joints["neck"] = torso @ [0, 0, 0.42 * build.torso]
    head = frames["head"] = torso @ rotation("z", pose.look) @ rotation("y", pose.nod)
    r = head_radius(build)
    joints["head"] = joints["neck"] + head @ [0.1 * r, 0, 1.1 * r]
    joints["nose"] = joints["head"] + head @ [1.05 * r, 0, -0.1 * r]
    for side, name in ((1.0, "left"), (-1.0, "right")):
        arm, leg = getattr(pose, f"{name}_arm"), getattr(pose, f"{name}_leg")
        joints[f"{name}_eye"] = joints["head"] + head @ [0.86 * r, side * 0.36 * r, 0.12 * r]
        joints[f"{name}_ear"] = joints["head"] + head @ [0, side * r, 0]
        upper = rotation("x", arm.out) @ rotation("y", -arm.forward) @ rotation("z", arm.twist)
        upper, fore = (torso @ _sided(m, side) for m in (upper, upper @ rotation("y", -arm.bend)))
        shoulder = joints[f"{name}_shoulder"] = torso @ [0, side * 0.17 * girth(build), 0.36 * build.torso]
        elbow = joints[f"{name}_elbow"] = shoulder + upper @ [0, 0, -0.22 * build.arm]
        joints[f"{name}_wrist"] = elbow + fore @ [0, 0, -0.2 * build.arm]
        thigh = rotation("x", leg.out) @ rotation("y", -leg.forward)
        thigh, shin, foot = (
            _sided(m, side)
            for m in (thigh, thigh @ rotation("y", leg.bend), thigh @ rotation("y", leg.bend + leg.point))
        )
        hip = joints[f"{name}_hip"] = np.array([0, side * 0.085 * girth(build), -0.02])
        knee = joints[f"{name}_knee"] = hip + thigh @ [0, 0, -0.27 * build.leg]
        joints[f"{name}_ankle"] = knee + shin @ [0, 0, -0.25 * build.leg]
        frames |= {f"{name}_forearm": fore, f"{name}_thigh": thigh, f"{name}_foot": foot}
    return Skeleton(joints, frames)


def head_radius(build: Build) -> Number:
    """Half the width of the head."""
    return 0.165 * build.head


def girth(build: Build) -> Number:
    """Breadth of shoulders and hips, which thickness changes less than it does the limbs."""
    return 0.4 + 0.6 * build.girth


def _sided(matrix: np.ndarray, side: float) -> np.ndarray:
    """The left limb's rotation, or for side -1 its mirror image in the plane y = 0."""
    mirror = np.diag([1.0, side, 1.0])
    return mirror @ matrix @ mirror
