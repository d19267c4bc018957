"""Signed distances against closed forms, and their gradients."""

import logging
import math

import pytest
import torch
from torch.nn.functional import normalize

from nerf.surfaces.shapes import Ellipsoid, GridDistance, MeshDistance, Sphere, grid_points, sample_grid
from suite.geometry.mesh import Mesh
from suite.io.meshes import save_mesh


def places(count=200, seed=0):
    return 1.2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 0.6


def ball(radius=0.4, at=(0.0, 0.0, 0.0)):
    import trimesh

    mesh = Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=4, radius=radius))
    return Mesh(mesh.vertices + torch.tensor(at), mesh.faces)


def slope(shape, points):
    points = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(shape(points).sum(), points)
    return gradient


def test_a_sphere():
    """|x| - r with slope x / |x|, 0 at the centre; any number of axes."""
    shape, x = Sphere(radius=0.3), places()
    torch.testing.assert_close(shape(x), x.norm(dim=-1) - 0.3)
    torch.testing.assert_close(slope(shape, x), normalize(x, dim=-1))
    assert shape(torch.zeros(2, 1, 3)).tolist() == [[pytest.approx(-0.3)], [pytest.approx(-0.3)]]
    assert slope(shape, torch.zeros(1, 3)).abs().sum() == 0


def test_an_ellipsoid():
    """Zero on x = (a cos u cos v, ...), where its slope is 1 and along the normal x / r^2; with equal radii it
    is the ball; negative at the centre."""
    radii = torch.tensor([0.5, 0.3, 0.2])
    shape, on = Ellipsoid(radii=[0.5, 0.3, 0.2]), normalize(places(), dim=-1) * radii
    torch.testing.assert_close(shape(on), torch.zeros(200), rtol=0, atol=1e-6)
    torch.testing.assert_close(slope(shape, on), normalize(on / radii**2, dim=-1), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(Ellipsoid(radii=[0.4] * 3)(places()), Sphere(radius=0.4)(places()))
    assert shape(torch.zeros(1, 3)).item() == pytest.approx(-0.2)


@pytest.mark.usefixtures("open3d")
def test_a_mesh(tmp_path):
    """Of a fine ball: that of the ball, also from its file; with a slope."""
    shape, x = MeshDistance(mesh=ball()), places()
    expected = x.norm(dim=-1) - 0.4
    torch.testing.assert_close(shape(x), expected, rtol=0, atol=2e-3)
    far = expected.abs() > 0.02
    torch.testing.assert_close(slope(shape, x)[far], normalize(x, dim=-1)[far], rtol=0, atol=0.1)
    save_mesh(tmp_path / "ball.ply", ball(radius=2.0))
    scaled = MeshDistance(mesh=tmp_path / "ball.ply", fit=0.8)
    torch.testing.assert_close(scaled(x), expected, rtol=0, atol=2e-3)


@pytest.mark.usefixtures("open3d")
def test_parts_of_a_mesh_overlap_or_are_cavities():
    """Two overlapping balls: inside is what is in any of them. A ball turned inside out in a ball, union=False:
    a shell."""
    x = places(400)
    two = Mesh.cat([ball(0.25, (-0.1, 0.0, 0.0)), ball(0.25, (0.1, 0.0, 0.0))])
    each = [(x - torch.tensor([side, 0.0, 0.0])).norm(dim=-1) - 0.25 for side in (-0.1, 0.1)]
    torch.testing.assert_close(MeshDistance(mesh=two)(x), torch.minimum(*each), rtol=0, atol=2e-3)
    inner = ball(0.2)
    shell = MeshDistance(mesh=Mesh.cat([ball(0.4), Mesh(inner.vertices, inner.faces.flip(1))]), union=False)
    r = x.norm(dim=-1)
    torch.testing.assert_close(shell(x), torch.maximum(r - 0.4, 0.2 - r), rtol=0, atol=2e-3)


def test_a_grid():
    """Trilinear functions are exact: axes are x, y, z; outside of the box the border's value."""
    p = grid_points(3, 0.6)

    def f(x):
        return 1 + x[..., 0] - 2 * x[..., 1] + 0.5 * x[..., 2] + x[..., 0] * x[..., 1] * x[..., 2]

    x = places()
    torch.testing.assert_close(GridDistance(values=f(p), radius=0.6)(x), f(x))
    x64 = x.double()
    torch.testing.assert_close(sample_grid(f(p.double()), x64, 0.6), f(x64), rtol=0, atol=1e-6)
    linear = GridDistance(values=p[..., 1].contiguous(), radius=0.6)
    torch.testing.assert_close(slope(linear, x), torch.tensor([0.0, 1, 0]).expand(200, 3))


@pytest.mark.usefixtures("open3d")
def test_what_cannot_be_is_refused(caplog):
    """Each error says what is needed; a mesh with a hole is only warned of."""
    with pytest.raises(ValueError, match="Sphere needs radius > 0, got 0"):
        Sphere(radius=0)
    with pytest.raises(ValueError, match=r"three radii > 0, got \[0.1, 0.2\]"):
        Ellipsoid(radii=[0.1, 0.2])
    with pytest.raises(ValueError, match="GridDistance needs radius > 0, got -1"):
        GridDistance(values=torch.ones(2, 2, 2), radius=-1)
    with pytest.raises(ValueError, match="faces and finite vertices, got 0 faces"):
        MeshDistance(mesh=Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)))
    with pytest.raises(ValueError, match="1 vertices with NaN"):
        MeshDistance(
            mesh=Mesh(torch.tensor([[math.nan] * 3, [0.0] * 3, [1.0] * 3]), torch.tensor([[0, 1, 2]]))
        )
    whole = ball()
    with caplog.at_level(logging.WARNING):
        MeshDistance(mesh=Mesh(whole.vertices, whole.faces[1:]))
    assert "not closed" in caplog.text
