"""Scenes: toyworld's pictures agree with the cameras' rays; lenses bend back."""

import pytest
import torch
from scenery import seeded

from nerf.scenes import Scene, load, spread_cameras, undistorted
from suite.errors import UserError
from suite.geometry.cameras import Cameras


def test_rays_are_those_of_the_cameras():
    """A scene without distortion has the rays of `Cameras`."""
    cameras = Cameras.orbit([10.0, 100.0], 20.0, 1.8, 40.0, height=6, width=8)
    scene = Scene(
        pixels=torch.zeros(2, 6, 8, 3, dtype=torch.uint8),
        world_from_camera=cameras.world_from_camera,
        focal=cameras.focal_px[:, None].expand(2, 2),
        center=cameras.center_px,
        distortion=torch.zeros(2, 4),
        held_out=torch.tensor([False, True]),
    )
    ours, theirs = scene.picture_rays(1), cameras[1].rays()
    torch.testing.assert_close(ours.directions, theirs.directions)
    torch.testing.assert_close(ours.origins, theirs.origins)


def test_undistorting_inverts_opencv():
    """Points bent by OpenCV's formula come back; no distortion changes nothing."""
    k1, k2, p1, p2 = lens = torch.tensor([-0.12, 0.03, 0.002, -0.001])
    p = torch.rand(50, 2, generator=seeded()) - 0.5
    x, y = p.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    bent = torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=-1,
    )
    torch.testing.assert_close(undistorted(bent, lens.expand(50, 4)), p, rtol=0, atol=1e-5)
    assert torch.equal(undistorted(p, torch.zeros(50, 4)), p)


def test_toyworld_pictures_are_where_the_rays_say():
    """The rays through opaque pixels meet the object's box, those through its outside miss most of it, and
    colours are not multiplied by alpha: a red mushroom's edge is as red as its middle."""
    scene = load(source="a red mushroom", views=4, held_out=2, size=48)
    assert scene.pixels.shape == (6, 48, 48, 4) and scene.held_out.tolist() == [False] * 4 + [True] * 2
    color, alpha = scene.picture(3)
    assert 0.05 < alpha.mean() < 0.6 and alpha.max() == 1 and alpha.min() == 0
    rays = scene.picture_rays(3)
    closest = (rays.origins * rays.directions).sum(-1, keepdim=True).neg() * rays.directions + rays.origins
    assert closest.norm(dim=-1)[0][alpha[0, 0] > 0.99].max() < 0.87  # half the diagonal of the unit box
    edge = (alpha > 0.3) & (alpha < 0.7)
    assert color[:, :1][edge].median() > 0.3


def test_views_are_spread_over_the_sphere():
    """No two cameras share a place, all look at the origin from 1.8 away; views and held-out ones differ."""
    cameras = spread_cameras(30, 6)
    places = cameras[:, :3, 3]
    assert torch.allclose(places.norm(dim=-1), torch.tensor(1.8))
    torch.testing.assert_close(-1.8 * cameras[:, :3, 2], -places)
    gaps = torch.cdist(places, places) + 9 * torch.eye(36)
    assert gaps[:30, :30].min() > 0.3 and gaps[30:].min() > 0.02


def test_bad_sources_are_refused(tmp_path):
    """Numbers out of range, words that toyworld does not know, folders that hold nothing."""
    with pytest.raises(
        UserError, match="views >= 2, held_out >= 1, size >= 8 and downscale >= 1, got views=1"
    ):
        load(source="a red mushroom", views=1)
    with pytest.raises(ValueError, match="florble"):
        load(source="a red florble")
    with pytest.raises(
        UserError, match="is no scene: it holds neither transforms.json nor transforms_train.json"
    ):
        load(source=str(tmp_path))
