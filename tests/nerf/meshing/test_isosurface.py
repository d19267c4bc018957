"""Marching cubes of fields whose surface has a formula."""

import math

import pytest
import torch

from nerf.meshing.isosurface import isosurface, sample_density


def test_a_ball_comes_out_round_closed_and_outwards(ball):
    """Radius .4: vertices at .4 within a tenth of a cell, volume 4/3 pi r^3 (positive: faces look out)."""
    mesh = isosurface(sample_density(ball, 64), 20.0, ball.radius)
    torch.testing.assert_close(
        mesh.vertices.norm(dim=-1), torch.full((len(mesh.vertices),), 0.4), atol=0.002, rtol=0
    )
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * 0.4**3, rel=0.01)
    assert mesh.is_watertight


def test_a_torus_has_its_hole(torus):
    """V - E + F = 0, volume 2 pi^2 R r^2, area 4 pi^2 R r."""
    mesh = isosurface(sample_density(torus, 64), 20.0, torus.radius)
    used = len(torch.unique(mesh.faces))
    assert used - len(mesh.faces) * 3 // 2 + len(mesh.faces) == 0
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.33 * 0.12**2, rel=0.02)
    assert float(mesh.face_areas().sum()) == pytest.approx(4 * math.pi**2 * 0.33 * 0.12, rel=0.02)


def test_axes_keep_their_names(known_field):
    """An off-centre box with sides (.2, .4, .6): its corners."""
    low, high = torch.tensor([0.1, -0.3, -0.5]), torch.tensor([0.3, 0.1, 0.1])
    field = known_field(lambda x: 6.0 - 4000 * torch.maximum(low - x, x - high).amax(-1).clamp_min(0))
    bounds = isosurface(sample_density(field, 96), 30.0, field.radius).bounds
    torch.testing.assert_close(bounds, torch.stack([low, high]), atol=0.01, rtol=0)


def test_what_reaches_the_wall_is_closed_there(known_field):
    """A field that is full everywhere is the box itself, without the bevel of cutting its corners."""
    field = known_field(lambda x: 5.0 + 0 * x[:, 0], radius=0.5)
    mesh = isosurface(sample_density(field, 16), 10.0, 0.5)
    assert mesh.volume == pytest.approx(1.0, rel=1e-3)
    assert mesh.is_watertight


def test_nothing_is_there_where_the_renderer_sees_nothing(ball):
    """An occupancy grid (axes z, y, x) that is empty for z < 0 leaves the upper half of the ball."""
    occupied = torch.zeros(4, 4, 4, dtype=torch.bool)
    occupied[2:] = True
    low, high = isosurface(sample_density(ball, 32, occupied), 20.0, ball.radius).bounds
    assert float(low[2]) == pytest.approx(0, abs=0.05) and float(high[2]) == pytest.approx(0.4, abs=0.01)
    assert float(low[0]) == pytest.approx(-0.4, abs=0.01)


def test_hollows_are_filled(known_field):
    """A shell of radii .25 and .4: its volume as it is, that of the ball once filled. With a channel of 3
    cells to the outside it is closed by `fill=2`, but not by `fill=0`; a wide one stays open."""

    def shell(channel):
        def log_density(x):
            r, across = x.norm(dim=-1), torch.hypot(x[:, 0], x[:, 1])
            solid = (r < 0.4) & (r > 0.25) & ~((across < channel) & (x[:, 2] > 0))
            return torch.where(solid, 6.0, -20.0)

        return sample_density(known_field(log_density), 64)

    def volume(density, fill):
        return isosurface(density, 50.0, 0.6, fill=fill).volume

    whole, hollow = 4 / 3 * math.pi * 0.4**3, 4 / 3 * math.pi * (0.4**3 - 0.25**3)
    assert volume(shell(0.0), None) == pytest.approx(hollow, rel=0.03)
    assert volume(shell(0.0), 0) == pytest.approx(whole, rel=0.03)
    assert volume(shell(0.03), 0) == pytest.approx(hollow, rel=0.03)
    assert volume(shell(0.03), 2) == pytest.approx(whole, rel=0.03)
    assert volume(shell(0.12), 2) < 1.1 * hollow


def test_an_empty_grid_gives_no_faces_and_a_bad_level_an_error():
    assert len(isosurface(torch.zeros(8, 8, 8), 1.0, 0.6).faces) == 0
    with pytest.raises(ValueError, match="level > 0, got 0"):
        isosurface(torch.zeros(8, 8, 8), 0, 0.6)
