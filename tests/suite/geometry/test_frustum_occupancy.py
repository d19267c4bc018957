"""What fills a camera's frustum, beside closed forms."""

import numpy as np
import pytest
import torch

from suite.geometry.cameras import Cameras
from suite.geometry.frustum_occupancy import FULL, frustum_occupancy
from suite.geometry.frustum_volumes import frustum_points
from suite.toyworld.shapes import Shape, box, merge, sphere

FOV_DEG = 49.13


def filled(shape: Shape, camera: Cameras, side: int = 32) -> np.ndarray:
    """Shares of voxels."""
    pose, distance = camera.camera_from_world[0].numpy(), float(camera.distance)
    return frustum_occupancy(shape.vertices, shape.faces, pose, FOV_DEG, distance, side=side) / FULL


def camera(azimuth: float = 0.0, elevation: float = 20.0, distance: float = 1.8) -> Cameras:
    return Cameras.orbit([azimuth], [elevation], [distance], FOV_DEG, height=64, width=64)


def centres(one: Cameras, side: int = 32) -> torch.Tensor:
    """Of voxels in the world, `layers rows columns 3`; right of a camera that stands at azimuth 0."""
    return frustum_points(one, side, side)[0]


def test_a_sphere_is_filled_to_its_radius():
    one, ball = camera(), sphere(0.4, 64)
    found, radius = filled(ball, one), centres(one).norm(dim=-1).numpy()
    assert (found[radius < 0.36] == 1).all() and (found[radius > 0.44] == 0).all()


@pytest.mark.parametrize("place", [(0.0, 20.0, 1.8), (0.0, -35.0, 1.5), (0.0, 80.0, 2.2)])
def test_a_box_seen_from_anywhere(place):
    """Which voxels are surely inside a box, and surely outside."""
    one, half = camera(*place), np.array([0.45, 0.3, 0.2])
    found = filled(box(*2 * half), one)
    beyond = (centres(one).abs().numpy() - half).max(-1)
    assert (found[beyond < -0.05] == 1).all() and (found[beyond > 0.05] == 0).all()


def test_the_camera_may_stand_anywhere():
    """A thing turned with its camera fills the same voxels."""
    thing = merge([box(0.8, 0.3, 0.2), sphere(0.2).moved(0.2, 0.2, 0.2)])
    still = filled(thing, camera(0.0))
    turned = filled(thing.turned("z", 77.0), camera(77.0))
    assert np.abs(still - turned).mean() < 1e-4


def test_parts_that_overlap_count_once():
    one = camera()
    alone = filled(box(0.5, 0.5, 0.5), one)
    assert np.array_equal(alone, filled(merge([box(0.5, 0.5, 0.5), sphere(0.2)]), one))


def test_a_hole_ends_at_the_last_crossing():
    """A box without its far side has nothing behind it."""
    shape = box(0.6, 0.6, 0.6)
    one = camera(0.0, 0.0)
    far = (shape.vertices[shape.faces][..., 0] < -0.29).all(1)
    found = filled(Shape(shape.vertices, shape.faces[~far]), one)
    assert found.max() <= 1 and not found[centres(one)[..., 0].numpy() < -0.35].any()
