"""The still's ground: what people of toyworld, whose frames are known, leave of it; and that it stays."""

from dataclasses import replace

import pytest
import torch

from suite.geometry.skeletons import COCO_17
from suite.io.images import write_image
from suite.io.poses import write_poses
from suite.rng import generator
from suite.run import Run
from suite.toyworld.animations import Animations
from tests.video.animate.networks import animator
from video.animate.animate_prior import AnimatePrior
from video.animate.files import save
from video.animate_character import AnimateCharacter
from video.ground import is_kept, kept_ground, near, near_object
from video.pose_pictures import pose_pictures
from video.sampling import Sampling


def somebody(seed: int):
    """A still, frames after it, and the poses of all."""
    batch = Animations(size=64, frames=5, backdrops=0.5, split="all").batch(1, seed, 0)
    frames = torch.from_numpy(batch.frames[0]).movedim(-1, 1).float()
    return frames[:1], frames[1:], batch.labels[0].poses


def test_what_changes_is_near_somebody():
    """Of the pixels that truly differ from the still 23 in 25 are near one of both; and most of the rest is far."""
    changed, missed, far = 0, 0, []
    for seed in range(8):
        still, frames, poses = somebody(seed)
        busy = near(poses[:1], 64, 64) | near(poses[1:], 64, 64)
        differ = (frames - still).abs().amax(1) > 0.04
        changed, missed = changed + int(differ.sum()), missed + int((differ & ~busy).sum())
        far.append(float((~busy).float().mean()))
    assert changed > 1000 and missed < 0.08 * changed
    assert sum(far) / len(far) > 0.5


def test_a_skeleton_that_is_not_whole_leaves_the_frame_free():
    """A wrist is missing in one frame; an eye in another, which does not matter."""
    _, _, poses = somebody(0)
    confidence = poses.confidence.clone()
    confidence[1, COCO_17.index("left_wrist")] = 0
    confidence[2, COCO_17.index("left_eye")] = 0
    points = torch.where(confidence[..., None] > 0, poses.points, torch.nan)
    busy = near(replace(poses, points=points, confidence=confidence), 64, 64)
    assert busy[1].all() and not busy[2].all() and not busy[0].all()
    torch.testing.assert_close(busy[0], near(poses[:1], 64, 64)[0])


def test_an_object_without_a_pose():
    """A dark square on white and what is about it; nothing in noise."""
    still = torch.ones(1, 3, 64, 64)
    still[..., 20:44, 24:40] = 0.2
    found = near_object(still)[0]
    assert found[20:44, 24:40].all() and not found[:12].any() and not found[:, :16].any()
    assert near_object(torch.rand(1, 3, 64, 64, generator=generator(0, 0, "noise"))) is None


def test_the_ground_stays(tiny_prior):
    """With a random network: latents that are far from both end as the still's, the others do not."""
    still, frames, poses = somebody(1)
    video = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"), motion=True))
    make = Sampling(video, steps=2, scale=2.0)
    noise, grid = make.noise(5, 64, 64), make.grid()
    known = kept_ground(make, still, near(poses[:1], 64, 64), poses[1:], noise)
    condition = video.embed(still, pose_pictures(poses[1:], 64, 64)[None])
    made = make.path(make.start(grid, noise), condition, grid=grid, known=known)
    given = known.given.expand(-1, made.shape[2], -1, -1)
    assert 0.2 < float(given.float().mean()) < 0.9
    still_again = make.encode(still).expand_as(made)[0]
    assert torch.equal(made[0][given], still_again[given])
    assert (made[0][~given] - still_again[~given]).abs().mean() > 0.1


def test_whose_ground_is_kept():
    """The shipped animator's, unless it is said otherwise."""
    assert is_kept("keep", shipped=False) and is_kept("auto", shipped=True)
    assert not is_kept("make", shipped=True) and not is_kept("auto", shipped=False)


@pytest.mark.parametrize("posed", [True, False])
def test_the_command_keeps_it(posed, tiny_prior, tmp_path, monkeypatch):
    """With the still's pose or by the object in it: the latents in a corner are given, those of the person are not."""
    _, _, poses = somebody(2)
    still, seen, path = torch.ones(1, 3, 64, 64), [], Sampling.path
    still[..., 20:52, 24:40] = 0.2
    write_image(tmp_path / "still.png", still)
    write_poses(tmp_path / "own.json", replace(poses[:1], fps=8.0))
    write_poses(tmp_path / "walk.json", replace(poses, fps=8.0))
    save(animator(tiny_prior("sd15"), motion=True), tmp_path / "animator")
    monkeypatch.setattr(
        Sampling,
        "path",
        lambda *args, known, **options: seen.append(known) or path(*args, known=known, **options),
    )
    for ground in ("keep", "make"):
        task = AnimateCharacter(
            prior=tiny_prior("sd15"), image=str(tmp_path / "still.png"), pose=str(tmp_path / "walk.json"),
            animator=str(tmp_path / "animator"), ground=ground, steps=1, retarget=False,
            image_pose=str(tmp_path / "own.json") if posed else "",
        )  # fmt: skip
        with Run(tmp_path / ground) as run:
            task.run(run)
    kept, made = seen
    assert made is None and kept.given.shape == (len(poses), 1, 8, 8)
    assert kept.given[..., 0, 0].all() and not kept.given[..., 4, 4].any()
