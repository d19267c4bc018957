"""FlexiCubes against closed forms, hand arithmetic, finite differences; closed manifolds whatever the signs."""

from collections import Counter

import numpy as np
import pytest
import torch
from solids import KNOWN, area, assert_closed_manifold, distance, euler_characteristic, random_field, volume

import nerf.surfaces.dual as dual
from nerf.surfaces.dual import flexicubes
from nerf.surfaces.patches import EDGE_CORNERS, FACE_CORNERS, sheet_table
from nerf.surfaces.shapes import grid_points


def weights_of(resolution, seed=0, low=0.2, high=1.8):
    draw = torch.rand((resolution + 1,) * 3 + (21,), generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * draw


def test_edges_and_faces_of_a_cube():
    """12 edges between corners that differ in one bit; each is in two faces."""
    assert len({frozenset(pair) for pair in EDGE_CORNERS}) == 12
    assert all((a ^ b).bit_count() == 1 for a, b in EDGE_CORNERS)
    around = Counter(frozenset(p) for f in FACE_CORNERS for p in zip(f, f[1:] + f[:1]))
    assert len(around) == 12 and set(around.values()) == {2}


def test_sheets_by_hand():
    """None; a corner; an edge; two opposite corners; two diagonal corners of a face, kept apart; four corners
    of which no two are neighbours; a half."""
    sheet, amount, _ = sheet_table()
    for code, sheets, cuts in [
        (0, 0, 0), (1, 1, 3), (0b11, 1, 4), (0b10000001, 2, 6), (0b1001, 2, 6), (0b01101001, 4, 12), (15, 1, 4)
    ]:  # fmt: skip
        assert amount[0, code] == sheets and (sheet[0, code] >= 0).sum() == cuts
    for code in range(256):  # an edge is in a sheet if its ends differ
        cut = torch.tensor([(code >> a & 1) != (code >> b & 1) for a, b in EDGE_CORNERS])
        assert torch.equal(sheet[0, code] >= 0, cut) and torch.equal(sheet[1, code] >= 0, cut)
        used = sheet[0, code][cut].unique()
        assert torch.equal(used, torch.arange(len(used)))


def test_doubtful_faces_part_a_sheet():
    """Joined the other way, a cube with a doubtful face has one sheet more; the others are as they were. There
    are 36, in two classes (configurations 16 and 19 in the paper's table)."""
    sheet, amount, doubtful = sheet_table()
    has = doubtful >= 0
    assert torch.equal(amount[1] - amount[0], has.long())
    assert torch.equal(sheet[0][~has], sheet[1][~has])
    inner = Counter(code.bit_count() for code in has.nonzero()[:, 0].tolist())
    assert sum(inner.values()) == 36 and len(inner) == 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", KNOWN)
def test_volume_and_area_converge(name, training):
    """To the closed forms, with the square of the cell; closed, outwards, of the right genus."""
    errors = []
    for resolution in (16, 32):
        mesh = flexicubes(distance(name, resolution), 0.6, training=training).mesh
        assert_closed_manifold(mesh)
        assert euler_characteristic(mesh) == {"ball": 2, "torus": 0}[name]
        found = torch.tensor([volume(mesh), area(mesh)])
        errors.append((found / torch.tensor(KNOWN[name]) - 1).abs())
    assert errors[-1].max() < 0.04
    order = torch.log2(errors[0] / errors[-1])
    assert order.min() > 1.6, order


@pytest.mark.parametrize("smooth", [0, 0.7, 2.0])
def test_random_fields_are_closed_manifolds(smooth):
    """Whatever the signs and weights are."""
    for seed in range(3):
        values = random_field(seed, 16, smooth)
        for training in (True, False):
            found = flexicubes(values, 1.0, weights=weights_of(16, seed), training=training)
            assert_closed_manifold(found.mesh)
            assert volume(found.mesh) > 0 and found.deviation > 0


def test_the_repair_is_needed(monkeypatch):
    """Where two doubtful faces meet and none is turned, four quadrilaterals share an edge."""
    values = random_field(0, 16, smooth=0)
    monkeypatch.setattr(dual, "_turned", lambda cells, doubtful: torch.zeros_like(cells.code))
    faces = flexicubes(values).mesh.faces.numpy()
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert np.unique(edges, axis=0, return_counts=True)[1].max() == 4


def one_inside(dtype=torch.float32):
    values = torch.ones(3, 3, 3, dtype=dtype)
    values[1, 1, 1] = -1
    return values


def test_one_vertex_by_hand():
    """Crossings half-way along x, y, z: each of eight dual vertices is their mean, (1, 1, 1) / 6 in each octant;
    the distances to them are alike, so L_dev is 0. Six quads: 12 triangles at the end, 24 and six centres before."""
    final = flexicubes(one_inside(), 1.0, training=False)
    torch.testing.assert_close(final.mesh.vertices.abs(), torch.full((8, 3), 1 / 6))
    assert len(final.mesh.faces) == 12 and volume(final.mesh) == pytest.approx(1 / 27)
    assert final.deviation.item() == pytest.approx(0, abs=1e-6)
    training = flexicubes(one_inside(), 1.0)
    assert len(training.mesh.faces) == 24 and len(training.mesh.vertices) == 14
    assert volume(training.mesh) == pytest.approx(1 / 27)


def test_weights_by_hand():
    """In the cube above the middle: alpha 2 at its corner 0 moves the crossings to 2/3; beta 2 on its edge along
    x gives v = (2 u_x + u_y + u_z) / 4; distances to u: |v - u| by hand for L_dev."""
    weights = torch.ones(3, 3, 3, 21)
    weights[1, 1, 1, 0] = 2  # alpha
    weights[1, 1, 1, 8] = 2  # beta of edge 0, along x from corner 0
    found = flexicubes(one_inside(), 1.0, weights=weights)
    u = 2 / 3 * torch.eye(3)
    v = (2 * u[0] + u[1] + u[2]) / 4
    assert (found.mesh.vertices - v).norm(dim=-1).min() < 1e-6
    apart = (v - u).norm(dim=-1)
    expected = (apart - apart.mean()).abs().mean() / 8  # seven others have none
    assert found.deviation.item() == pytest.approx(expected.item(), abs=1e-6)


def test_quads_are_cut_as_gamma_says():
    """One cube with a large gamma: centres lie on the diagonals through it, and those are the cuts at the end."""
    values, weights = one_inside(), torch.ones(3, 3, 3, 21)
    weights[1, 1, 1, 0], weights[1, 1, 1, 20] = 2, 50
    found = flexicubes(values, 1.0, weights=weights)
    near = torch.full((3,), 2 / 9)  # all three crossings at 2/3, their mean
    across = torch.tensor([1 / 6, -1 / 6, -1 / 6])
    far = (torch.tensor([1 / 6, -1 / 6, 1 / 6]) + torch.tensor([1 / 6, 1 / 6, -1 / 6])) / 2
    centre = (50 * (near + across) / 2 + far) / 51
    assert (found.mesh.vertices - centre).norm(dim=-1).min() < 1e-6
    final = flexicubes(values, 1.0, weights=weights, training=False).mesh
    corner = int((final.vertices - near).norm(dim=-1).argmin())
    assert (final.faces == corner).any(1).sum() == 6  # two triangles of each of its three quads


@pytest.mark.parametrize("scale, bound", [(None, None), (0.9, 0.4)])
def test_gradients_are_true(scale, bound):
    """gradcheck in float64: vertices and L_dev, in distances, moves and weights, with and without tanh."""
    values = random_field(1, 4, smooth=0.6).double()
    values = torch.where(values.abs() < 0.1, 0.1, values).requires_grad_()
    random = torch.Generator().manual_seed(0)
    offsets = 0.2 * torch.randn(5, 5, 5, 3, generator=random).double()
    weights = weights_of(4, low=0.5, high=1.5).double()

    def surface(values, offsets, weights):
        found = flexicubes(values, 0.6, offsets, weights, bound=bound, scale=scale)
        return found.mesh.vertices, found.deviation

    inputs = (values, offsets.requires_grad_(), weights.requires_grad_())
    assert torch.autograd.gradcheck(surface, inputs, fast_mode=True)


def test_planes_are_exact():
    """Dual vertices of a linear field lie on its plane; an open surface ends a half cell before the walls."""
    normal = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8]), dim=0)
    mesh = flexicubes(grid_points(8, 1.0) @ normal - 0.05).mesh
    assert (mesh.vertices @ normal - 0.05).abs().max() < 1e-6
    assert (mesh.face_normals() @ normal).min() > 0.99


def test_nothing_inside_is_an_empty_mesh():
    """No faces, and L_dev is 0."""
    empty = flexicubes(torch.ones(4, 4, 4))
    assert empty.mesh.faces.shape == (0, 3) and empty.deviation == 0
