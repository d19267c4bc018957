"""The memory of shapes: what it lays into a picture's frustum, and how it finds what a picture shows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from priors.shape_memory import (
    FILLED,
    KEPT,
    LEVELS,
    OUTLINE,
    Fits,
    ShapeMemory,
    outlines_torch,
    pack,
)
from priors.shape_memory_numba import outlines_numba
from priors.symmetry import thing
from priors.train.train_novel_view import pictures_of
from priors.train.train_shape_memory import azimuth_surprise
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import REACH, frustum_points
from suite.rng import generator, global_randomness, reseed
from suite.toyworld.objects import ObjectSpec, build
from suite.toyworld.occupancy import occupancy
from suite.toyworld.view_pairs import FOV_DEG, Viewpoints, seen_from, still_light

KINDS = ("car", "chair", "mug")
AZIMUTHS, ELEVATIONS, DISTANCES = (20.0, -100.0, 155.0), (15.0, 40.0, 0.0), (1.8, 1.6, 2.1)


def outline(images: torch.Tensor, side: int) -> torch.Tensor:
    """How much of each cell is not white."""
    return F.adaptive_avg_pool2d(thing(images), side)


@pytest.fixture(scope="module")
def memory() -> ShapeMemory:
    """An untrained one of three kinds."""
    packed = pack(np.stack([occupancy(build(ObjectSpec(kind, "red")), 32) for kind in KINDS]))
    with global_randomness():
        reseed(0, 0, "shape memory")
        network = ShapeMemory(KINDS, len(packed), grid=32, widths=(8, 16, 16, 16), hidden=16)
    network.packed.copy_(torch.from_numpy(packed))
    return network.eval()


@pytest.fixture(scope="module")
def views() -> tuple[torch.Tensor, Cameras]:
    """Each kind from another side, and the cameras."""
    light = still_light(np.random.default_rng(0))
    images = [
        pictures_of(seen_from(build(ObjectSpec(k, "red")), Viewpoints("", (a,), (e,), (d,)), light))[0]
        for k, a, e, d in zip(KINDS, AZIMUTHS, ELEVATIONS, DISTANCES)
    ]
    return torch.stack(images), Cameras.orbit(AZIMUTHS, ELEVATIONS, DISTANCES, FOV_DEG)


def test_points_lie_behind_their_pixels():
    """Voxel (layer, row, column) is seen at the middle of that row and column, at that layer's depth."""
    cameras = Cameras.orbit(0.0, ELEVATIONS, DISTANCES, FOV_DEG, height=8, width=8)
    points = frustum_points(cameras, 4, 8)
    space = cameras.camera_from_world
    seen = torch.einsum("bij,bdrcj->bdrci", space[:, :3, :3], points) + space[:, None, None, None, :3, 3]
    depth = -seen[..., 2]
    wanted = torch.tensor(DISTANCES)[:, None] + REACH * torch.tensor([-0.75, -0.25, 0.25, 0.75])
    torch.testing.assert_close(depth, wanted[:, :, None, None].expand_as(depth), atol=1e-5, rtol=1e-5)
    focal = cameras.focal_px[:, None, None, None]
    column, row = seen[..., 0] / depth * focal + 4, -seen[..., 1] / depth * focal + 4
    middles = torch.arange(8) + 0.5
    torch.testing.assert_close(column, middles.expand_as(column), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(row, middles[:, None].expand_as(row), atol=1e-4, rtol=1e-4)


def test_what_is_stored_is_what_was_packed(memory):
    """To within half a level, and the boxes of the shapes are those of the objects."""
    for kind, levels in zip(KINDS, memory.unpacked()):
        grid = occupancy(build(ObjectSpec(kind, "red")), 32)
        assert np.abs(levels.numpy() / LEVELS - grid).max() <= 0.5 / LEVELS + 1e-6
        vertices = build(ObjectSpec(kind, "red")).vertices
        filled = np.argwhere(levels.numpy() > 0)
        low, high = filled.min(0) / 32 - 0.5, (filled.max(0) + 1) / 32 - 0.5
        np.testing.assert_allclose(low, vertices.min(0), atol=1.1 / 32)
        np.testing.assert_allclose(high, vertices.max(0), atol=1.1 / 32)


def test_planes_of_mirror_images_are_mirrored(memory, views):
    """The bin of azimuth a is that of 180 - a in a mirror; chances add up to one."""
    images, cameras = views
    here, there = (memory.planes(x, cameras) for x in (images, images.flip(-1)))
    torch.testing.assert_close(there[:, 1:], here[:, 1:].flip(1))
    torch.testing.assert_close(there[:, 0], here[:, 0])
    torch.testing.assert_close(here.sum(1), torch.ones(3))


def test_an_outline_fits_where_the_picture_was_taken(memory, views):
    """The renderer's own picture tells: of all shapes and azimuths the true one's outline is nearest to it."""
    images, cameras = views
    turns = 10.0 * torch.arange(36)
    shapes = torch.arange(3).repeat_interleave(36).expand(3, -1)
    azimuths = (torch.tensor(AZIMUTHS)[:, None] + turns).repeat(1, 3)
    differ = memory.compared(shapes, azimuths, torch.ones(3, 108, 3), cameras, outline(images, OUTLINE))
    best = differ.argmin(1)
    assert (best // 36).tolist() == [0, 1, 2] and set((best % 36).tolist()) <= {35, 0, 1}
    assert float(differ.min(1).values.max()) < 0.25


def test_what_is_laid_is_the_outline(memory, views):
    """Columns through what `laid` fills are those whose pixels are dark."""
    images, cameras = views
    laid = memory.laid(
        torch.arange(3)[:, None], torch.tensor(AZIMUTHS)[:, None], torch.ones(3, 1, 3), cameras, 32, 32
    )
    assert laid.shape == (3, 1, 32, 32, 32)
    seen, dark = laid[:, 0].amax(1) > 0.4, outline(images, 32) > 0.5
    shared = (seen & dark).sum((1, 2)) / (seen | dark).sum((1, 2))
    assert float(shared.min()) > 0.8


def test_compiled_outlines_are_those_of_torch(memory):
    cameras = Cameras.orbit(0.0, ELEVATIONS, DISTANCES, FOV_DEG)
    points = frustum_points(cameras, 8, 16).flatten(2, 3)
    shapes = torch.tensor([[0, 1], [2, 0], [1, 2]])
    azimuths = 360 * torch.rand(3, 2, generator=generator(0, 0, "azimuths"))
    filled = memory.unpacked() > FILLED * LEVELS
    stretches = 0.7 + 0.6 * torch.rand(3, 2, 3, generator=generator(0, 0, "stretches"))
    ours, theirs = (f(filled, shapes, azimuths, stretches, points) for f in (outlines_numba, outlines_torch))
    assert 0 < int(ours.sum()) < ours.numel() and float((ours != theirs).float().mean()) < 1e-3


def test_hypotheses_are_turned_until_they_fit(memory, views):
    """An untrained network names nothing; outlines choose among what it offers, which may leave a shape out."""
    images, cameras = views
    found = memory.hypotheses(images, cameras)
    assert found.shapes.shape == (3, KEPT)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(3))
    again = memory.compared(found.shapes, found.azimuths, found.stretches, cameras, outline(images, OUTLINE))
    torch.testing.assert_close(again, found.outlines)
    best = found.best()
    assert torch.equal(best.weights[:, 0], found.weights.amax(1))
    without = memory.hypotheses(images, cameras, without=torch.tensor([0, -1, 2])).shapes
    assert 0 not in without[0] and 2 not in without[2]
    assert torch.equal(without[1], found.shapes[1])


def test_a_taller_thing_is_a_shape_stretched(memory):
    """From the side of a tall chair: its height over its depth is 1.4 times the chair's, half of which is believed."""
    light = still_light(np.random.default_rng(0))
    tall = build(ObjectSpec("chair", "red", size="tall"))
    images = pictures_of(seen_from(tall, Viewpoints("", (90.0,), (0.0,), (1.8,)), light))
    cameras = Cameras.orbit(90.0, 0.0, 1.8, FOV_DEG)
    fits = Fits(memory, torch.tensor([[1]]), cameras, outline(images, OUTLINE))
    start = torch.tensor([[88.0]]), torch.ones(1, 1, 3)
    azimuths, stretches = fits.climb(*start, 10.0)
    assert float(fits.cost(azimuths, stretches)) < float(fits.cost(*start))
    along_x, _, along_z = stretches[0, 0].tolist()
    assert 1.15 < along_z / along_x < 1.45


def test_azimuths_of_cameras_are_not_read(memory, views):
    """Only elevation and distance are known of a picture."""
    images, cameras = views
    turned = Cameras.orbit(77.0, ELEVATIONS, DISTANCES, FOV_DEG)
    one, other = (memory.recall(images, c, 8, 8) for c in (cameras, turned))
    torch.testing.assert_close(one.occupancy, other.occupancy, atol=1e-3, rtol=1e-3)
    assert 0 <= float(one.occupancy.min()) and 0.5 < float(one.occupancy.max()) <= 1 + 1e-6
    assert bool(((one.differs > 0) & (one.differs < 1)).all())


def test_the_surprise_of_an_azimuth():
    """Between two bins it is the mean of theirs; the last bin is beside the first."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.125, 0.125]])).expand(3, -1)
    surprise = azimuth_surprise(logits, torch.tensor([0.0, 45.0, -45.0]))
    expected = [-np.log(0.5), -np.log(0.5 * 0.25) / 2, -np.log(0.5 * 0.125) / 2]
    torch.testing.assert_close(surprise, torch.tensor(expected, dtype=torch.float32))
