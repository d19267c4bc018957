"""`suite novel_views`: an orbit from one picture, compared with the truth where that is known."""

import json
from pathlib import Path

import pytest
import torch

from suite.io.images import read_image, write_image
from tests.priors.tiny_zero123 import tiny_zero123, zero123_folder

QUICK = "prior=exact_views prior.size=24 steps=1 count=3"


def test_an_orbit_of_a_scene(command):
    """The exact prior's views are the true ones (25 dB at 24 pixels); picture, views, sheet and video are there."""
    done = command(
        f'novel_views scene="a blue car" elevation_deg=20 {QUICK} picture.azimuth_deg=30 out=orbit'
    )
    assert done.status == 0, done.errors
    report = json.loads(Path("orbit/report.json").read_text())
    assert report["measures"]["psnr"] > 25 and report["evaluations"] == 3 * 2  # guided
    names = ["picture", "azimuth_30", "azimuth_150", "azimuth_270", "views"]
    assert all((done.directory / "images" / f"{name}.png").exists() for name in names)
    assert (done.directory / "videos" / "orbit.mp4").exists()


def test_a_file_whose_elevation_is_not_told(command, caplog):
    """The picture of a file is cut out, its elevation estimated, and said."""
    assert (
        command(
            f'novel_views scene="a blue car" elevation_deg=20 {QUICK} prior.size=32 count=1 out=first'
        ).status
        == 0
    )
    picture = read_image("first/images/picture.png").rgb[0]
    large = torch.nn.functional.interpolate(picture[None], scale_factor=3, mode="bicubic").clamp(0, 1)
    write_image("car.png", large[0])
    done = command(f'novel_views image=car.png prompt="a blue car" {QUICK} fps=0 prior.size=32 out=second')
    assert done.status == 0, done.errors
    measures = json.loads(Path("second/report.json").read_text())["measures"]
    assert abs(measures["elevation_deg"] - 20) < 8 and "psnr" not in measures
    assert "car.png, background by plain" in done.errors and "elevation is estimated" in done.errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ('scene="a blue car" count=0 prior=exact_views', "needs count >= 1, steps >= 1 and fps >= 0, got 0"),
        ("prior=exact_views", "Give one picture: image=FILE"),
        ('scene="a blue car" prior=exact', "ToyworldPrior is not told a picture, but words"),
    ],
)
def test_mistakes_are_one_line(command, words, message):
    """Exit status 2 and what to type."""
    done = command(f"novel_views {words}")
    assert done.status == 2 and message in done.errors and done.errors.count("\n") == 1


def test_a_zero123_checkpoint_is_asked_in_the_same_way(command, tmp_path):
    """Random weights in diffusers' layout, told their picture's elevation: an orbit, whatever it shows."""
    path = zero123_folder(tmp_path / "tiny", tiny_zero123())
    line = f'novel_views scene="a blue car" elevation_deg=20 prior=stable_zero123 prior.path={path} steps=2 count=2'
    done = command(f"{line} out=orbit")
    assert done.status == 0, done.errors
    report = json.loads(Path("orbit/report.json").read_text())
    assert report["evaluations"] == 2 * 2 * 2 and 0 < report["measures"]["psnr"] < 25
