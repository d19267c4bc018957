"""People who do something: one person in the poses of a motion, on the same ground and at the same scale."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
