"""Samples on rays: the kernel equals torch, both equal a slow loop."""

import math

import pytest
import torch
from scenery import seeded

from nerf.renderers.sampling import sample, sample_torch
from nerf.renderers.sampling_numba import sample_numba
from suite.geometry.cameras import Cameras
from suite.geometry.rays import intersect_box


def rays(size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    found = Cameras.orbit([10.0, 200.0], [20.0, -5.0], 1.4, 50.0, height=size, width=size).rays()
    return found.origins.reshape(-1, 3), found.directions.reshape(-1, 3)


def some_cells(n: int = 6, share: float = 0.4) -> torch.Tensor:
    return torch.rand(n, n, n, generator=seeded(3)) < share


def some_solids(n: int = 6) -> torch.Tensor:
    return 200.0 * torch.rand(n, n, n, generator=seeded(4)).square()


@pytest.mark.parametrize("jitter", [False, True])
def test_it_equals_a_slow_loop(jitter):
    """near + (k + u) step is kept iff it is before far, its cell is occupied and the samples before it did not
    pass 8 of solid optical depth: said once more in Python."""
    origins, directions = rays(5)
    occupied, solid, radius, budget = some_cells(), some_solids(), 0.6, 20
    offset = torch.rand(len(origins), generator=seeded()) if jitter else None
    found = sample(
        origins, directions, radius=radius, budget=budget, occupied=occupied, solid=solid, offset=offset
    )
    step = 2 * math.sqrt(3) * radius / budget
    expected = []
    near, far = intersect_box(origins, directions, radius)
    for r in range(len(origins)):
        passed = 0.0
        for k in range(budget):
            t = float(near[r]) + (k + (0.5 if offset is None else float(offset[r]))) * step
            x, y, z = (float(origins[r, i]) + t * float(directions[r, i]) for i in range(3))
            cell = [min(max(int((v / radius + 1) * 3), 0), 5) for v in (z, y, x)]
            if t < float(far[r]) and passed < 8 and bool(occupied[tuple(cell)]):
                expected.append((r, t))
                passed += float(solid[tuple(cell)]) * step
    assert found.ray.tolist() == [r for r, _ in expected]
    torch.testing.assert_close(found.distance, torch.tensor([t for _, t in expected]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernel_equals_torch(threads):
    """The same rays, distances and places, on any number of threads, but for ties at the borders of cells."""
    origins, directions = rays(48)
    near, far = intersect_box(origins, directions, 0.6)
    arguments = (origins, directions, near + 0.02, far, 0.03, 0.6, some_cells(), some_solids())
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        ours = sample_numba(*arguments)
    finally:
        torch.set_num_threads(before)
    twins = sample_torch(*arguments)
    a, b = ({(int(r), round(float(t), 3)) for r, t in zip(x[0], x[1])} for x in (ours, twins))
    assert len(a ^ b) <= 1e-3 * len(b)
    if len(ours[0]) == len(twins[0]):
        torch.testing.assert_close(ours[2], twins[2], rtol=1e-4, atol=1e-5)


def test_tables_and_back():
    """`padded` puts a ray's samples into its row from the left, `packed` takes them out again."""
    origins, directions = rays(8)
    found = sample(origins, directions, radius=0.6, budget=16, occupied=some_cells())
    values = torch.arange(1.0, len(found) + 1)
    table = found.padded(values)
    assert torch.equal(found.packed(table), values)
    assert (
        table.shape == (found.rows, found.slots) == (len(found.ray.unique()), int(found.ray.bincount().max()))
    )
    kept = table > 0
    assert torch.equal(kept, kept.long().cummin(-1).values.bool())  # no gaps
    assert torch.equal(table[kept], values)  # row by row, from left to right


def test_nothing_there():
    """An empty grid, rays that miss and no rays at all give no samples."""
    origins, directions = rays(4)
    empty = torch.zeros(4, 4, 4, dtype=torch.bool)
    for o, d, occupied in [
        (origins, directions, empty),
        (origins, -directions, ~empty),
        (origins[:0], directions[:0], ~empty),
    ]:
        found = sample(o, d, radius=0.6, budget=16, occupied=occupied)
        assert len(found) == found.rows == found.slots == 0 and found.points.shape == (0, 3)
