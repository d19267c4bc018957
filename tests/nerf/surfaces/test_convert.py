"""From volumes to signed distances and on to meshes: the distances are those of the known solid."""

import pytest
import torch
from scenery import Ball, Uniform, full_renderer
from solids import assert_closed_manifold

from nerf.meshing.level import NoSurface
from nerf.surfaces.convert import surface_of_field
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.shapes import grid_points

SIZE = 0.36  # of the ball, where its raw density is 0: .6 of the radius


def ball():
    return Ball(size=0.6, slope=40.0)


@pytest.mark.usefixtures("open3d")
def test_true_distances_of_a_ball():
    """The level at which raw density is 0 gives |x| - .36 at all places of the grid."""
    field = ball()
    level = field.density(torch.tensor([[SIZE, 0.0, 0.0]])).item()
    found = surface_of_field(field, 16, level=level)
    truth = grid_points(16, 0.6).norm(dim=-1) - SIZE
    torch.testing.assert_close(found.distance, truth, rtol=0, atol=0.02)
    assert found.level == pytest.approx(level) and found.radius == 0.6
    mesh = DMTet(resolution=20, init=found.shape())()
    assert_closed_manifold(mesh)
    torch.testing.assert_close(mesh.vertices.norm(dim=-1).mean().item(), SIZE, rtol=0, atol=0.01)


def test_ratios_have_the_same_surface():
    """kind="ratio" has the sign of the distance, at most a cell of length, and its zero at the level."""
    field = ball()
    level = field.density(torch.tensor([[SIZE, 0.0, 0.0]])).item()
    found = surface_of_field(field, 16, level=level, kind="ratio")
    truth = grid_points(16, 0.6).norm(dim=-1) - SIZE
    clear = truth.abs() > 1e-3
    assert torch.equal(found.distance[clear] < 0, truth[clear] < 0)
    assert found.distance.abs().max() <= 1.2 / 16
    mesh = DMTet(resolution=16, init=found.shape())()
    assert mesh.vertices.norm(dim=-1).mean().item() == pytest.approx(SIZE, abs=0.02)


@pytest.mark.usefixtures("open3d")
def test_the_level_is_found_by_the_renderer():
    """Without a level the silhouettes decide: the radius where rays are half opaque, near the surface."""
    found = surface_of_field(ball(), 16, renderer=full_renderer(48))
    mesh = DMTet(resolution=16, init=found.shape())()
    assert mesh.vertices.norm(dim=-1).mean().item() == pytest.approx(SIZE, abs=0.04)
    assert found.level > 0


def test_what_cannot_be_is_refused():
    """Each error says what to do."""
    field = Uniform(density=1.0, color=(0.5, 0.5, 0.5))
    with pytest.raises(NoSurface, match="No density reaches level=3; the largest is 1. State a lower level"):
        surface_of_field(field, 8, level=3)
    with pytest.raises(ValueError, match="'sharp' is not a kind of distance: 'distance' or 'ratio'"):
        surface_of_field(field, 8, level=1, kind="sharp")
    with pytest.raises(ValueError, match="even resolution >= 8, got 9"):
        surface_of_field(field, 9, level=1)
    with pytest.raises(ValueError, match="needs a level, or the renderer that shows the field"):
        surface_of_field(field, 8)
    with pytest.raises(ValueError, match="level > 0 or None, got 0"):
        surface_of_field(field, 8, level=0)
