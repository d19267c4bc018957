"""Poses drawn as coloured skeletons on black, in OpenPose's colours and order (Cao et al. 2018, arXiv:1812.08008).

    limbs     capsules of OpenPose's 17 colours at 0.6 of their brightness, later ones above earlier ones
    joints    discs of its 18 colours, above all limbs
    radius    of both 1/128 of the picture's shorter side: 4 pixels at 512, as OpenPose draws; at least 0.75 pixels

Edges are a pixel wide and soft, so that a small picture still tells where a joint is. What is missing is not drawn,
nor is a limb with a missing end.
"""

import colorsys

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.skeletons import COCO_18, Poses
from suite.types import Images

LIMBS = (
    ("neck", "right_shoulder"), ("neck", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("neck", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear"), ("nose", "left_eye"),
    ("left_eye", "left_ear"),
)  # fmt: skip
COLORS = tuple(  # 18 hues around the circle, in steps of 85 of 255 as OpenPose has them
    tuple(round(255 * x) // 85 * 85 / 255 for x in colorsys.hsv_to_rgb(k / 18, 1.0, 1.0)) for k in range(18)
)
DIMMED = 0.6


def pose_pictures(poses: Poses, height: int, width: int, *, radius: float | None = None) -> Images:
    """One picture a frame.

    Args:
        poses: In the pixels of a picture of this size, or of another of known size, to which they are then scaled.
        radius: Of joints and half the width of limbs, in pixels; None is as the module's docstring says.

    Raises:
        ValueError: The poses are in space: they must be projected by a camera first.
    """
    if poses.points.shape[-1] != 2:
        raise ValueError("Only poses in pixels can be drawn: project those in the world by a camera first.")
    if poses.size is not None and poses.size != (height, width):
        poses = poses.scaled(height, width)
    chosen = poses.selected(COCO_18)
    points, there = chosen.points.float(), (chosen.confidence > 0).float()
    points = torch.where(there[..., None] > 0, points, 0.0)
    radius = max(0.75, min(height, width) / 128) if radius is None else float(radius)
    index = {name: k for k, name in enumerate(COCO_18)}
    canvas = torch.zeros(len(points), 3, height, width)
    for (one, other), color in zip(LIMBS, COLORS):
        a, b = index[one], index[other]
        covered = capsule(points[:, a], points[:, b], radius, height, width)
        canvas = _over(canvas, covered * (there[:, a] * there[:, b])[:, None, None], color, DIMMED)
    for k, color in enumerate(COLORS):
        covered = capsule(points[:, k], points[:, k], radius, height, width)
        canvas = _over(canvas, covered * there[:, k, None, None], color, 1.0)
    return canvas


def capsule(
    a: Float[Tensor, "f 2"], b: Float[Tensor, "f 2"], radius: float, height: int, width: int
) -> Float[Tensor, "f h w"]:
    """How much of each pixel lies within `radius` of the segment from a to b: a ramp one pixel wide at its edge."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1)[None]  # 1 h w 2
    along = (b - a)[:, None, None]
    away = pixels - a[:, None, None]
    part = (away * along).sum(-1) / (along * along).sum(-1).clamp_min(1e-9)
    distance = (away - part.clamp(0, 1)[..., None] * along).norm(dim=-1)
    return (radius + 0.5 - distance).clamp(0, 1)


def _over(
    canvas: Images, covered: Float[Tensor, "f h w"], color: tuple[float, ...], brightness: float
) -> Images:
    painted = brightness * canvas.new_tensor(color)[:, None, None]
    return canvas + covered[:, None] * (painted - canvas)
