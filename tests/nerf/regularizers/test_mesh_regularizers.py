"""Regularizers of meshes and signed distances against closed forms, and finite differences."""

import math
from pathlib import Path

import pytest
import torch
import trimesh
import yaml

from nerf.regularizers.deviation import Deviation
from nerf.regularizers.eikonal import Eikonal
from nerf.regularizers.laplacian import Laplacian, weighted_differences
from nerf.regularizers.mesh_base import soft_unit
from nerf.regularizers.normal_consistency import NormalConsistency, faces_at_edges
from nerf.regularizers.normal_smoothness import SurfaceNormalSmoothness
from nerf.regularizers.sign_changes import SignChanges
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.flexicubes import FlexiCubes
from nerf.surfaces.sdf import SDFField
from nerf.surfaces.shapes import Shape, grid_points
from suite.config import build
from suite.geometry.mesh import Mesh

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "mesh_regularizer").glob("*.yaml"))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def value(term, mesh, surface=None, progress=0.0):
    return term(mesh, surface or torch.nn.Identity(), progress=progress, generator=seeded())


def number(*args):
    return value(*args).item()


def sphere(subdivisions, radius=1.0):
    return Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def box():
    return Mesh.from_trimesh(trimesh.creation.box())


def plane(n=6, wobble=0.0):
    """An open square in z = 0, its inner vertices moved in the plane."""
    axis = torch.linspace(0, 1, n)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    vertices = torch.stack([x, y, 0 * x], -1).view(-1, 3)
    inner = ((vertices[:, :2] > 0.01) & (vertices[:, :2] < 0.99)).all(-1)
    vertices[inner, :2] += wobble * (torch.rand(int(inner.sum()), 2, generator=seeded()) - 0.5)
    at = torch.arange(n * n).view(n, n)
    a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
    faces = torch.cat([torch.stack(t, -1).view(-1, 3) for t in ((a, b, c), (a, c, d))])
    return Mesh(vertices, faces), inner


def test_normal_consistency_by_hand():
    """Faces of a box: 12 edges with cos 0, 6 diagonals with cos 1: 12 / 18. Of an icosahedron: dihedral angle
    acos(-sqrt 5 / 3), so 1 - sqrt 5 / 3; at its vertices normals are radial, neighbours at cos 1 / sqrt 5."""
    faces = NormalConsistency(weight=1, normals="faces")
    assert number(faces, box()) == pytest.approx(2 / 3, rel=1e-3)
    assert number(faces, sphere(0)) == pytest.approx(1 - math.sqrt(5) / 3, rel=1e-3)
    vertices = NormalConsistency(weight=1)
    assert number(vertices, sphere(0)) == pytest.approx(1 - 1 / math.sqrt(5), rel=1e-3)
    assert len(faces_at_edges(box().faces)) == 18


def test_a_plane_is_consistent_and_a_sphere_nearly():
    """Zero on a plane, whatever its triangles; on spheres a quarter with each halving of the edges."""
    for normals in ("faces", "vertices"):
        term = NormalConsistency(weight=1, normals=normals)
        assert abs(number(term, plane(wobble=0.1)[0])) < 1e-6
        coarse, fine = (float(value(term, sphere(k))) for k in (2, 3))
        assert coarse / fine == pytest.approx(4, rel=0.1)


def test_cotangents_are_the_derivative_of_the_area():
    """Half the cotangent sum over edges is minus d area / d vertex, exactly (of acute triangles)."""
    mesh = sphere(2)
    vertices = mesh.vertices.clone().requires_grad_()
    (slope,) = torch.autograd.grad(Mesh(vertices, mesh.faces).face_areas().sum(), vertices)
    total, weight = weighted_differences(mesh, "cotangent")
    torch.testing.assert_close(total / 2, -slope, rtol=1e-4, atol=1e-6)
    assert (weight > 0).all()


def test_the_cotangent_laplacian_is_the_curvature():
    """Half the sum is area times 2 H = 2 / r along -x: of the whole sphere 4 pi r^2 * 2 / r."""
    for radius in (1.0, 0.4):
        mesh = sphere(3, radius)
        total, _ = weighted_differences(mesh, "cotangent")
        inwards = -(total / 2 * torch.nn.functional.normalize(mesh.vertices, dim=-1)).sum()
        assert inwards.item() == pytest.approx(8 * math.pi * radius, rel=0.01)


def test_laplacians_of_a_plane():
    """Cotangent: zero at inner vertices, however it is cut; uniform: zero only if the vertices are even."""
    for wobble, uniform_is_zero in ((0.0, True), (0.1, False)):
        mesh, inner = plane(wobble=wobble)
        total, _ = weighted_differences(mesh, "cotangent")
        assert total[inner].abs().max() < 1e-5
        total, weight = weighted_differences(mesh, "uniform")
        assert bool(total[inner].abs().max() < 1e-6) == uniform_is_zero
        assert torch.allclose(weight[inner], torch.tensor(6.0))


def test_the_uniform_laplacian_by_hand():
    """Octahedron with vertices at distance 1: the mean of the four neighbours is 0, so |L v| = 1; edges are
    sqrt 2: 1 / 2, at any size."""
    octahedron = trimesh.Trimesh(
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]],
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]],
    )
    mesh = Mesh.from_trimesh(octahedron)
    for size in (1.0, 0.1):
        for kind in ("uniform", "cotangent"):  # all angles are 60 degrees: the same weights
            term = Laplacian(weight=1, kind=kind)
            assert number(term, Mesh(size * mesh.vertices, mesh.faces)) == pytest.approx(0.5, rel=1e-5)


class Slope(Shape):
    """A plane whose distance grows by `steepness`."""

    def __init__(self, steepness, normal=(0.6, 0.0, 0.8)):
        self.steepness, self.normal = steepness, torch.tensor(normal)

    def __call__(self, points):
        return self.steepness * (points @ self.normal.to(points) - 0.05)


def test_eikonal_by_hand():
    """(steepness - 1)^2 for planes, on a grid and as a field; of a ball nearly 0."""
    for steepness, expected in ((1.0, 0.0), (1.5, 0.25), (0.25, 0.5625)):
        surface = DMTet(resolution=12, init=Slope(steepness))
        assert number(Eikonal(weight=1), surface(), surface) == pytest.approx(expected, abs=1e-4)
        field = SDFField(init=Slope(steepness), levels=2, log2_table=8, base=4, finest=8)
        assert number(Eikonal(weight=1), surface(), field) == pytest.approx(expected, abs=1e-5)
    ball = DMTet(resolution=32)
    assert number(Eikonal(weight=1), ball(), ball) < 0.01


def test_smoothness_by_hand():
    """Zero on a plane; on a ball of radius r the mean of |n - n'|_1 for a small step of noise with standard
    deviation d is sqrt(2 / pi) d / r times the mean of sum_k sqrt(1 - n_k^2), 3 pi / 4."""
    flat = DMTet(resolution=12, init=Slope(1.0))
    assert number(SurfaceNormalSmoothness(weight=1), flat(), flat) < 1e-3
    ball = SDFField(levels=2, log2_table=8, base=4, finest=8)
    step = 0.02 * 0.6 / 0.4
    expected = math.sqrt(2 / math.pi) * step * 3 * math.pi / 4
    mesh = DMTet(resolution=24)()
    assert number(SurfaceNormalSmoothness(weight=1), mesh, ball) == pytest.approx(expected, rel=0.05)


def test_sign_changes_by_hand():
    """One inner vertex at -a, others at b: 6 edges; H(sigmoid(-a), outside) = log(1 + e^a), H(sigmoid(b), inside)
    = log(1 + e^b)."""
    surface = DMTet(resolution=4)
    with torch.no_grad():
        surface.values.fill_(2.0)
        surface.values[2, 2, 2] = -0.5
    expected = math.log1p(math.exp(0.5)) + math.log1p(math.exp(2.0))
    assert number(SignChanges(weight=1), surface(), surface) == pytest.approx(expected, rel=1e-5)


def test_deviation_is_that_of_the_mesh():
    """In cells; taken from the last extraction, or from a new one if the mesh is another."""
    surface = FlexiCubes(resolution=8, init=Slope(1.0))
    with torch.no_grad():
        surface.weights.normal_(generator=seeded())
    mesh = surface()
    expected = surface.latest.deviation / surface.cell
    assert torch.equal(value(Deviation(weight=1), mesh, surface), expected) and expected > 0
    torch.testing.assert_close(value(Deviation(weight=1), sphere(1), surface), expected)


class OnMesh(torch.nn.Module):
    """A term of a surface's distances, at places that stay."""

    def __init__(self, term, surface, mesh):
        super().__init__()
        self.term, self.surface, self.mesh = term, surface, mesh

    def forward(self):
        return self.term.measure(self.mesh, self.surface, seeded())


@pytest.mark.parametrize(
    "term", [Eikonal(places=32), SurfaceNormalSmoothness(places=32), SignChanges(), Deviation()]
)
def test_gradients_in_the_distances_are_true(term):
    """gradcheck in float64, at fixed places."""
    surface = FlexiCubes(resolution=6).double()
    distance = grid_points(6, 0.6).double().norm(dim=-1) - 0.37
    values = distance / surface.cell + 0.1 * torch.rand(distance.shape, generator=seeded()).double()
    with torch.no_grad():
        surface.weights.normal_(generator=seeded())
        mesh = Mesh(DMTet(resolution=6)().vertices.double().detach(), DMTet(resolution=6)().faces)
    measured = OnMesh(term, surface, mesh)

    def measure(values):
        return torch.func.functional_call(measured, {"surface.values": values}, ())

    assert torch.autograd.gradcheck(measure, (values.requires_grad_(),), fast_mode=True, atol=1e-3)


@pytest.mark.parametrize("normals", ["faces", "vertices"])
def test_gradients_in_the_vertices_are_true(normals):
    """gradcheck in float64 on a crumpled sheet; of the Laplacian, before it is divided by a length."""
    mesh, _ = plane(4, wobble=0.1)
    vertices = mesh.vertices.double() + 0.05 * torch.randn(16, 3, generator=seeded()).double()
    term = NormalConsistency(normals=normals)

    def consistency(vertices):
        return term.measure(Mesh(vertices, mesh.faces), torch.nn.Identity(), seeded())

    def laplacian(vertices):
        return weighted_differences(Mesh(vertices, mesh.faces), "uniform")[0]

    vertices.requires_grad_()
    assert torch.autograd.gradcheck(consistency, (vertices,), fast_mode=True, atol=1e-3)
    assert torch.autograd.gradcheck(laplacian, (vertices,), fast_mode=True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configured_regularizer(path):
    """Contract: one term, named after its file, with a weight; finite, not negative, its gradient reaches the
    distances; nothing where there is no mesh, or no weight."""
    config = yaml.safe_load(path.read_text())
    assert list(config) == [path.stem]
    term = build(config[path.stem])
    assert term.weight(1.0) > 0
    surface = FlexiCubes(resolution=10)
    with torch.no_grad():
        surface.values += 0.3 * torch.randn(surface.values.shape, generator=seeded())
    mesh = surface()
    loss = value(term, mesh, surface, progress=0.5)
    assert loss.isfinite() and loss > 0
    loss.backward()
    assert surface.values.grad.isfinite().all() and surface.values.grad.abs().sum() > 0
    empty = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    assert value(term, empty, surface) == 0
    late = type(term)(weight=[[0.5, 0.0], [1.0, 2.0]])
    assert value(late, mesh, surface, progress=0.2) == 0


def test_splinters_have_bounded_derivatives():
    """A triangle of area 1e-12 among others: the derivative of its direction stays small."""
    areas = torch.tensor([[1.0, 0, 0], [0, 1e-12, 0], [0, 0, 2.0]], requires_grad=True)
    units = soft_unit(areas)
    assert units[0].norm().item() == pytest.approx(1, abs=1e-3) and units[1].norm() < 1e-6
    units.sum().backward()
    assert areas.grad.abs().max() < 200


def test_what_is_missing_is_said():
    """Each error says what to do."""
    with pytest.raises(ValueError, match="'edges' are not normals of a mesh: 'vertices' or 'faces'"):
        NormalConsistency(normals="edges")
    with pytest.raises(ValueError, match="'mean' is not a kind of Laplacian: 'uniform' or 'cotangent'"):
        Laplacian(kind="mean")
    with pytest.raises(ValueError, match="Eikonal needs places >= 2 and distance > 0, got places=1"):
        Eikonal(places=1)
    with pytest.raises(ValueError, match="places >= 1 and distance > 0, got places=4096, distance=0"):
        SurfaceNormalSmoothness(distance=0)
    with pytest.raises(ValueError, match="cubes of FlexiCubes, DMTet has none: leave out"):
        value(Deviation(), sphere(0), DMTet(resolution=4))
    with pytest.raises(ValueError, match="grid of a surface, Identity has none: leave out"):
        value(SignChanges(), sphere(0))
