"""Every surface of configs/surface keeps the contract: closed, differentiable, saved and taken up again."""

import copy
from pathlib import Path

import pytest
import torch
import yaml
from solids import assert_closed_manifold, volume
from torch import nn

from nerf.fields.dense_grid import DenseGridField
from nerf.surfaces.base import Surface
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.flexicubes import FlexiCubes
from nerf.surfaces.shapes import Ellipsoid, Sphere, grid_points
from suite.config import build
from suite.schedules import Linear
from suite.task import evolving_tensors

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "surface").glob("*.yaml"))
KINDS = [yaml.safe_load(path.read_text()) for path in CONFIGS]


@pytest.fixture(params=KINDS, ids=[path.stem for path in CONFIGS])
def make(request):
    """Makes a surface of the configured class, with other options."""

    def make(**options) -> Surface:
        return build(request.param | {"resolution": 16} | options)

    return make


def colors():
    field = DenseGridField(radius=0.6, resolutions=[4])
    field.table.data.normal_(generator=torch.Generator().manual_seed(0))
    return field


def test_it_starts_as_its_shape(make):
    """A ball of two thirds of the radius, or what `init` says; distances and slopes are those of the shape."""
    surface = make()
    mesh = surface()
    assert_closed_manifold(mesh)
    assert mesh.vertices.norm(dim=-1).mean().item() == pytest.approx(0.4, rel=0.02)
    egg = make(init=Ellipsoid(radii=[0.5, 0.3, 0.3]))
    torch.testing.assert_close(egg().bounds[1], torch.tensor([0.5, 0.3, 0.3]), rtol=0, atol=0.03)
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) - 0.5
    torch.testing.assert_close(surface.sdf(x), x.norm(dim=-1) - 0.4, rtol=0, atol=0.02)
    x = x[x.norm(dim=-1) > 0.2]
    assert torch.allclose(surface.gradient(x), nn.functional.normalize(x, dim=-1), atol=0.1)


def test_everything_learns(make):
    """A loss on vertices and colours reaches every parameter in the optimizer's groups, and these are all."""
    surface = make(texture=colors())
    groups = surface.parameter_groups(Linear(1.0, 0.1))
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in surface.parameters()}
    assert groups[0]["lr"](1.0) == pytest.approx(0.1 * surface.lr)
    mesh = surface()
    (mesh.vertices[:, 0].square().sum() + surface.albedo(mesh.vertices).square().sum()).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in surface.parameters())
    rigid = make(deformation=0)
    assert not rigid.moves.requires_grad and rigid().vertices.requires_grad
    assert id(rigid.moves) not in {id(p) for g in rigid.parameter_groups(Linear(1, 1)) for p in g["params"]}


def test_a_ball_becomes_an_egg(make):
    """Adam on the mean squared implicit value of the vertices: they come to lie on the ellipsoid."""
    surface, egg = make(), Ellipsoid(radii=[0.45, 0.3, 0.35])
    optimizer = torch.optim.Adam([p for p in surface.parameters() if p.requires_grad], lr=0.05)

    def loss():
        return egg(surface().vertices).square().mean()

    before = loss().item()
    for _ in range(60):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
    assert loss() < 0.01 * before
    assert_closed_manifold(surface())


def test_it_is_saved_and_copied(make):
    """Another surface with the evolving tensors gives the same mesh, bit for bit; copies are free of history."""
    surface = make(texture=colors())
    with torch.no_grad():
        for p in surface.parameters():
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2))
    expected = surface()
    other = make(texture=DenseGridField(radius=0.6, resolutions=[4]))
    with torch.no_grad():
        for name, tensor in evolving_tensors(other).items():
            tensor.copy_(evolving_tensors(surface)[name])
    for twin in (other, copy.deepcopy(surface)):
        mesh = twin()
        assert torch.equal(mesh.vertices, expected.vertices) and torch.equal(mesh.faces, expected.faces)
        assert torch.equal(twin.final().vertex_colors, surface.final().vertex_colors)


def test_it_never_leaves_the_box(make):
    """All inside is a closed box."""
    surface = make(init=Sphere(radius=5.0))
    mesh = surface()
    assert_closed_manifold(mesh)
    assert mesh.vertices.abs().max() <= 0.6 and volume(mesh) > 0.7 * 1.2**3


def test_it_may_be_empty(make):
    """Nothing inside: no faces now and at the end."""
    surface = make()
    surface.set_distance(torch.ones(17, 17, 17))
    assert len(surface().faces) == 0 and len(surface.final().faces) == 0


def test_the_final_mesh(make):
    """Closed, without gradient, coloured by the texture at its vertices; grey without one."""
    texture = colors()
    surface = make(texture=texture)
    mesh = surface.final()
    assert_closed_manifold(mesh)
    assert not mesh.vertices.requires_grad
    torch.testing.assert_close(mesh.vertex_colors, texture(mesh.vertices).albedo.detach())
    plain = make()
    assert plain.final().vertex_colors is None and (plain.albedo(mesh.vertices) == 0.5).all()


def test_progress_reaches_the_texture(make):
    """A hash grid switches on its levels."""
    texture = colors()
    seen = []
    texture.set_progress = seen.append
    make(texture=texture).set_progress(0.5)
    make().set_progress(0.5)
    assert seen == [0.5]


def test_any_module_with_albedo_is_a_texture():
    """Without groups of its own it learns as fast as the distances."""

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(0.3))

        def forward(self, points):
            from types import SimpleNamespace

            return SimpleNamespace(albedo=self.value * torch.ones_like(points))

    surface = DMTet(resolution=8, texture=Plain(), lr=0.03)
    assert surface.parameter_groups(Linear(2.0, 2.0))[-1]["lr"](0.0) == pytest.approx(0.06)
    assert (surface.final().vertex_colors == 0.3).all()


def test_flexicubes_without_weights():
    """weight_scale=0 fixes them; the final mesh has half the faces of those in training."""
    fixed = FlexiCubes(resolution=8, weight_scale=0)
    assert not fixed.weights.requires_grad and fixed().vertices.requires_grad
    assert 2 * len(fixed.final().faces) == len(fixed().faces)
    assert fixed.latest.mesh.faces.shape == fixed().faces.shape


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match="DMTet needs resolution >= 4 and radius > 0, got resolution=2"):
        DMTet(resolution=2)
    with pytest.raises(ValueError, match="0 <= deformation <= 0.5, got 0.7: further apart, cells turn over"):
        FlexiCubes(resolution=8, deformation=0.7)
    with pytest.raises(ValueError, match="lr > 0 and deformation_lr > 0, got lr=0"):
        DMTet(resolution=8, lr=0)
    with pytest.raises(ValueError, match="0 <= weight_scale < 1 and weights_lr > 0, got weight_scale=1"):
        FlexiCubes(resolution=8, weight_scale=1)
    with pytest.raises(
        ValueError, match=r"resolution=8 has a grid of \(9, 9, 9\), got distances of \(5, 5, 5\)"
    ):
        DMTet(resolution=8).set_distance(grid_points(4, 0.6).norm(dim=-1))
