"""Poses as coloured skeletons: where what is drawn, in which colour, and what is left out."""

import colorsys

import pytest
import torch

from suite.geometry.skeletons import COCO_17, COCO_18, Poses
from video.pose_pictures import COLORS, LIMBS, capsule, pose_pictures

OPENPOSE = (  # its 18 colours, of 255
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip


def spread(names=COCO_18, there=None, size=None) -> Poses:
    """Joints on a grid, 20 pixels apart, in pixel centres."""
    points = torch.tensor([[20.5 + 20 * (k % 6), 20.5 + 20 * (k // 6)] for k in range(len(names))])
    confidence = torch.ones(1, len(names))
    for k, name in enumerate(names):
        confidence[0, k] = float(there is None or name in there)
    return Poses(points[None], confidence, tuple(names), size=size)


def test_joints_have_openpose_colours():
    """The pixel of each joint has its colour; there are 17 limbs and 18 joints."""
    assert tuple(tuple(round(255 * x) for x in color) for color in COLORS) == OPENPOSE and len(LIMBS) == 17
    (picture,) = pose_pictures(spread(), 100, 160)
    for k, color in enumerate(OPENPOSE):
        x, y = 20 + 20 * (k % 6), 20 + 20 * (k // 6)
        torch.testing.assert_close(picture[:, y, x] * 255, torch.tensor(color).float(), atol=0.01, rtol=0)
        assert colorsys.rgb_to_hsv(*picture[:, y, x].tolist())[1] > 0.99


def test_a_limb_is_dimmed_and_of_its_own_colour():
    """Half way from the neck to the right shoulder: OpenPose's first colour at 0.6."""
    (picture,) = pose_pictures(spread(there=("neck", "right_shoulder")), 100, 160)
    assert torch.allclose(picture[:, 20, 50], 0.6 * torch.tensor([1.0, 0.0, 0.0]))
    assert float(picture[:, 40:].abs().max()) == 0  # nothing else is there


def test_what_is_missing_is_not_drawn():
    """A missing end takes its limbs with it, wherever its point is said to be; nobody is black."""
    there = tuple(name for name in COCO_18 if name != "left_knee")
    (picture,) = pose_pictures(spread(there=there), 100, 160)
    k = COCO_18.index("left_knee")
    x, y = 20 + 20 * (k % 6), 20 + 20 * (k // 6)
    assert float(picture[:, y, x].max()) == 0
    poses = spread(there=())
    wild = Poses(poses.points * float("nan"), poses.confidence, poses.names)
    assert float(pose_pictures(wild, 32, 48).abs().max()) == 0


def test_a_capsule_has_the_area_of_a_capsule():
    """2 r L + pi r^2, to the softness of its edge; and pictures of another size are scaled."""
    covered = capsule(torch.tensor([[20.0, 30.0]]), torch.tensor([[60.0, 45.0]]), 5.0, 80, 90)
    length = (40**2 + 15**2) ** 0.5
    assert float(covered.sum()) == pytest.approx(2 * 5 * length + 3.14159 * 25, rel=0.01)
    poses = spread(size=(100, 160))
    assert pose_pictures(poses, 50, 80).shape == (1, 3, 50, 80)
    half = pose_pictures(poses, 50, 80)[0, :, 10, 10]
    assert float(half[0]) > 0.5 and float(half[2]) < 0.2  # the nose: red


def test_the_neck_of_coco_is_the_middle_of_the_shoulders():
    """COCO's 17 joints have no neck; poses in space cannot be drawn."""
    poses = spread(COCO_17, there=("left_shoulder", "right_shoulder"))
    a, b = (poses.joint(f"{side}_shoulder")[0][0] for side in ("left", "right"))
    x, y = ((a + b) / 2).tolist()
    (picture,) = pose_pictures(poses, 100, 160)
    assert torch.allclose(picture[:, int(y), int(x)], torch.tensor(COLORS[1]), atol=0.35)
    with pytest.raises(ValueError, match="project those in the world by a camera first"):
        pose_pictures(Poses(torch.zeros(1, 17, 3), torch.ones(1, 17)), 8, 8)
