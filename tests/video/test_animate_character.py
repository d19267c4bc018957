"""`suite animate_character`: what is read, made and refused; with random networks."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17, Poses
from suite.io.images import write_image
from suite.io.poses import read_poses, write_poses
from suite.io.videos import VideoFile, write_video
from suite.rng import generator
from suite.run import Run
from tests.video.animate.networks import animator
from video.animate.files import save
from video.animate_character import AnimateCharacter
from video.pose_detection import PoseDetector
from video.pose_pictures import pose_pictures
from video.windows import Windows


@pytest.fixture(scope="module")
def given(tiny_prior, tmp_path_factory):
    """A folder with an animator of random weights, a still, a skeleton file of 5 frames and the same drawn."""
    folder = tmp_path_factory.mktemp("given")
    save(animator(tiny_prior("sd15"), motion=True), folder / "animator")
    write_image(folder / "still.png", torch.rand(3, 64, 64, generator=generator(0, 0, "still")))
    write_poses(folder / "walk.json", motion())
    write_video(folder / "drawn.gif", pose_pictures(motion(), 64, 64), 10)
    write_video(folder / "film.gif", torch.rand(4, 3, 64, 64, generator=generator(0, 0, "film")), 10)
    return folder


def motion(frames: int = 5) -> Poses:
    """Somebody who drifts to the right."""
    points = torch.rand(1, 17, 2, generator=generator(0, 0, "pose")) * 40 + 10
    drift = torch.arange(frames, dtype=torch.float32)[:, None, None] * torch.tensor([1.0, 0.0])
    return Poses(points + drift, torch.ones(frames, 17), COCO_17, fps=10.0, size=(64, 64))


def task(prior, folder, **options) -> AnimateCharacter:
    asked = {"image": folder / "still.png", "pose": folder / "walk.json", "animator": folder / "animator"}
    words = {name: str(options.pop(name, path)) for name, path in asked.items()}
    return AnimateCharacter(prior=prior, **({"steps": 2} | words | options))


def test_a_run(tiny_prior, given, tmp_path):
    """Clip, clip beside still and pose, the poses, measures; as many frames as poses, at their rate."""
    asked = task(tiny_prior("sd15"), given, retarget=False)
    with Run(tmp_path / "run") as run:
        asked.run(run)
    clip, beside = (VideoFile(tmp_path / "run" / "videos" / f"{name}.mp4") for name in ("clip", "beside"))
    assert len(clip) == len(beside) == 5 and beside.size == (64, 3 * 64)
    assert clip.fps == pytest.approx(10) and beside.fps == pytest.approx(10)
    kept = read_poses(tmp_path / "run" / "poses.json")
    torch.testing.assert_close(kept.points, motion().points, atol=2e-3, rtol=0)
    assert torch.equal(asked.pictures, pose_pictures(asked.poses, 64, 64))
    report = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    assert report["frames"] == 5 and "pose_pck" not in report
    for name in ("still", "poses", "strip", "contact_sheet"):
        assert (tmp_path / "run" / "images" / f"{name}.png").exists()


def test_drawn_poses_are_taken_as_they_are(tiny_prior, given):
    """The same skeletons from a file and from a video: the same pictures, but for the video's palette."""
    read = task(tiny_prior("sd15"), given, retarget=False)
    drawn = task(tiny_prior("sd15"), given, pose=given / "drawn.gif")
    assert drawn.poses is None and drawn.fps == 10
    assert float((drawn.pictures - read.pictures).abs().mean()) < 0.005 < 0.02 < float(read.pictures.mean())


def test_a_driving_video_is_looked_at(tiny_prior, given, tmp_path):
    """What the detector finds is laid over the still; and found again in the result, to measure it."""

    class Finds(PoseDetector):
        def __call__(self, frames) -> Poses:
            poses = motion(len(frames))
            return Poses(poses.points, poses.confidence, COCO_17, size=tuple(frames.shape[-2:]))

    asked = task(tiny_prior("sd15"), given, pose=given / "film.gif", detector=Finds())
    torch.testing.assert_close(asked.poses.points, motion(4).points, atol=1e-3, rtol=0)
    with Run(tmp_path / "run") as run:
        asked.run(run)
    report = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    assert report["pose_pck"] == 1 and report["pose_distance"] == pytest.approx(0, abs=1e-4)


def test_long_motions_are_seen_through_windows(tiny_prior, given):
    """More poses than the modules have positions for: windows; without them an error that says so."""
    write_poses(given / "long.json", motion(9))
    asked = task(tiny_prior("sd15"), given, pose=given / "long.json", windows=Windows(length=4, overlap=2))
    assert len(asked.pictures) == 9
    with pytest.raises(UserError, match="8"):
        task(tiny_prior("sd15"), given, pose=given / "long.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "dance"}, "kind='dance' is not one of"),
        ({"fit": "tight"}, "fit='tight' is not one of"),
        ({"frames": -1}, "frames must be positive"),
        ({"fps": 0.0}, "above 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"height": 60}, "multiples of"),
        ({"pose": "film.gif"}, "no skeletons drawn on black"),
        ({"pose": "film.gif", "kind": "driving"}, "detector=blazepose"),
        ({"ground": "grass"}, "ground='grass' is not one of: auto, keep, make"),
        ({"pose": "drawn.gif", "ground": "keep"}, "drawn skeletons do not say"),
        ({"pose": "missing.bvh"}, "no file of poses"),
        ({"image_pose": "walk.json", "fit": "cutout"}, "fit=pad"),
        ({"animator": "nowhere"}, "no folder of an animator"),
        ({"animator": "pocket"}, "belongs to other weights of this prior"),
    ],
)
def test_what_cannot_be_done(options, message, tiny_prior, given):
    paths = {k: given / v for k, v in options.items() if k in ("pose", "image_pose")}
    paths = {k: str(v) for k, v in paths.items()}
    with pytest.raises(UserError, match=message):
        task(tiny_prior("sd15"), given, **(options | paths))
