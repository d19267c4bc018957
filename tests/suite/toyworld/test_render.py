"""Exact pictures: against closed forms and against ray casting."""

import numpy as np
import pytest

from suite.toyworld.dataset import orbit
from suite.toyworld.objects import ObjectSpec, Surface, assemble, build, painted
from suite.toyworld.render import Lights, headlights, render
from suite.toyworld.shapes import box, sphere

FRONT = orbit(np.zeros(1), np.zeros(1), np.full(1, 2.0))


def _ball() -> Surface:
    return painted(assemble([sphere(0.5, 96)]), "red")


def test_a_ball_covers_its_disc():
    """A ball of radius r at distance d fills tan^2(asin(r / d)) / tan^2(fov / 2) * pi / 4 of a square picture."""
    masks = render(_ball(), FRONT, np.array([40.0]), height=128, width=128).masks
    tangent = np.tan(np.arcsin(0.5 / 2.0)) / np.tan(np.deg2rad(20))
    assert masks.mean() == pytest.approx(np.pi / 4 * tangent**2, rel=0.01)


def test_depth_and_normals_of_a_ball():
    """In the middle of the picture: distance minus radius, and a normal that points at the camera."""
    pictures = render(_ball(), FRONT, np.array([40.0]), height=129, width=129)
    assert pictures.depth[0, 64, 64] == pytest.approx(1.5, abs=2e-3)
    np.testing.assert_allclose(pictures.normals[0, 64, 64], [1, 0, 0], atol=0.02)


def test_lambertian_shading_of_a_cube():
    """A face turned by theta from the light is ambient + diffuse * cos(theta) times its colour."""
    theta = np.deg2rad(60)
    lights = Lights(
        np.array([[np.cos(theta), 0, np.sin(theta)]], np.float32),
        np.array([0.3], np.float32),
        np.array([0.6], np.float32),
    )
    pictures = render(painted(assemble([box(1, 1, 1)]), "blue"), FRONT, np.array([40.0]), lights=lights)
    np.testing.assert_allclose(pictures.images[0, 32, 32], np.array([0.12, 0.25, 0.85]) * 0.6, atol=1e-4)


def test_background_shows_where_nothing_is():
    """Corners are the background, whatever is in the middle."""
    pictures = render(_ball(), FRONT, np.array([60.0]), background=np.array([[0.2, 0.4, 0.6]]))
    np.testing.assert_allclose(pictures.images[0, 0, 0], [0.2, 0.4, 0.6], atol=1e-6)


def test_depth_agrees_with_ray_casting(open3d):
    """Against Embree, on a real object: where both see it, depths agree to a thousandth but for edges."""
    surface = build(ObjectSpec("teapot", "red"))
    camera = orbit(np.array([30.0]), np.array([20.0]), np.array([1.8]))
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        open3d.core.Tensor(surface.vertices), open3d.core.Tensor(surface.faces.astype(np.uint32))
    )
    f = 32 / np.tan(np.deg2rad(20))
    y, x = np.mgrid[:64, :64] + 0.5
    directions = np.stack([(x - 32) / f, -(y - 32) / f, -np.ones_like(x)], -1) @ camera[0, :3, :3].T
    origins = np.broadcast_to(camera[0, :3, 3], directions.shape)
    rays = np.concatenate([origins, directions], -1).astype(np.float32)
    expected = scene.cast_rays(open3d.core.Tensor(rays))["t_hit"].numpy()  # directions have depth 1
    depth = render(surface, camera, np.array([40.0]), supersample=1).depth[0]
    seen = np.isfinite(expected)
    assert ((depth > 0) == seen).mean() > 0.998
    both = seen & (depth > 0)
    assert (np.abs(depth[both] - expected[both]) < 1e-3).mean() > 0.99


def test_patterns_show_their_companion():
    """A striped, dotted or checkered ball shows both colours; a plain one does not."""
    shares = {}
    for pattern in ("plain", "striped", "dotted", "checkered"):
        surface = painted(assemble([sphere(0.5, 48)]), "blue", pattern)
        light = Lights(np.zeros((1, 3), np.float32), np.ones(1, np.float32), np.zeros(1, np.float32))
        image = render(surface, FRONT, np.array([25.0]), lights=light, supersample=1).images[0]
        shares[pattern] = (image[16:48, 16:48, 0] > 0.5).mean()
    assert shares["plain"] == 0
    assert all(0.15 < shares[pattern] < 0.6 for pattern in ("striped", "dotted", "checkered"))


def test_headlights_follow_the_camera():
    """Without tilt the light comes from the camera."""
    np.testing.assert_allclose(headlights(FRONT, np.zeros((1, 3))).directions, [[1, 0, 0]], atol=1e-6)
