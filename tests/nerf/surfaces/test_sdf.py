"""Signed distance fields: they start as their shape, have true gradients, and give grids and meshes."""

import pytest
import torch
from solids import assert_closed_manifold
from torch.nn.functional import normalize

from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.sdf import SDFField
from nerf.surfaces.shapes import Ellipsoid
from nerf.surfaces.tetrahedra import marching_tetrahedra
from suite.schedules import Linear


def places(*shape):
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(0)) - 0.5


def small(**options):
    return SDFField(**{"levels": 3, "log2_table": 10, "base": 4, "finest": 16, "hidden": 8} | options)


def rough(**options):
    """One that has learnt something."""
    field = small(**options)
    with torch.no_grad():
        field.encoding.table.normal_(generator=torch.Generator().manual_seed(1))
        field.network[-1].weight.normal_(generator=torch.Generator().manual_seed(2)).mul_(0.02)
    return field


def test_it_starts_as_its_shape():
    """Exactly, with the slope of the shape; shapes and ranges as stated."""
    x = places(5, 4)
    sample = small(extra=2)(x, gradient=True)
    torch.testing.assert_close(sample.sdf, x.norm(dim=-1) - 0.4)
    torch.testing.assert_close(sample.gradient, normalize(x, dim=-1))
    assert sample.albedo.shape == (5, 4, 3) and ((0 < sample.albedo) & (sample.albedo < 1)).all()
    assert sample.features.shape == (5, 4, 2) and small()(x).gradient is None
    egg = Ellipsoid(radii=[0.5, 0.2, 0.3])
    torch.testing.assert_close(small(init=egg).sdf(x), egg(x))


def test_gradients_are_true():
    """Against central differences; without grad they are detached; the eikonal term reaches all parameters that
    make the distance."""
    field, x = rough(), places(40)
    gradient = field.gradient(x)
    step = 1e-3 * torch.eye(3)
    difference = (field.sdf(x[:, None] + step) - field.sdf(x[:, None] - step)) / 2e-3
    assert (gradient - difference).abs().median() < 1e-3  # a few of the places lie at a border of cells
    (gradient.norm(dim=-1) - 1).square().mean().backward()
    assert field.encoding.table.grad.abs().sum() > 0 and field.network[0].weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert not field.gradient(x).requires_grad


def test_its_grid_gives_meshes():
    """By marching tetrahedra, differentiable down to the network; and as the start of a surface."""
    field = rough()
    mesh = marching_tetrahedra(field.grid(12), field.radius)
    assert_closed_manifold(mesh)
    assert field.sdf(mesh.vertices).abs().mean() < 0.01
    mesh.vertices.square().sum().backward()
    assert field.network[-1].weight.grad[0].abs().sum() > 0
    surface = DMTet(resolution=12, texture=field)
    surface.set_distance(field.grid(12))
    torch.testing.assert_close(surface().vertices, mesh.vertices, rtol=0, atol=1e-5)
    torch.testing.assert_close(surface.albedo(mesh.vertices), field.albedo(mesh.vertices))


def test_parameters_and_seeds():
    """All are in a group with its rate; the weights come from the field's own seed."""
    field = small(lr=0.1, network_lr=0.01)
    grid, network = field.parameter_groups(Linear(2.0, 4.0))
    assert (grid["lr"](0.5), network["lr"](0.5)) == (pytest.approx(0.3), pytest.approx(0.03))
    assert len(grid["params"]) + len(network["params"]) == len(list(field.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(field.parameters(), small().parameters()))
    assert not torch.equal(small(seed=1).encoding.table, field.encoding.table)
    field.set_progress(0.5)


def test_bad_options_are_refused():
    """The error says what is possible."""
    with pytest.raises(
        ValueError, match="radius, lr, network_lr > 0, hidden >= 1 and extra >= 0, got radius=0"
    ):
        SDFField(radius=0)
