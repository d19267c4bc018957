"""Encodings: kernels equal their torch twin, closed forms of interpolation, orthonormal harmonics."""

import itertools
import os
import subprocess
import sys

import pytest
import torch

from nerf.encodings import (
    FrequencyEncoding,
    GridLevels,
    HashGrid,
    interpolate,
    spherical_harmonics,
)

LEVELS = GridLevels.geometric(levels=4, base=4, finest=40, log2_table=10)  # two levels stored, two hashed


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_levels_follow_instant_ngp():
    """8 levels from 16 to 256 grow by 16^(1/7) = 1.486; the first two have a row a vertex, the rest 2^15."""
    levels = GridLevels.geometric(levels=8, base=16, finest=256, log2_table=15)
    assert levels.cells == (16, 23, 35, 52, 78, 115, 172, 256)
    assert levels.rows == (17**3, 24**3) + (2**15,) * 6
    assert levels.offsets[-1] == sum(levels.rows)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_linear_function_is_reproduced(backend):
    """Trilinear interpolation of vertices that carry a linear function is that function, borders included."""
    n = 5
    x = torch.arange(n) / (n - 1)
    z, y, x = torch.meshgrid(x, x, x, indexing="ij")
    table = torch.stack([2 * x - y + 3 * z, x + 0.5], dim=-1).reshape(-1, 2)
    points = torch.cat([random(200, 3), torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))])
    x, y, z = points.unbind(-1)
    features, expected = (
        interpolate(points, table, GridLevels.dense(n), backend),
        (2 * x - y + 3 * z, x + 0.5),
    )
    torch.testing.assert_close(features, torch.stack(expected, dim=-1), rtol=1e-5, atol=1e-6)


def test_a_hashed_vertex_is_found_by_hand():
    """At the vertex (1, 2, 3) of a hashed level the row is (1 ^ 2 * 2654435761 ^ 3 * 805459861) mod 8."""
    levels = GridLevels((4,), (8,))
    table = torch.arange(8.0)[:, None]
    row = (1 ^ (2 * 2654435761) ^ (3 * 805459861)) % 8
    for backend in ("torch", "numba"):
        assert interpolate(torch.tensor([[0.25, 0.5, 0.75]]), table, levels, backend).item() == row


def test_numba_equals_torch():
    """Values and both gradients of the numba kernel equal the torch twin's, points outside included."""
    table, weight = random(LEVELS.offsets[-1], 2) - 0.5, random(300, 8, seed=2)
    results = []
    for backend in ("torch", "numba"):
        t, x = table.clone().requires_grad_(), (1.2 * random(300, 3, seed=1) - 0.1).requires_grad_()
        y = interpolate(x, t, LEVELS, backend)
        results.append((y, *torch.autograd.grad((weight * y).sum(), (t, x))))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_numba_equals_torch_to_second_order():
    """Gradients of a loss on the slope of the features (as a loss on normals has) equal torch's."""
    table, weight, loss = random(LEVELS.offsets[-1], 2) - 0.5, random(90, 8, seed=2), random(90, 3, seed=3)
    results = []
    for backend in ("torch", "numba"):
        inputs = [x.double().requires_grad_() for x in (table, random(90, 3, seed=1), weight)]
        y = interpolate(inputs[1], inputs[0], LEVELS, backend)
        (slope,) = torch.autograd.grad((inputs[2] * y).sum(), inputs[1], create_graph=True)
        results.append((slope, *torch.autograd.grad((loss * slope**2).sum(), inputs)))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_numba_gradients_are_true():
    """gradcheck in float64, away from the borders of cells, where the derivative jumps."""
    levels = GridLevels((3, 5), (64, 32))
    corner = torch.tensor([[1, 0, 2], [0, 2, 1], [2, 1, 0.0]], dtype=torch.float64)
    points = (corner + 0.2 + 0.15 * random(3, 3, dtype=torch.float64)) / 3
    table = random(96, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, t: interpolate(x, t, levels, "numba"), (points.requires_grad_(), table), eps=1e-7, atol=1e-5
    )


def test_numba_does_not_depend_on_threads():
    """Bit for bit the same values and gradients on one thread and on two."""
    grid, points = HashGrid(levels=3, log2_table=8, finest=64), random(9000, 3)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            y = grid(points)
            results.append((y, *torch.autograd.grad((y * y.detach().sin() * 1e4).sum(), grid.table)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))


TRITON_CHECK = """
import torch
from nerf.encodings import GridLevels, interpolate_torch
from nerf.encodings_triton import interpolate
levels = GridLevels.geometric(levels=3, base=4, finest=20, log2_table=10)
draw = lambda *shape: torch.rand(*shape, generator=torch.Generator().manual_seed(0))
points, table, weight = draw(150, 3), draw(levels.offsets[-1], 2), draw(150, 6)
a, b = table.clone().requires_grad_(), table.clone().requires_grad_()
y, z = interpolate(points, a, levels.cells, levels.offsets), interpolate_torch(points, b, levels)
(weight * y).sum().backward()
(weight * z).sum().backward()
torch.testing.assert_close(y, z)
torch.testing.assert_close(a.grad, b.grad)
"""


def test_triton_equals_torch():
    """Values and gradients of Triton's kernels, run by its interpreter, equal those of the torch twin."""
    pytest.importorskip("triton")
    command = [sys.executable, "-c", TRITON_CHECK]
    subprocess.run(command, check=True, env={**os.environ, "TRITON_INTERPRET": "1"}, timeout=120)


def test_levels_fade_in():
    """At 1.25 active levels the first speaks fully, the second by a quarter, the third not at all."""
    grid, points = HashGrid(levels=3, finest=32, active_levels=[[0, 1.25], [1, 3]]), random(7, 3)
    everything = grid(points)
    grid.set_progress(0.0)
    expected = everything * torch.tensor([1, 1, 0.25, 0.25, 0, 0])
    torch.testing.assert_close(grid(points), expected)
    grid.set_progress(1.0)
    assert torch.equal(grid(points), everything)


def test_nan_points_do_not_crash():
    """A scene that diverged gives NaN features, not a crash of the process."""
    assert HashGrid(levels=1)(torch.full((2, 3), torch.nan)).isnan().all()


def test_frequencies_by_hand():
    """At x = .25 the first octave is sin, cos of pi/4, the second of pi/2."""
    encoded = FrequencyEncoding(octaves=2)(torch.tensor([[0.25, 0.0, 0.5]]))
    half = 0.5**0.5
    sines, cosines = [half, 0, 1, 1, 0, 0], [half, 1, 0, 0, 1, -1]
    torch.testing.assert_close(encoded, torch.tensor([[0.25, 0, 0.5, *sines, *cosines]]), rtol=0, atol=1e-6)


def test_harmonics_are_orthonormal():
    """Integrals of products over the sphere are the identity: exact by a 5 x 8 product quadrature."""
    import numpy as np

    z, weight = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(5))
    phi = torch.arange(8, dtype=torch.float64) * torch.pi / 4
    s = (1 - z**2).sqrt()[:, None]
    directions = torch.stack([s * phi.cos(), s * phi.sin(), z[:, None].expand(5, 8)], dim=-1)
    basis = spherical_harmonics(directions)
    gram = torch.einsum("i,ija,ijb->ab", weight, basis, basis) * torch.pi / 4
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_bad_options_are_refused():
    """Each error names the option and what it may be."""
    with pytest.raises(ValueError, match="1 <= base <= finest, got .*base=64, finest=32"):
        HashGrid(base=64, finest=32)
    with pytest.raises(ValueError, match="rows = .* or a smaller power of two, got cells=4, rows=7"):
        GridLevels((4,), (7,))
    with pytest.raises(ValueError, match="'cuda' is not a backend of a grid encoding: one of auto, torch"):
        interpolate(torch.rand(1, 3), torch.rand(8, 1), GridLevels.dense(2), "cuda")
    with pytest.raises(ValueError, match="'numba' runs on a CPU, the points are on meta"):
        interpolate(torch.rand(1, 3, device="meta"), torch.rand(8, 1), GridLevels.dense(2), "numba")
    with pytest.raises(ValueError, match="octaves >= 0, got -1"):
        FrequencyEncoding(octaves=-1)
