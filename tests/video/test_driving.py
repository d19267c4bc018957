"""What drives a character: rates, cameras, proportions and places, against figures whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17, Poses
from suite.io.images import write_image
from suite.rng import generator
from suite.toyworld.actors import acted
from suite.toyworld.animations import seen
from suite.toyworld.characters import random_outfit
from suite.toyworld.dataset import orbit
from suite.toyworld.motions import PEOPLE
from suite.toyworld.poses import POSES
from suite.toyworld.render import Lights
from suite.toyworld.takes import Take
from video.driving import at_rate, extent_of, flat, laid_over, points_fitted, seen_by_camera
from video.framing import fitted


def person(poses, *, size: int = 128):
    """Frames `f 3 h w` of somebody on white, with joints in the world and in pixels."""
    surfaces, joints = acted(random_outfit(np.random.default_rng(3)), poses)
    camera, count = orbit(np.zeros(1), np.full(1, 5.0), np.full(1, 1.8))[0], len(poses)
    lights = Lights(
        np.tile([[1.0, 0, 0.5]], (count, 1)).astype(np.float32), np.full(count, 0.6), np.full(count, 0.4)
    )
    take = Take(
        surfaces, np.tile(camera, (count, 1, 1)), np.full(count, 40.0), lights, np.ones(3), size, None, joints
    )
    frames = torch.from_numpy(take.frames()).movedim(-1, 1).float()
    in_world = Poses(torch.from_numpy(joints).float(), torch.ones(count, 17))
    pixels = Poses(
        torch.from_numpy(seen(joints, camera, 40.0, size)).float(), torch.ones(count, 17), size=(size, size)
    )
    return frames, in_world, pixels


def test_rates():
    """Every third of 30 frames a second are 10; poses that do not say their rate stay as they are."""
    points = torch.arange(30.0)[:, None, None].expand(30, 17, 2)
    poses = Poses(points, torch.ones(30, 17), fps=30.0)
    assert (
        at_rate(poses, 10).points[:, 0, 0].tolist() == list(range(0, 30, 3)) and at_rate(poses, 10).fps == 10
    )
    assert len(at_rate(poses, None, 4)) == 4 and len(at_rate(replace(poses, fps=None), 10)) == 30
    with pytest.raises(UserError, match="one frame"):
        at_rate(poses, None, 1)


def test_whoever_walks_in_the_world_faces_the_camera():
    """Turned about the upright axis and carried along the ground, the same picture; from behind, mirrored sides."""
    _, poses, _ = person([POSES["standing"](0.0), PEOPLE["waving"](0.3)])
    front = seen_by_camera(poses)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    away = replace(poses, points=poses.points @ turn.T + torch.tensor([[[0.0, 0, 0]], [[3.0, -2, 0]]]))
    torch.testing.assert_close(seen_by_camera(away).points, front.points, atol=1e-5, rtol=0)
    left, right = (front.joint(f"{side}_shoulder")[0][0, 0] for side in ("left", "right"))
    assert left > 0.5 > right and front.joint("nose")[0][0, 1] < front.joint("neck")[0][0, 1]
    behind = seen_by_camera(poses, azimuth_deg=180.0)
    assert behind.joint("left_shoulder")[0][0, 0] < behind.joint("right_shoulder")[0][0, 0]
    assert flat(front) is front


def test_a_standing_person_is_found_by_its_outline():
    """The motion of the same person from space, laid over the still: each joint where it is in the picture."""
    still, in_world, pixels = person([POSES["standing"](0.0)])
    frames = Poses(in_world.points.expand(2, -1, -1), torch.ones(2, 17))
    laid = laid_over(flat(frames, elevation_deg=5.0), still)
    rows = (still < 0.95).any(1)[0].any(1).nonzero()
    stature = float(rows[-1] - rows[0])
    assert float((laid.points[0] - pixels.points[0]).norm(dim=-1).max()) < 0.05 * stature


def test_motion_of_another_size_becomes_the_stills_own():
    """A planar motion, twice as large and elsewhere, with the still's pose given: what it was, on its ground."""
    upright = person([POSES["standing"](0.0)])[2]
    turned = []
    for angle in (0.0, 0.4):  # about the pelvis, so that lengths stay
        c, s = np.cos(angle), np.sin(angle)
        pelvis = upright.joint("pelvis")[0][0]
        turned.append(
            (upright.points[0] - pelvis) @ torch.tensor([[c, s], [-s, c]], dtype=torch.float32) + pelvis
        )
    motion = Poses(torch.stack(turned) * 2 + 30, torch.ones(2, 17))
    laid = laid_over(motion, torch.ones(1, 3, 128, 128), own=upright)
    for k in range(2):
        spread = laid.points[k] - laid.joint("pelvis")[0][k]
        torch.testing.assert_close(spread, turned[k] - pelvis, atol=1e-3, rtol=0)
    lowest = max(float(laid.joint(f"{side}_ankle")[0][:, 1].max()) for side in ("left", "right"))
    ground = max(float(upright.joint(f"{side}_ankle")[0][0, 1]) for side in ("left", "right"))
    assert lowest == pytest.approx(ground, abs=1e-3)


def test_as_given_is_only_scaled():
    poses = Poses(torch.full((2, 17, 2), 10.0), torch.ones(2, 17), size=(20, 40))
    laid = laid_over(poses, torch.ones(1, 3, 40, 40), as_given=True)
    assert laid.points[0, 0].tolist() == [10.0, 20.0]
    with pytest.raises(UserError, match="retarget=true"):
        laid_over(replace(poses, size=None), torch.ones(1, 3, 40, 40), as_given=True)


def test_extent_of_the_still():
    """A bar from row 5 to 25 and column 8 to 12 on white; of a picture without an object, most of it."""
    still = torch.ones(1, 3, 40, 40)
    still[..., 5:25, 8:12] = 0.2
    assert extent_of(still) == (5.0, 25.0, 10.0)
    noise = torch.rand(1, 3, 40, 40, generator=generator(0, 0, "noise"))
    assert extent_of(noise) == (4.0, 36.0, 20.0)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_stills_own_pose_is_fitted_as_the_still(fit, tmp_path):
    """A black blot in the file and a joint at its middle are at the same place of the frame."""
    picture = torch.ones(1, 3, 40, 80)
    picture[..., 17:23, 37:43] = 0
    write_image(tmp_path / "still.png", picture)
    own = Poses(torch.tensor([[[20.0, 10.0]]]), torch.ones(1, 1), ("nose",), size=(20, 40))
    got = points_fitted(own, tmp_path / "still.png", 32, 24, fit)
    dark = 1 - fitted(picture, 32, 24, fit)[0, 0]
    y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    middle = torch.stack([(dark * x).sum(), (dark * y).sum()]) / dark.sum()
    torch.testing.assert_close(got.points[0, 0], middle, atol=0.3, rtol=0)


def test_what_cannot_drive():
    nobody = Poses(torch.zeros(2, 17, 2), torch.zeros(2, 17))
    with pytest.raises(UserError, match="nobody"):
        laid_over(nobody, torch.ones(1, 3, 8, 8))
    face = torch.zeros(2, 17)
    face[:, :5] = 1
    with pytest.raises(UserError, match="neither legs nor a torso"):
        laid_over(Poses(torch.rand(2, 17, 2), face, COCO_17), torch.ones(1, 3, 8, 8))
