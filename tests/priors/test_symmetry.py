"""What a plane of symmetry tells: where mirror images are seen, and what of."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from priors.symmetry import Planes, likeliest, mirrored
from priors.train.train_novel_view import pictures_of
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_occupancy import FULL, frustum_occupancy
from suite.geometry.frustum_volumes import frustum_points, mirrored_places
from suite.toyworld.objects import ObjectSpec, build
from suite.toyworld.occupancy import plane_of_kind, symmetry_plane
from suite.toyworld.view_pairs import FOV_DEG, Viewpoints, seen_from, still_light

AZIMUTHS, ELEVATIONS, DISTANCES = (0.0, 0.0, 0.0), (15.0, 40.0, -10.0), (1.8, 1.6, 2.1)
PLANES = torch.tensor([0.0, 35.0, 120.0])


def test_mirror_images_lie_where_a_camera_sees_them():
    """The reflection is I - 2 n n', n across the plane; the camera projects it."""
    cameras = Cameras.orbit(AZIMUTHS, ELEVATIONS, DISTANCES, FOV_DEG, height=16, width=16)
    angles = torch.deg2rad(PLANES)
    across = torch.stack([-angles.sin(), angles.cos(), torch.zeros(3)], dim=1)
    reflection = torch.eye(3) - 2 * across[:, :, None] * across[:, None]
    points = torch.einsum("bij,bdrcj->bdrci", reflection, frustum_points(cameras, 8, 8))
    space = cameras.camera_from_world
    seen = torch.einsum("bij,bdrcj->bdrci", space[:, :3, :3], points) + space[:, None, None, None, :3, 3]
    depth, focal = -seen[..., 2], cameras.focal_px[:, None, None, None]
    column, row = focal * seen[..., 0] / depth / 8, -focal * seen[..., 1] / depth / 8
    expected = torch.stack([column, row], dim=-1)
    torch.testing.assert_close(mirrored_places(cameras, PLANES, 8, 8), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("azimuth", [25.0, -140.0])
def test_a_symmetric_thing_is_seen_twice(azimuth):
    """At the mirror images of a car's own voxels is the car; about another plane often is nothing."""
    seen = Viewpoints("", (azimuth,), (20.0,), (1.8,))
    images = pictures_of(
        seen_from(build(ObjectSpec("car", "red")), seen, still_light(np.random.default_rng(0)))
    )
    camera = Cameras.orbit(azimuth, 20.0, 1.8, FOV_DEG, height=64, width=64)
    car = torch.from_numpy(filled_by("car", azimuth))
    shares = []
    for plane in (0.0, 55.0):
        there = mirrored(images, camera, Planes(torch.tensor([plane - azimuth]), torch.ones(1)), 32)
        shares.append(float(there.seen[0, :32][car].mean()))
    assert shares[0] > 0.95 and shares[1] < 0.85


def filled_by(kind: str, azimuth: float) -> np.ndarray:
    """Voxels of the frustum that are filled."""
    surface = build(ObjectSpec(kind, "red"))
    camera = Cameras.orbit(azimuth, 20.0, 1.8, FOV_DEG, height=64, width=64)
    pose = camera.camera_from_world[0].numpy()
    return frustum_occupancy(surface.vertices, surface.faces, pose, FOV_DEG, 1.8, side=32) > FULL // 2


def test_the_likeliest_plane_is_the_mean_of_three_bins():
    """0 and 180 degrees are the same plane."""
    chances = torch.zeros(2, 36)
    chances[0, 10], chances[0, 11], chances[0, 30] = 0.4, 0.25, 0.35
    chances[1, 35], chances[1, 0], chances[1, 18] = 0.2, 0.5, 0.3
    azimuths, about = likeliest(chances, 2)
    expected = torch.tensor([[50 + 5 * 0.25 / 0.65, 150], [-5 * 0.2 / 0.7, 90]])
    torch.testing.assert_close(azimuths, expected)
    torch.testing.assert_close(about, torch.tensor([[0.65, 0.35], [0.7, 0.3]]))


def test_kinds_are_symmetric_from_side_to_side():
    """About y = 0, a cactus about x = 0, a thing with a box at one corner about neither."""
    assert plane_of_kind("car") == 0 and plane_of_kind("cactus") == 90
    rocket = build(ObjectSpec("rocket", "red"))
    assert symmetry_plane(rocket) == 0
    car = build(ObjectSpec("car", "red"))
    moved = car.vertices + 0.4 * (car.vertices[:, :1] > 0) * np.array([0, 1, 0], np.float32)
    assert math.isnan(symmetry_plane(replace(car, vertices=moved)))
