import math

import numpy as np
import pytest
import torch
import trimesh

from suite.geometry.mesh import Mesh
from suite.metrics.volumes import inside, passed_and_enclosed, volume_iou


def box(extents=(1.0, 1.0, 1.0), at=(0.0, 0.0, 0.0)) -> Mesh:
    mesh = trimesh.creation.box(extents)
    mesh.apply_translation(at)
    return Mesh.from_trimesh(mesh)


def sphere(radius: float = 1.0, subdivisions: int = 4) -> Mesh:
    return Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius))


def opened(mesh: Mesh) -> Mesh:
    """Without one face: not watertight, its gap about a voxel for a fine mesh."""
    return Mesh(mesh.vertices, mesh.faces[1:])


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 1.5])
def test_shifted_cubes(shift):
    """IoU of unit cubes shifted by s is (1 - s) / (1 + s), 0 beyond 1."""
    expected = max(0.0, 1 - shift) / (1 + min(shift, 1.0))
    assert volume_iou(box(at=(shift, 0, 0)), box(), resolution=60) == pytest.approx(expected, abs=0.02)


def test_concentric_spheres():
    """(r / R)^3."""
    assert volume_iou(sphere(0.8), sphere()) == pytest.approx(0.8**3, abs=0.01)


def test_volume_on_the_grid():
    """Voxels inside a sphere times their size are 4/3 pi."""
    count = np.count_nonzero(inside(sphere(), np.full(3, -1.1), 2.2 / 64, (64, 64, 64)))
    assert count * (2.2 / 64) ** 3 == pytest.approx(4 / 3 * math.pi, rel=0.01)


def test_overlapping_parts_are_one_volume():
    """Two boxes that cross are not hollow where they do; inside out they hold the same volume."""
    pair = Mesh.cat([box(at=(0.25, 0, 0)), box(at=(-0.25, 0, 0))])
    whole = box((1.5, 1.0, 1.0))
    assert volume_iou(pair, whole) > 0.97
    assert volume_iou(Mesh(pair.vertices, pair.faces.flip(1)), whole) > 0.97


def test_a_hollow_ball_is_hollow():
    """An inner sphere facing inwards is a cavity: volume 1 - .5^3 of the ball."""
    inner = sphere(0.5)
    hollow = Mesh.cat([sphere(), Mesh(inner.vertices, inner.faces.flip(1))])
    assert volume_iou(hollow, sphere()) == pytest.approx(0.875, abs=0.01)


def test_open_meshes_are_filled():
    """A sphere with a hole of about a voxel still counts as solid; both meshes are treated alike."""
    assert not opened(sphere()).is_watertight
    assert volume_iou(opened(sphere()), sphere()) > 0.99
    assert volume_iou(opened(sphere(0.8)), sphere()) == pytest.approx(0.8**3, abs=0.03)


def test_a_wide_open_mesh_is_a_shell():
    """The lower half of a sphere encloses nothing: its surface's voxels against the solid ball."""
    ball = sphere()
    bowl = Mesh(ball.vertices, ball.faces[ball.face_normals()[:, 2] < 0])
    assert volume_iou(bowl, ball) < 0.1


def test_faces_that_point_anywhere_are_filled():
    """Half of the faces turned around: no inside by winding, the same solid by filling."""
    ball = sphere()
    faces = ball.faces.clone()
    faces[::2] = faces[::2].flip(1)
    assert volume_iou(Mesh(ball.vertices, faces), ball) > 0.99


def test_filling_never_leaks():
    """The passed voxels of a closed surface enclose all that is inside, at any resolution and rotation."""
    torus = trimesh.creation.torus(0.7, 0.25)
    torus.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3]))
    mesh = Mesh.from_trimesh(torus)
    for resolution in (9, 20, 33):
        grid = np.full(3, -1.1), 2.2 / resolution, (resolution,) * 3
        solid, filled = inside(mesh, *grid), passed_and_enclosed(mesh, *grid)
        assert (filled | ~solid).all()
        assert np.count_nonzero(filled) < 2.2 * np.count_nonzero(solid) + 50


def test_no_volume_at_all():
    """Two points have IoU 0; an open sheet with itself 1."""
    point = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]))
    assert volume_iou(point, point) == 0
    sheet = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2]]))
    assert volume_iou(sheet, sheet) == 1


def test_errors():
    """A grid needs voxels."""
    with pytest.raises(ValueError, match="resolution >= 2, got 1"):
        volume_iou(box(), box(), resolution=1)
