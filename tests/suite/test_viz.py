"""Colours of depth and normals, turntables, contact sheets."""

import math

import pytest
import torch
import trimesh

from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.io.images import read_image
from suite.io.videos import read_video
from suite.viz import Views, contact_sheet, depth_colors, mesh_views, normal_colors, side_by_side, turntable


@pytest.fixture(scope="module")
def render():
    """A ball of radius .4: red where x > 0 (front), green where it is not."""
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.4)
    vertices = torch.tensor(sphere.vertices).float()
    colors = torch.where(vertices[:, :1] > 0, torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]))
    return mesh_views(Mesh(vertices, torch.tensor(sphere.faces), vertex_colors=colors), shading="none")


def test_depth_is_viridis():
    """Against matplotlib's map: near is its yellow end, far its violet end; white where nothing is."""
    cm = pytest.importorskip("matplotlib").colormaps["viridis"]
    share = torch.linspace(0, 1, 64)
    colors = depth_colors((3 - share)[None, None, None], torch.ones(1, 1, 1, 64), near=2.0, far=3.0)
    expected = torch.tensor(cm(share.numpy())[:, :3], dtype=torch.float32).T
    torch.testing.assert_close(colors[0, :, 0], expected, atol=0.02, rtol=0)
    assert bool((depth_colors(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), near=0.5, far=2.0) == 1).all())
    with pytest.raises(ValueError, match="near < far, got near=2.0, far=1.0"):
        depth_colors(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), near=2.0, far=1.0)


def test_normals_that_face_the_camera_are_blue():
    """(n + 1) / 2 in the camera's frame: towards the camera (.5, .5, 1), to its right (1, .5, .5), up
    (.5, 1, .5), whatever the azimuth; without cameras the same in the world."""
    cameras = Cameras.orbit([0.0, 130.0], 0.0)
    rotation = cameras.world_from_camera[:, :3, :3]
    for axis, color in ((2, [0.5, 0.5, 1]), (0, [1, 0.5, 0.5]), (1, [0.5, 1, 0.5])):
        normals = rotation[:, :, axis, None, None].expand(2, 3, 1, 1)
        shown = normal_colors(normals, torch.ones(2, 1, 1, 1), cameras)[:, :, 0, 0]
        torch.testing.assert_close(shown, torch.tensor([color, color]).float(), atol=1e-5, rtol=0)
    up = torch.tensor([0.0, 0, 1])[None, :, None, None]
    assert normal_colors(up, torch.ones(1, 1, 1, 1))[0, :, 0, 0].tolist() == [0.5, 0.5, 1]


def test_three_panels_or_as_many_as_there_are(render):
    cameras = Cameras.orbit([0.0, 90.0], height=16, width=16)
    views = render(cameras)
    assert side_by_side(views, cameras).shape == (2, 3, 16, 48)
    assert side_by_side(Views(views.images, views.masks), cameras).shape == (2, 3, 16, 16)


def test_a_turntable_turns_once(render, tmp_path):
    """12 frames of three panels; the first shows the red front, the seventh, half a turn on, the green back."""
    path = turntable(render, tmp_path / "turn.mp4", frames=12, size=32, fps=12, elevation_deg=0)
    video = read_video(path, backend="imageio")
    assert video.frames.shape == (12, 3, 32, 96) and video.fps == pytest.approx(12)
    front, back = video.frames[0, :, 16, 16], video.frames[6, :, 16, 16]
    assert front[0] > 0.7 and front[1] < 0.3 and back[1] > 0.7 and back[0] < 0.3
    assert video.frames[0, 2, 16, 48] > 0.8  # the normal there faces the camera: blue


def test_a_contact_sheet_shows_every_side(render, tmp_path):
    """Two views, in one row: front (red) left, back (green) right; the file holds the same picture."""
    sheet = contact_sheet(render, tmp_path / "sheet.png", views=2, size=32, columns=2)
    w = sheet.shape[2]
    assert w == pytest.approx(64, abs=8)
    left, right = sheet[:, 18, w // 4], sheet[:, 18, 3 * w // 4]
    assert left.tolist() == pytest.approx([1, 0, 0], abs=0.05) and right.tolist() == pytest.approx(
        [0, 1, 0], abs=0.05
    )
    torch.testing.assert_close(read_image(tmp_path / "sheet.png").rgb[0], sheet, atol=1 / 255, rtol=0)
    assert contact_sheet(render, views=3, size=16).shape[0] == 3


def test_mesh_views_are_those_of_the_rasterizer(render):
    """A ball at distance 1.8: its middle at depth 1.4; it covers pi tan^2(asin(.4 / 1.8)) of the plane at 1."""
    cameras = Cameras.orbit(0.0, 0.0, 1.8, 40.0, height=65, width=65)
    views = render(cameras)
    assert float(views.depth[0, 0, 32, 32]) == pytest.approx(1.4, abs=0.005)
    plane = (2 * math.tan(math.radians(20))) ** 2
    covered = math.pi * math.tan(math.asin(0.4 / 1.8)) ** 2 / plane
    assert float(views.masks.mean()) == pytest.approx(covered, rel=0.03)
