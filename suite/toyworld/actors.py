"""People who do something: one person in the poses of a motion, on the same ground and at the same scale."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from suite.geometry.rigs import Rig
from suite.geometry.skeletons import coco_of_rig
from suite.toyworld.bodies import dressed
from suite.toyworld.objects import Surface, assemble, painted
from suite.toyworld.outfits import Outfit
from suite.toyworld.poses import Pose
from suite.toyworld.skeletons import COCO_JOINTS


def acted(outfit: Outfit, poses: Sequence[Pose]) -> tuple[tuple[Surface, ...], np.ndarray]:
    """A person in several poses: a surface for each, all of the same faces, and COCO's joints `f 17 3`.

    One normalisation for all: the box around everything that the person does is about the origin, its longest side 1.

    Args:
        poses: With a stool in all of them, or in none.
    """
    drawn = [_grounded(outfit, pose) for pose in poses]
    if len({len(surface.faces) for surface, _ in drawn}) > 1:
        raise ValueError("Poses of one motion need the same parts: a stool in all of them, or in none.")
    boxes = np.array([(surface.vertices.min(0), surface.vertices.max(0)) for surface, _ in drawn])
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
    middle, longest = (low + high) / 2, (high - low).max()
    surfaces = [replace(s, vertices=((s.vertices - middle) / longest).astype(np.float32)) for s, _ in drawn]
    return tuple(surfaces), (np.stack([joints for _, joints in drawn]) - middle) / longest


def _grounded(outfit: Outfit, pose: Pose) -> tuple[Surface, np.ndarray]:
    """Surface and joints `17 3`, not normalised: the lowest point at the pose's lift, the pelvis at x = y = 0."""
    shapes, bones = dressed(outfit, pose)
    vertices = np.concatenate([shape.vertices for shape in shapes]).astype(np.float64)
    up = np.array([0, 0, pose.lift - vertices[:, 2].min()])
    joints = np.array([bones.joints[name] for name in COCO_JOINTS])
    return replace(painted(assemble(shapes)), vertices=vertices + up), joints + up


def animated(rig: Rig, animation: str, frames: int) -> tuple[tuple[Surface, ...], np.ndarray]:
    """A rigged character in one of its animations: a surface for each of `frames` moments, and COCO's joints `f 17 3`.

    Evenly spaced from beginning to end, normalised as `acted` is. It has to face +X, as glTF's +Z does.
    """
    name = rig.animation(animation)
    times = np.linspace(0, rig.duration(name), frames)
    posed = [rig.posed(name, time) for time in times]
    points = torch.from_numpy(np.stack([rig.joints(name, time) for time in times])).float()
    joints = coco_of_rig(points, rig.names).points.double().numpy()
    low = np.min([vertices.min(0) for vertices, _ in posed], 0)
    high = np.max([vertices.max(0) for vertices, _ in posed], 0)
    middle, longest = (low + high) / 2, (high - low).max()
    faces, colors = rig.faces, rig.colors
    plain = np.zeros(len(colors), bool)
    surfaces = [
        Surface(((v - middle) / longest).astype(np.float32), faces, n.astype(np.float32), colors, plain)
        for v, n in posed
    ]
    return tuple(surfaces), (joints - middle) / longest
