"""`suite video_to_video`: rate, length and shape of the source are kept; little noise stays near it."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.io.images import read_image
from suite.io.videos import VideoFile, write_video
from suite.rng import generator
from suite.run import Run
from video.motion.building import fresh
from video.video_to_video import VideoToVideo
from video.windows import Windows


@pytest.fixture(scope="module")
def image(tiny_prior):
    return tiny_prior("sd15")


@pytest.fixture
def source(tmp_path):
    """Five frames of 21 x 33 pixels, each of one colour, 12 a second, without loss."""
    path = tmp_path / "source.webp"
    write_video(
        path,
        torch.rand(5, 3, 1, 1, generator=generator(0, 0, "source")).expand(-1, -1, 21, 33),
        12,
        lossless=True,
    )
    return path


def run_task(folder, **options) -> dict:
    with Run(folder) as run:
        VideoToVideo(**({"prompt": "a red car", "steps": 2, "scale": 1.0} | options)).run(run)
    return json.loads((folder / "report.json").read_text())["measures"]


def test_rate_length_and_shape_are_kept(command, tiny_folder, source):
    """21 x 33 becomes 64 x 104, the nearest multiples of 8; 12 frames a second stay; the source is at the left."""
    done = command(
        f"video_to_video video={source} motion=null prior=sd15 prior.path={tiny_folder('sd15')} steps=1 "
        "strength=0.3 out=run 'prompt=a red car'"
    )
    assert done.status == 0, done.errors
    made, both = (VideoFile(done.directory / "videos" / f"{name}.mp4") for name in ("clip", "side_by_side"))
    assert len(made) == len(both) == 5 and made.fps == both.fps == pytest.approx(12, rel=0.02)
    assert made.size == (64, 104) and both.size == (64, 208)
    left = both.read([0])[..., :104]
    assert (left - VideoFile(source).read([0])[..., :1, :1]).abs().mean() < 0.03


def test_strength_is_where_the_source_meets_noise(image, source):
    """Sampling begins at alpha x_0 + sigma eps of the time strength times the first of the whole path (SDEdit)."""
    task = VideoToVideo(prior=image, video=str(source), prompt="a red car", strength=0.3, steps=4)
    make, (frames,) = task.generation, task.source_frames()
    x_0, eps = make.encode(frames), make.noise(5, *task.size)
    first = 0.3 * image.schedule.times(4)[:1]
    (alpha,), (sigma,) = image.schedule.alpha_sigma(first)
    start = make.start(task.grid, eps, x_0)
    torch.testing.assert_close(start, float(alpha) * x_0 + float(sigma) * eps)
    assert 0 < float(sigma) < 0.6 and len(task.grid) == 4


def test_windows_and_files_change_nothing_without_motion(image, source, tmp_path, monkeypatch):
    """Modules that do nothing, windows of two frames, frames kept in files: the same pictures, and nothing is left."""
    options = {"prior": image, "video": str(source), "frames": 4}
    run_task(tmp_path / "whole", **options, side_by_side=False)
    assert not (tmp_path / "whole" / "videos" / "side_by_side.mp4").exists()
    monkeypatch.setattr("video.products.IN_MEMORY", 0)
    windows = Windows(length=2, overlap=1)
    run_task(tmp_path / "parts", **options, motion=fresh(image.unet), windows=windows)
    a, b = (read_image(tmp_path / name / "images" / "strip.png").rgb for name in ("whole", "parts"))
    assert (a - b).abs().max() <= 2 / 255
    assert not list((tmp_path / "parts" / "videos").glob(".*"))


def test_another_rate_and_fewer_frames(image, source, tmp_path):
    """At half the rate every second frame; at most as many as are asked for."""
    write_video(tmp_path / "six.gif", torch.rand(6, 3, 16, 16, generator=generator(0, 0, "six")), 10)
    task = VideoToVideo(prior=image, video=str(tmp_path / "six.gif"), prompt="a red car", fps=5.0)
    assert task.indices == [0, 2, 4] and task.fps == 5
    assert VideoToVideo(prior=image, video=str(source), prompt="a red car", frames=3).indices == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"video": "none.mp4"}, "There is no video at none.mp4"),
        ({"strength": 0.0}, "strength=0 is not possible"),
        ({"strength": 1.01}, "strength=1.01 is not possible"),
        ({"frames": -1}, "frames must be positive, or 0 for all, got -1"),
        ({"frames": 1}, "gives one frame: a still becomes a clip with suite image_to_video image=FILE"),
        ({"fps": 0.0}, "fps is how many frames are shown in a second: above 0, got 0"),
        ({"height": 30}, "height=30 is not possible: this prior's frames are multiples of 8 pixels, as 32"),
        ({"fit": "cutout"}, "fit='cutout' is not one of: crop, pad, stretch"),
        ({"prompt": {0: "a red car", 5: "a blue car"}}, "stop at frame 5, and the clip's frames are 0 to 4"),
    ],
)
def test_bad_input_is_one_line(image, source, options, message):
    """Said before anything is made, with the way out."""
    with pytest.raises(UserError, match=message):
        VideoToVideo(**({"prior": image, "video": str(source), "prompt": "a red car"} | options))


def test_a_still_is_no_video(image, tmp_path):
    """A single frame is sent to the other task."""
    write_video(tmp_path / "one.gif", torch.rand(1, 3, 16, 16), 8)
    with pytest.raises(UserError, match="one.gif gives one frame"):
        VideoToVideo(prior=image, video=str(tmp_path / "one.gif"), prompt="a red car")
