"""The picture that everything starts from: of toyworld with its truth, or of a file with its maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from priors.analytic import GaussianPrior
from priors.exact_views import ExactViews
from priors.reference import Picture
from suite.errors import UserError
from suite.io.images import write_image

PRIOR = ExactViews(size=32)


@pytest.fixture
def disk(tmp_path):
    """A red disk with a transparent background, and the paths of maps beside it."""
    y, x = np.mgrid[:40, :50]
    where = (y - 20) ** 2 + (x - 24) ** 2 <= 12**2
    red = torch.tensor([0.8, 0.1, 0.1])[:, None, None].expand(3, 40, 50)
    write_image(tmp_path / "disk.png", red, alpha=torch.from_numpy(where.astype(np.float32))[None])
    write_image(tmp_path / "opaque.png", red)
    Image.fromarray((255 * where).astype(np.uint8)).save(tmp_path / "mask.png")
    ramp = torch.arange(50.0).expand(3, 40, 50) / 50
    write_image(tmp_path / "depth.png", ramp)
    write_image(tmp_path / "normal.png", torch.tensor([0.5, 0.5, 1.0])[:, None, None].expand(3, 40, 50))
    return tmp_path


def test_a_scene_is_seen_from_where_it_is_said():
    """Camera, mask and the true depth: a thing of length 1 lies within half its diagonal of the distance."""
    found = Picture(azimuth_deg=30.0, geometry=True)(PRIOR, scene="a blue car", elevation_deg=15.0)
    assert float(found.camera.azimuth_deg) == pytest.approx(30, abs=1e-3)
    assert found.true_elevation_deg == pytest.approx(15)
    assert found.image.shape == (1, 3, 32, 32) and float(found.image[0, :, 0, 0].min()) == 1
    solid = found.mask > 0.99
    assert 0.05 < float(found.mask.mean()) < 0.5
    assert 1.6 - 0.87 < float(found.depth[solid].min()) < 1.6 < float(found.depth[solid].max()) + 0.5
    facing = found.normals[:, 2:][solid]  # what is seen faces the camera
    assert float((facing > -0.2).float().mean()) > 0.97


def test_an_elevation_that_is_not_told_is_kept_for_the_truth():
    """The picture is taken from 35 degrees; said to be from 10, the camera moves and the picture stays."""
    found = Picture(taken_from_deg=35.0)(PRIOR, scene="a blue car")
    assert found.true_elevation_deg == pytest.approx(35)
    moved = found.at_elevation(10.0)
    assert float(moved.camera.elevation_deg) == pytest.approx(10) and moved.image is found.image


def test_a_file_is_framed_with_its_maps(disk):
    """Depth and normals lie over the picture; a ramp of depth grows by the same step a pixel."""
    picture = Picture(share=25 / 32, depth=str(disk / "depth.png"), normal=str(disk / "normal.png"))
    found = picture(PRIOR, image=str(disk / "disk.png"), elevation_deg=10.0)
    assert found.source == "disk.png, background by alpha" and found.thing is None
    row = found.depth[0, 0, 16, 8:24]
    torch.testing.assert_close(row.diff(), torch.full((15,), 0.02), atol=5e-3, rtol=0)
    torch.testing.assert_close(found.normals[0, :, 16, 16], torch.tensor([0.0, 0.0, 1.0]), atol=0.01, rtol=0)


def test_a_mask_file_instead_of_looking(disk):
    """The same object as by transparency."""
    by_alpha = Picture()(PRIOR, image=str(disk / "disk.png"), elevation_deg=0.0)
    by_mask = Picture(mask=str(disk / "mask.png"))(PRIOR, image=str(disk / "opaque.png"), elevation_deg=0.0)
    torch.testing.assert_close(by_mask.image, by_alpha.image)


def test_smaller_maps_are_means_over_the_object():
    """Resized, depth stays that of the object: the white around it, of depth 0, has no part in it."""
    found = Picture(geometry=True)(PRIOR, scene="a blue car", elevation_deg=15.0)
    small = found.resized(16)
    solid, whole = small.mask > 0.6, found.mask > 0.6
    assert float(found.depth[whole].min()) - 0.05 < float(small.depth[solid].min())
    torch.testing.assert_close(small.normals.norm(dim=1)[solid[:, 0]], torch.ones(int(solid.sum())))
    assert small.camera.width == 16 and found.resized(32) is found


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({}, {}, "Give one picture: image=FILE, or of toyworld scene="),
        ({}, {"image": "a.png", "scene": "a red car"}, "Give one picture"),
        ({}, {"scene": "a red car", "elevation_deg": 95.0}, "within -89 and 89, got 95"),
        ({"distance": 0.3}, {"scene": "a red car"}, "needs distance > 0.6"),
        (
            {"mask": "depth.png"},
            {"image": "small.png"},
            "depth.png is 50 x 40 pixels, the image 20 x 20: they",
        ),
        ({}, {"scene": "a red unicorn"}, "names no object of toyworld"),
        ({}, {"image": "nothing.png"}, "nothing.png"),
    ],
)
def test_mistakes_are_one_line(disk, monkeypatch, options, given, message):
    """What is wrong, and what to type."""
    monkeypatch.chdir(disk)
    write_image("small.png", torch.zeros(3, 20, 20))
    with pytest.raises(UserError, match=message) as caught:
        Picture(**options)(PRIOR, **given)
    assert "\n" not in str(caught.value)


def test_a_prior_of_words_is_refused():
    """It is told no picture."""
    with pytest.raises(UserError, match="GaussianPrior is not told a picture, but words. Type prior=zero123"):
        Picture()(GaussianPrior(), scene="a red car")
