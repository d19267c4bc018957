"""The still warped by its skeleton, where the answer is known."""

import torch

from suite.geometry.skeletons import COCO_17, Poses
from suite.rng import generator
from suite.toyworld.animations import Animations
from video.skeleton_warp import warped_by_skeleton


def somebody(seed: int) -> tuple[torch.Tensor, Poses]:
    """Frames of a person before a plain background, and the poses."""
    batch = Animations(size=64, frames=3, backdrops=0.0, split="all").batch(1, seed, 0)
    return torch.from_numpy(batch.frames[0]).movedim(-1, 1).float(), batch.labels[0].poses


def of(poses: Poses, points: torch.Tensor) -> Poses:
    return Poses(points, torch.ones(points.shape[:2]), poses.names, size=poses.size)


def test_the_same_pose_gives_the_still():
    frames, poses = somebody(0)
    same = warped_by_skeleton(frames[:1], poses[:1], of(poses, poses.points[[0, 0]]))
    inside = (same - frames[[0, 0]]).abs().amax(1)
    assert float((inside > 0.02).float().mean()) < 0.01


def test_a_shifted_pose_shifts_the_person():
    """5 pixels to the right: the picture shifted by 5, but for what the frame's edge cut off."""
    frames, poses = somebody(1)
    moved = warped_by_skeleton(frames[:1], poses, of(poses, poses.points[:1] + torch.tensor([5.0, 0.0])))
    difference = (moved[..., 6:-6] - frames[:1].roll(5, -1)[..., 6:-6]).abs().amax(1)
    assert float((difference > 0.1).float().mean()) < 0.02


def test_a_turned_bone_turns_what_is_about_it():
    """A dot beside the middle of a forearm stays beside it when the forearm is turned about the elbow by a quarter."""
    points = 3 * torch.rand(1, 17, 2, generator=generator(0, 0, "far")) + torch.tensor(
        [9.0, -30.0]
    )  # all else is above
    elbow, wrist = (COCO_17.index(f"left_{name}") for name in ("elbow", "wrist"))
    points[0, elbow], points[0, wrist] = torch.tensor([10.0, 10.0]), torch.tensor([22.0, 10.0])
    still = torch.ones(1, 3, 48, 48)
    still[..., 10:12, 15:17] = 0  # around (16, 11), one pixel below the bone
    turned = points.clone()
    turned[0, wrist] = torch.tensor([10.0, 22.0])
    made = 1 - warped_by_skeleton(still, Poses(points, torch.ones(1, 17)), Poses(turned, torch.ones(1, 17)))
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    dark = made[0, 0]
    assert abs(float((dark * x).sum() / dark.sum()) - 9.0) < 0.7
    assert abs(float((dark * y).sum() / dark.sum()) - 16.0) < 0.7
