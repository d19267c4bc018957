"""Marching tetrahedra against closed forms, a slow loop, marching cubes, and finite differences."""

import math
from collections import Counter
from itertools import combinations

import pytest
import torch
from solids import KNOWN, area, assert_closed_manifold, distance, euler_characteristic, random_field, volume

from nerf.surfaces.extraction import marching_cubes
from nerf.surfaces.grid import active_cells, closed
from nerf.surfaces.shapes import grid_points
from nerf.surfaces.tetrahedra import marching_tetrahedra, tetrahedral_grid


def test_tetrahedra_fill_the_box():
    """Each has a positive volume, cell^3 / 6; a triangle belongs to two of them, or to one if it lies in a wall
    (two a square)."""
    vertices, tets = tetrahedral_grid(3, radius=0.6)
    a, b, c, d = vertices[tets].unbind(1)
    volumes = (torch.linalg.cross(b - a, c - a) * (d - a)).sum(-1) / 6
    torch.testing.assert_close(volumes, torch.full_like(volumes, 0.4**3 / 6))
    assert len(tets) == 6 * 27
    count = Counter(tuple(sorted(t)) for tet in tets.tolist() for t in combinations(tet, 3))
    walls = [t for t, n in count.items() if n == 1]
    assert set(count.values()) == {1, 2} and len(walls) == 6 * 9 * 2
    on_wall = (vertices[torch.tensor(walls)].abs() > 0.599).all(1).any(1)
    assert on_wall.all()


@pytest.mark.parametrize("name", KNOWN)
def test_volume_and_area_converge(name):
    """To the closed forms, with the square of the cell; closed, faces outwards, of the right genus."""
    errors = []
    for resolution in (16, 32):
        mesh = marching_tetrahedra(distance(name, resolution), 0.6)
        assert_closed_manifold(mesh)
        assert mesh.is_watertight and euler_characteristic(mesh) == {"ball": 2, "torus": 0}[name]
        found = torch.tensor([volume(mesh), area(mesh)])
        errors.append((found / torch.tensor(KNOWN[name]) - 1).abs())
    assert errors[-1].max() < 0.015
    order = torch.log2(errors[0] / errors[-1])
    assert order.min() > 1.7, order


def slow_area(values):
    """Area of the piecewise linear zero set, tetrahedron by tetrahedron: triangles p q r, quadrilaterals as the
    convex hull of four points in a plane."""
    vertices, tets = tetrahedral_grid(len(values) - 1, 1.0)
    s, total = values.reshape(-1), 0.0
    for tet in tets.tolist():
        cut = [
            vertices[i] + (vertices[j] - vertices[i]) * (s[i] / (s[i] - s[j]))
            for i, j in combinations(tet, 2)
            if (s[i] < 0) != (s[j] < 0)
        ]
        for p, q, r in combinations(cut, 3):  # of four points, each half of the quad is counted twice
            share = 1.0 if len(cut) == 3 else 0.5
            total += share * float(torch.linalg.cross(q - p, r - p).norm()) / 2
    return total


@pytest.mark.parametrize("seed", range(2))
def test_area_equals_a_slow_loop(seed):
    """Over all tetrahedra of a grid of noise."""
    values = random_field(seed, 4, smooth=0)
    values = torch.where(values.abs() < 0.02, 0.02, values)
    assert area(marching_tetrahedra(values)) == pytest.approx(slow_area(values), rel=1e-4)


@pytest.mark.parametrize("smooth", [0, 0.7, 2.0])
def test_random_fields_are_closed_manifolds(smooth):
    """Whatever the signs are."""
    for seed in range(3):
        mesh = marching_tetrahedra(random_field(seed, 16, smooth))
        assert_closed_manifold(mesh)
        assert volume(mesh) > 0


@pytest.mark.parametrize("seed", range(3))
def test_smooth_fields_look_as_marching_cubes_sees_them(seed):
    """Volume and area within 2 % of scikit-image's."""
    values = random_field(seed, 32, smooth=3.0)
    ours, theirs = marching_tetrahedra(values), marching_cubes(values, 1.0)
    assert volume(ours) == pytest.approx(volume(theirs), rel=0.02)
    assert area(ours) == pytest.approx(area(theirs), rel=0.02)


@pytest.mark.parametrize(
    "normal, offset, expected",
    [((0, 0, 1), 0.1, 4.0), ((1, 1, 0), 0.03, None), ((1, 1, 1), 0.01, 3 * math.sqrt(3))],
)
def test_planes_are_exact_up_to_the_walls(normal, offset, expected):
    """A linear field is interpolated without error; an open surface ends at the walls: its area is that of the
    plane's section of the box (a square, a rectangle, a regular hexagon)."""
    n = torch.tensor(normal, dtype=torch.float32)
    n = n / n.norm()
    mesh = marching_tetrahedra(grid_points(6, 1.0) @ n - offset)
    torch.testing.assert_close(
        mesh.vertices @ n, torch.full((len(mesh.vertices),), offset), rtol=0, atol=3e-6
    )
    assert (mesh.face_normals()[mesh.face_areas() > 1e-6] @ n).min() > 0.99
    expected = expected or 2 * (2 * math.sqrt(2) - 2 * offset)
    assert area(mesh) == pytest.approx(expected, rel=5e-3)
    assert len(torch.unique(mesh.faces)) == len(mesh.vertices)


def test_one_vertex_by_hand():
    """Eq. 2 of DMTet: s_a = -1 at the middle, s_b = 3 elsewhere: vertices at a quarter of the way. Its 14
    edges make 24 triangles. The middle is moved along x by a half cell."""
    values = torch.full((3, 3, 3), 3.0)
    values[1, 1, 1] = -1
    offsets = torch.zeros(3, 3, 3, 3)
    offsets[1, 1, 1, 0] = 0.5
    mesh = marching_tetrahedra(values, 1.0, offsets)
    assert len(mesh.vertices) == 14 and len(mesh.faces) == 24
    ends = 4 * (mesh.vertices - 0.75 * torch.tensor([0.5, 0.0, 0.0]))
    assert torch.allclose(ends, ends.round(), atol=1e-5) and ends.abs().max() <= 1 + 1e-5
    bounded = marching_tetrahedra(values, 1.0, torch.atanh(offsets * 2 * 0.999), bound=0.5 / 0.999)
    torch.testing.assert_close(bounded.vertices, mesh.vertices)


@pytest.mark.parametrize("bound", [None, 0.4])
def test_gradients_are_true(bound):
    """gradcheck in float64, in the distances and in the moves."""
    values = random_field(3, 4, smooth=0.6).double()
    values = torch.where(values.abs() < 0.05, 0.05, values).requires_grad_()
    offsets = 0.3 * torch.randn(5, 5, 5, 3, generator=torch.Generator().manual_seed(0)).double()

    def vertices(values, offsets):
        return marching_tetrahedra(values, 0.6, offsets, bound=bound).vertices

    assert torch.autograd.gradcheck(vertices, (values, offsets.requires_grad_()), fast_mode=True)


def test_distances_of_exactly_zero():
    """Vertices that meet in a vertex of the grid stay apart, and have a derivative."""
    values = (grid_points(8, 1.0).abs().amax(-1) - 0.5).requires_grad_()  # a box through vertices of the grid
    assert (values == 0).any()
    mesh = marching_tetrahedra(values)
    assert_closed_manifold(mesh)
    assert 0.8 < volume(mesh) < 1  # tetrahedra bevel those edges of the box that lie across their diagonals
    mesh.vertices.square().sum().backward()
    assert values.grad.isfinite().all() and values.grad[values.detach() == 0].abs().sum() > 0


def test_nothing_inside_is_an_empty_mesh():
    """No sign changes, no faces: all outside, or all inside."""
    for sign in (1.0, -1.0):
        mesh = marching_tetrahedra(sign * torch.ones(5, 5, 5))
        assert mesh.vertices.shape == (0, 3) and mesh.faces.shape == (0, 3)


def test_closed_borders():
    """All inside becomes the box, six edges of which, those across the diagonals, are bevelled by a prism of half
    a cell squared; what was outside stays as it was."""
    mesh = marching_tetrahedra(closed(torch.full((9, 9, 9), -1.0), 1e-3))
    assert_closed_manifold(mesh)
    assert volume(mesh) == pytest.approx(8 - 6 * 2 / 32, rel=0.01)
    values = distance("ball", 12)
    assert torch.equal(closed(values, 1e-3), values)


def test_active_cells_by_hand():
    """One inner corner: the eight cells around it, each with the bit of that corner."""
    values = torch.ones(4, 4, 4)
    values[2, 1, 2] = -1
    cells = active_cells(values)
    assert sorted(cells.code.tolist()) == [2**c for c in range(8)]
    at = {code: tuple(place) for code, place in zip(cells.code.tolist(), cells.place.tolist())}
    assert at[1] == (2, 1, 2) and at[128] == (1, 0, 1) and at[2] == (1, 1, 2) and at[16] == (2, 1, 1)
    assert (cells.wall == 0).all() and torch.equal(cells.row[cells.vertex], torch.arange(8))


def test_bad_grids_are_refused():
    """Each error says what is needed."""
    with pytest.raises(ValueError, match=r"cubic grid with 2 or more vertices an axis, got \(1, 1, 1\)"):
        active_cells(torch.ones(1, 1, 1))
    with pytest.raises(ValueError, match="resolution >= 1 and radius > 0, got 0, 1.0"):
        tetrahedral_grid(0)
    with pytest.raises(ValueError, match="closed needs least > 0, got 0"):
        closed(torch.ones(3, 3, 3), 0)
