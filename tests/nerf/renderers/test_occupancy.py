"""The occupancy grid holds what is dense, its neighbours, and nothing else."""

import pytest
import torch
from scenery import Ball, seeded

from nerf.renderers.occupancy import OccupancyGrid


def test_a_ball_is_found():
    """Cells whose middle is inside a dense ball are occupied; cells two cells farther out are not."""
    grid = OccupancyGrid(resolution=16)
    assert grid.fraction == 1
    grid.update(Ball(size=0.5, slope=200.0), step_length=0.03, generator=seeded())
    middle = (torch.arange(16) + 0.5) / 8 - 1
    z, y, x = torch.meshgrid(middle, middle, middle, indexing="ij")
    distance = (x**2 + y**2 + z**2).sqrt()
    assert grid.occupied[distance < 0.4].all()
    assert not grid.occupied[distance > 0.5 + 3 * 0.125 * 3**0.5 / 2].any()
    assert 0.1 < grid.fraction < 0.4


def test_solid_is_never_more_than_the_density():
    """After two probes `solid` is positive inside, and at most the density in every cell and around it; what
    has become empty is not solid."""
    grid, ball = OccupancyGrid(resolution=16), Ball(size=0.6, slope=200.0)
    for step in range(2):
        grid.update(ball, step_length=0.03, generator=seeded(step))
    at = 0.6 * (2 * torch.rand(2000, 3, generator=seeded(9)) - 1)
    z, y, x = (((at / 0.6 + 1) * 8).long().flip(-1)).unbind(-1)
    assert (grid.solid[z, y, x] <= ball.density(at) + 1e-3).all()
    assert grid.solid[8, 8, 8] > 100 and grid.solid.max() < 2000
    ball.size.data.fill_(-10.0)
    grid.update(ball, step_length=0.03, generator=seeded(3))
    assert grid.solid.max() == 0


def test_axes_are_z_y_x():
    """A field that is dense where x > .05 occupies the upper half of the last axis."""

    class Half(Ball):
        def raw(self, unit):
            return torch.cat([200 * (unit[:, :1] - 0.05), unit], dim=-1)

    grid = OccupancyGrid(resolution=8)
    grid.update(Half(), step_length=0.05, generator=seeded())
    assert grid.occupied[:, :, 4:].all() and not grid.occupied[:, :, :3].any()


def test_what_vanishes_is_forgotten():
    """After decay^k has brought the density below the threshold, cells are free again."""
    grid, ball = OccupancyGrid(resolution=8, decay=0.5), Ball(size=0.5, slope=200.0)
    grid.update(ball, step_length=0.03, generator=seeded())
    before = grid.fraction
    ball.size.data.fill_(0.1)
    fractions = []
    for step in range(20):
        grid.update(ball, step_length=0.03, generator=seeded(step))
        fractions.append(grid.fraction)
    assert fractions[0] >= 0.9 * before and fractions[-1] < 0.6 * before


def test_it_is_repeatable():
    """The same generator gives the same grid; the global one is not used."""
    grids = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        grid = OccupancyGrid(resolution=8)
        grid.update(Ball(slope=1.0), step_length=0.03, generator=seeded())
        grids.append(grid)
    assert torch.equal(grids[0].density, grids[1].density)


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match="resolution >= 1 and every >= 1, got resolution=0, every=16"):
        OccupancyGrid(resolution=0)
    with pytest.raises(ValueError, match="0 < threshold < 1 and 0 <= decay < 1, got threshold=0, decay=0.8"):
        OccupancyGrid(threshold=0)
