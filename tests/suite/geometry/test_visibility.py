"""What can be seen of a mesh, by shapes whose inside is known."""

import pytest
import torch
import trimesh

from suite.geometry.mesh import Mesh
from suite.geometry.visibility import around, outer_surface


def test_what_is_inside_is_left_out():
    """Of a ball in a box the box remains, however the two are scaled and placed."""
    box, ball = trimesh.creation.box((2.0, 2.0, 2.0)), trimesh.creation.icosphere(radius=0.8)
    both = Mesh.from_trimesh(trimesh.util.concatenate([box, ball]))
    shift = torch.eye(4) * 3
    shift[:3, 3], shift[3, 3] = torch.tensor([5.0, -2.0, 9.0]), 1
    outside = outer_surface(both.transformed(shift))
    assert float(outside.face_areas().sum()) == pytest.approx(24 * 9, rel=1e-3)


def test_of_two_parts_that_run_through_each_other_the_union_remains():
    """Two unit cubes, one shifted by half a side along x: 6 + 4 * .5 of surface, 2 faces hidden inside."""
    a, b = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 0.9, 0.9))
    b.apply_translation((0.5, 0, 0))
    outside = outer_surface(Mesh.from_trimesh(trimesh.util.concatenate([a, b])))
    union = 6 - 0.81 + 4 * 0.45 + 0.81  # a without what b covers, b's sides outside and its end
    assert float(outside.face_areas().sum()) == pytest.approx(union, rel=0.02)


def test_an_open_vessel_keeps_its_inside():
    """A cup's inner wall can be seen from above."""
    cup = trimesh.creation.annulus(r_min=0.4, r_max=0.5, height=0.6)
    outside = outer_surface(Mesh.from_trimesh(cup))
    assert float(outside.face_areas().sum()) == pytest.approx(cup.area, rel=0.01)


def test_a_mesh_without_size_is_refused():
    """There is no outside of a point."""
    with pytest.raises(ValueError, match="has no size has no outside"):
        outer_surface(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])))


def test_cameras_are_equally_dense_between_two_elevations():
    """On a sphere the area between elevations is the difference of their sines."""
    cameras = around(1000, 2.0, elevation_deg=(-30.0, 90.0))
    elevation = cameras.elevation_deg
    assert float(elevation.min()) > -30.1 and float((elevation > 30).float().mean()) == pytest.approx(
        1 / 3, abs=0.01
    )
    assert float((cameras.azimuth_deg.abs() < 45).float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(cameras.distance, torch.full((1000,), 2.0))
