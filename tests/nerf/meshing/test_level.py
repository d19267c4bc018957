"""Which level the search finds, where it is known."""

import math

import pytest
import torch

from nerf.meshing.isosurface import isosurface, sample_density
from nerf.meshing.level import NoSurface, best_level, silhouette_iou, surface_cameras
from nerf.meshing.views import field_views
from nerf.renderers.volume import VolumeRenderer
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, rasterize


@pytest.fixture
def cameras():
    return surface_cameras(0.6)


def masks_of(field, cameras):
    return field_views(field, VolumeRenderer(samples=96), cameras, normals=False).masks[:, 0] > 0.5


def test_the_level_of_a_fog_is_that_of_its_silhouette(known_field, cameras):
    """density a exp(-r^2 / 2 s^2): a ray that passes at b takes 1/2 of the light where
    a exp(-b^2 / 2 s^2) s sqrt(2 pi) = ln 2, so the silhouette's level is ln 2 / (s sqrt(2 pi)) for any a."""
    s, peak = 0.13, 40.0
    field = known_field(lambda x: math.log(peak) - x.square().sum(-1) / (2 * s**2))
    density = sample_density(field, 64)
    level = best_level(density, masks_of(field, cameras), cameras, 0.6)
    assert level == pytest.approx(math.log(2) / (s * math.sqrt(2 * math.pi)), rel=0.12)
    radius = s * math.sqrt(2 * math.log(peak * s * math.sqrt(2 * math.pi) / math.log(2)))
    found = isosurface(density, level, 0.6).vertices.norm(dim=-1).mean()
    assert float(found) == pytest.approx(radius, abs=0.6 / 64)


def test_a_torus_gets_the_masks_of_the_volume(torus, cameras):
    """Intersection over union above .95, and no other level is better by more than .005."""
    masks, density = masks_of(torus, cameras), sample_density(torus, 64)
    best = silhouette_iou(isosurface(density, best_level(density, masks, cameras, 0.6), 0.6), masks, cameras)
    others = [silhouette_iou(isosurface(density, x, 0.6), masks, cameras) for x in (1, 5, 20, 60, 150, 290)]
    assert best > 0.95
    assert best > max(others) - 0.005


def test_intersection_over_union_by_hand(cameras):
    """1 with itself, 0 with nothing, the ratio of the areas for a mesh inside the mask."""
    density = sample_density_of_ball(0.4)
    ball, small = isosurface(density, 1.0, 0.6), isosurface(sample_density_of_ball(0.2), 1.0, 0.6)
    empty = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    masks = rasterize(clip_positions(ball.vertices, cameras), ball.faces, 96, 96).face_id >= 0
    inner = rasterize(clip_positions(small.vertices, cameras), small.faces, 96, 96).face_id >= 0
    ratio = float((inner.sum((1, 2)) / masks.sum((1, 2))).mean())
    assert silhouette_iou(ball, masks, cameras) == 1
    assert silhouette_iou(empty, masks, cameras) == 0
    assert silhouette_iou(small, masks, cameras) == pytest.approx(ratio)


def sample_density_of_ball(radius):
    axis = torch.linspace(-0.6, 0.6, 33)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.exp(20 * (radius - (x**2 + y**2 + z**2).sqrt()))


def test_empty_and_foggy_fields_have_no_surface(known_field, cameras):
    """Nothing at all; and fog through which 80 % of the light passes everywhere."""
    for density in (1e-6, 0.1):
        field = known_field(lambda x, d=density: math.log(d) + 0 * x[:, 0])
        with pytest.raises(
            NoSurface, match="The field has no surface: its largest density is .* It is empty or fog"
        ):
            best_level(sample_density(field, 16), masks_of(field, cameras), cameras, 0.6)


def test_the_cameras_show_the_whole_box(cameras):
    """The corners of [-.6, .6]^3 project into every picture."""
    corners = 0.6 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    pixels, depth = cameras.project(corners)
    assert bool((depth > 0).all()) and bool(((pixels >= 0) & (pixels <= 96)).all())
