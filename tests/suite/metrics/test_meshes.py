"""Meshes in numbers, each by hand."""

import math

import pytest
import torch
import trimesh

from suite.geometry.mesh import Mesh
from suite.metrics.meshes import mesh_report

SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def box(*sides: float, at: float = 0.0) -> Mesh:
    found = Mesh.from_trimesh(trimesh.creation.box(sides))
    return Mesh(found.vertices + at, found.faces)


def test_a_box():
    """1 x 2 x 3: area 22, volume 6, 12 faces, one closed part; inside out, the volume is negative."""
    found = mesh_report(box(1.0, 2.0, 3.0))
    assert (found.faces, found.vertices, found.components, found.watertight) == (12, 8, 1, True)
    assert (found.boundary_edges, found.non_manifold_edges, found.flipped_edges) == (0, 0, 0)
    assert (found.area, found.volume) == (pytest.approx(22), pytest.approx(6))
    assert found.texels is None and "texels_min" not in found.measures()
    inward = box(1.0, 2.0, 3.0)
    assert mesh_report(Mesh(inward.vertices, inward.faces.flip(1))).volume == pytest.approx(-6)


def test_two_balls():
    """Two parts; area and volume of the polyhedra add up, near 4 pi r^2 and 4/3 pi r^3."""
    ball = Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=4, radius=0.5))
    both = Mesh.cat([ball, Mesh(ball.vertices + 3, ball.faces)])
    found = mesh_report(both)
    assert (found.components, found.watertight, found.faces) == (2, True, 2 * 5120)
    assert found.area == pytest.approx(2 * math.pi, rel=0.01)
    assert found.volume == pytest.approx(2 * math.pi / 6, rel=0.01)
    assert found.line().startswith("10240 faces, 2 parts, watertight, area 6.")


def test_an_open_square():
    """Four boundary edges, area 1, no volume; a face without area is counted, not an edge."""
    found = mesh_report(Mesh(SQUARE, torch.cat([HALVES, torch.tensor([[1, 1, 2]])])))
    assert (found.watertight, found.boundary_edges, found.degenerate_faces) == (False, 4, 1)
    assert found.area == pytest.approx(1) and found.volume is None and "volume" not in found.measures()
    assert "open (4 boundary edges)" in found.line()


def test_neighbours_that_disagree():
    """A square with one half turned over: the diagonal is run through twice in the same direction."""
    found = mesh_report(Mesh(SQUARE, torch.tensor([[0, 1, 2], [0, 3, 2]])))
    assert (found.flipped_edges, found.boundary_edges, found.watertight) == (1, 4, False)


def test_a_moebius_strip():
    """Whatever way its faces are turned, one edge disagrees somewhere; its boundary is one loop of as many edges as
    both rims of the strip, and its area about 2 pi times the width."""
    n = 60
    angle = 2 * math.pi * torch.arange(n) / n
    rims = []
    for side in (-0.1, 0.1):
        reach = 1 + side * (angle / 2).cos()
        rims.append(torch.stack([reach * angle.cos(), reach * angle.sin(), side * (angle / 2).sin()], dim=-1))
    k, following = torch.arange(n), (torch.arange(n) + 1) % n
    cross = k == n - 1  # the last step joins either rim to the other
    low, high = torch.where(cross, following + n, following), torch.where(cross, following, following + n)
    faces = torch.cat([torch.stack([k, low, high], 1), torch.stack([k, high, k + n], 1)])
    found = mesh_report(Mesh(torch.cat(rims), faces))
    assert (found.components, found.watertight, found.boundary_edges) == (1, False, 2 * n)
    assert found.flipped_edges == 1 and found.non_manifold_edges == 0
    assert found.area == pytest.approx(2 * math.pi * 0.2, rel=0.02)


def test_three_sheets_at_one_edge():
    """A book of three pages: one non-manifold edge, which is no boundary; six edges are."""
    pages = torch.tensor([[0.0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]])
    found = mesh_report(Mesh(pages, torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]])))
    assert (found.non_manifold_edges, found.boundary_edges, found.watertight) == (1, 6, False)
    assert "1 non-manifold and 0 flipped edges" in found.line()


def test_seams_of_a_texture_do_not_open_a_box():
    """Corners stored once a face: closed all the same."""
    whole = box(1.0, 1.0, 1.0)
    split = Mesh(whole.vertices[whole.faces.reshape(-1)], torch.arange(36).view(12, 3))
    found = mesh_report(split)
    assert (found.vertices, found.watertight, found.components) == (36, True, 1)


def test_texel_density_by_hand():
    """A unit square on half a 64 x 64 texture, across: (32 * 64)^(1/2) texels a unit; half is unused. A second
    square, twice as large, on a quarter of it has a fourth of the density of one that fills it."""
    uv = SQUARE[:, :2] * torch.tensor([0.5, 1.0])
    found = mesh_report(Mesh(SQUARE, HALVES, uv=uv, texture=torch.zeros(3, 64, 64))).texels
    assert (found.texels_min, found.texels_max) == (pytest.approx((32 * 64) ** 0.5), pytest.approx(2048**0.5))
    assert found.texture_unused == pytest.approx(0.5)
    two = Mesh(
        torch.cat([SQUARE, 2 * SQUARE + 5]), torch.cat([HALVES, HALVES + 4]),
        uv=torch.cat([uv, SQUARE[:, :2] * 0.5 + 0.5]), texture=torch.zeros(3, 64, 64),
    )  # fmt: skip
    found = mesh_report(two).texels
    assert found.texels_min == pytest.approx(16) and found.texels_median == pytest.approx(16)
    assert found.texture_unused == pytest.approx(0.25)


def test_units_do_not_matter():
    """A micrometre's box has no degenerate faces and the volume of a micrometre cubed."""
    found = mesh_report(box(1e-6, 1e-6, 1e-6))
    assert found.degenerate_faces == 0 and found.volume == pytest.approx(1e-18, rel=1e-4) and found.watertight


def test_nothing():
    """No faces: nothing is closed."""
    found = mesh_report(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)))
    assert (found.faces, found.components, found.watertight, found.area) == (0, 0, False, 0)
