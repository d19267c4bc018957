"""Close looks at parts of an object."""

import pytest
import torch
from scenery import seeded

from nerf.closeups import Closeups
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import render_mesh
from suite.schedules import Linear

EYES = Cameras.orbit([0.0, 90.0, 180.0, -90.0], 30.0, 1.8, 40.0, height=64, width=64)
PLACE = torch.tensor([[0.2, -0.1, 0.3]])


def test_the_place_is_in_the_middle_and_twice_as_large():
    """A close camera stays where it was, looks at the place, and sees what lies there in twice as many pixels."""
    close = Closeups(share=1)(EYES, PLACE, 0.0, seeded())
    torch.testing.assert_close(close.position, EYES.position)
    at, _ = close.project(PLACE)
    torch.testing.assert_close(at[:, 0], torch.full((4, 2), 32.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(close.focal_px, 2 * EYES.focal_px)


def test_a_close_look_is_a_part_of_the_larger_picture():
    """Where the place lies on the axis nothing turns: the close picture is the middle half of one of twice the size."""
    box = Mesh(
        torch.tensor([[0.1, -0.2, -0.2], [0.1, 0.2, -0.2], [0.1, 0.2, 0.3], [0.1, -0.3, 0.2]]),
        torch.tensor([[0, 1, 2], [0, 2, 3]]),
        vertex_colors=torch.rand(4, 3, generator=seeded()),
    )
    eye = EYES[0]
    close = Closeups(share=1)(eye, torch.zeros(1, 3), 0.0, seeded())
    whole = render_mesh(box, eye.resized(128, 128), shading="none").images[..., 32:96, 32:96]
    torch.testing.assert_close(render_mesh(box, close, shading="none").images, whole, atol=1e-3, rtol=0)


def test_shares_and_draws():
    """About the share of pictures is close, by a schedule too; none where there is nothing to look at."""
    draw = seeded()
    closer = Closeups(share=Linear(0.0, 0.8), zoom=[1.5, 3.0])
    for progress, share in ((0.0, 0.0), (0.5, 0.4), (1.0, 0.8)):
        fovs = torch.cat([closer(EYES, PLACE, progress, draw).fov_deg for _ in range(100)])
        assert float((fovs < 39.9).float().mean()) == pytest.approx(share, abs=0.08)
    tangent = torch.tan(torch.deg2rad(fovs[fovs < 39.9]) / 2)
    zooms = torch.tan(torch.deg2rad(torch.tensor(20.0))) / tangent
    assert 1.5 <= float(zooms.min()) < 1.7 and 2.8 < float(zooms.max()) <= 3.001
    assert Closeups(share=1)(EYES, torch.zeros(0, 3), 0.0, draw) is EYES


def test_options_are_checked():
    with pytest.raises(ValueError, match=r"needs zoom=\[low, high\] with 1 <= low <= high, got \[0.5, 2\]"):
        Closeups(zoom=[0.5, 2])
    with pytest.raises(ValueError, match="needs share in .0, 1., got 1.5"):
        Closeups(share=1.5)
