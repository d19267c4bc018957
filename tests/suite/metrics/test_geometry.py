import math

import numpy as np
import pytest
import torch
import trimesh

from suite.geometry.mesh import Mesh
from suite.geometry.transforms import rotation_z
from suite.metrics.geometry import (
    align,
    chamfer_distance,
    compare_meshes,
    f_score,
    nearest,
    normal_consistency,
    sample_surface,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sphere(radius: float = 1.0) -> Mesh:
    return Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=4, radius=radius))


def moved(mesh: Mesh, azimuth: float = 0.0, scale: float = 1.0, shift=(0.0, 0.0, 0.0)) -> Mesh:
    matrix = rotation_z(torch.tensor(azimuth))
    matrix[:3, :3] *= scale
    matrix[:3, 3] = torch.tensor(shift)
    return mesh.transformed(matrix)


def lopsided() -> Mesh:
    """Boxes without any symmetry about +Z."""
    parts = []
    for extents, at in (
        ((1.0, 0.4, 0.3), (0, 0, 0)),
        ((0.2, 0.2, 0.6), (0.4, 0.1, 0.4)),
        ((0.2, 0.5, 0.1), (-0.3, 0.3, 0)),
    ):
        box = trimesh.creation.box(extents)
        box.apply_translation(at)
        parts.append(Mesh.from_trimesh(box))
    return Mesh.cat(parts)


def test_samples_are_uniform_in_area_and_on_the_surface():
    """On a 1 x 2 x 3 box each face gets its share of the points; normals are the faces'."""
    box = Mesh.from_trimesh(trimesh.creation.box((1.0, 2.0, 3.0)))
    samples = sample_surface(box, 20000, seeded())
    scaled = (samples.points / torch.tensor([0.5, 1.0, 1.5])).abs()
    torch.testing.assert_close(scaled.amax(1), torch.ones(20000))
    share = samples.normals.abs().mean(0)
    torch.testing.assert_close(share, torch.tensor([6.0, 3.0, 2.0]) / 11, atol=0.01, rtol=0)
    torch.testing.assert_close(samples.points.mean(0), torch.zeros(3), atol=0.03, rtol=0)


def test_samples_follow_the_generator():
    """The same state, the same points."""
    one, two, other = (sample_surface(sphere(), 50, seeded(k)).points for k in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_nearest_is_the_slow_loop():
    """The k-d tree agrees with all pairs."""
    a, b = torch.randn(40, 3, generator=seeded()), torch.randn(30, 3, generator=seeded(1))
    truth = torch.cdist(a, b).min(dim=1)
    distance, index = nearest(a, b)
    torch.testing.assert_close(distance, truth.values, atol=1e-5, rtol=0)
    assert torch.equal(index, truth.indices)


def test_chamfer_of_concentric_spheres_is_the_difference_of_radii():
    """Every point of one is |r - s| away from the other."""
    a, b = (sample_surface(sphere(r), 4000, seeded(k)).points for k, r in enumerate((1.0, 0.7)))
    assert chamfer_distance(a, b) == pytest.approx(0.3, abs=0.004)
    assert chamfer_distance(a, b) == chamfer_distance(b, a)


def test_chamfer_by_hand():
    """{0} against {1, 3} on a line: (1 + (1 + 3) / 2) / 2 = 1.5, not squared."""
    a, b = torch.tensor([[0.0, 0, 0]]), torch.tensor([[1.0, 0, 0], [3, 0, 0]])
    assert chamfer_distance(a, b) == pytest.approx(1.5)


def test_sampling_floor_is_as_documented():
    """Two samplings of one unit cube are about 0.5 sqrt(area / count) apart."""
    cube = Mesh.from_trimesh(trimesh.creation.box())
    a, b = (sample_surface(cube, 20000, seeded(k)).points for k in (0, 1))
    assert chamfer_distance(a, b) == pytest.approx(0.5 * math.sqrt(6 / 20000), rel=0.05)


def test_f_score_by_hand():
    """Of two predicted points one is near: precision 1/2, recall 1, F = 2/3. Nothing near: 0."""
    truth = torch.tensor([[0.0, 0, 0]])
    predicted = torch.tensor([[0.0, 0, 0.01], [0, 0, 1.0]])
    assert f_score(predicted, truth, 0.05) == pytest.approx(2 / 3)
    assert f_score(predicted + 5, truth, 0.05) == 0


def test_normal_consistency():
    """A sphere with itself 1 (turned inside out too); plane against a plane at 60 degrees 1/2."""
    a, b = sample_surface(sphere(), 20000, seeded(0)), sample_surface(sphere(), 20000, seeded(1))
    assert normal_consistency(a, b) > 0.995
    inverted = Mesh(sphere().vertices, sphere().faces.flip(1))
    assert normal_consistency(a, sample_surface(inverted, 20000, seeded(1))) > 0.995
    square = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]), torch.tensor([[0, 1, 2]]))
    c, s = math.cos(math.pi / 3), math.sin(math.pi / 3)
    turned = square.transformed(torch.tensor([[1.0, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]))
    flat, steep = sample_surface(square, 100, seeded()), sample_surface(turned, 100, seeded())
    assert normal_consistency(flat, steep) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("azimuth", [0.0, 37.0, -128.5, 180.0])
def test_a_planted_pose_is_recovered(azimuth):
    """scale, offset and azimuth of a moved copy are found again, to 2 % and 1.5 degrees."""
    truth = lopsided()
    planted = moved(truth, azimuth, scale=0.6, shift=(0.3, -0.5, 0.2))
    found = align(planted, truth, count=1500)
    back = moved(planted.transformed(found.matrix), 0.0)
    assert abs((found.azimuth_deg + azimuth + 180) % 360 - 180) < 1.5
    assert found.scale == pytest.approx(1 / 0.6, rel=0.02)
    torch.testing.assert_close(back.vertices, truth.vertices, atol=0.025, rtol=0)
    again = transform(found, planted.vertices)
    torch.testing.assert_close(again, back.vertices, atol=1e-4, rtol=0)


def transform(found, points: torch.Tensor) -> torch.Tensor:
    """The formula in Alignment's docstring."""
    rotation = rotation_z(torch.tensor(found.azimuth_deg))[:3, :3]
    return found.scale * points @ rotation.T + torch.tensor(found.offset)


def test_what_is_switched_off_stays():
    """Without azimuth the turn is 0, without scale 1, without offset the shift is 0."""
    truth = lopsided()
    planted = moved(truth, 50.0, scale=0.8, shift=(0.2, 0.0, 0.0))
    assert align(planted, truth, azimuth=False, count=300).azimuth_deg == 0
    assert align(planted, truth, scale=False, count=300).scale == 1
    assert align(planted, truth, offset=False, count=300).offset == (0, 0, 0)
    still = align(planted, truth, azimuth=False, scale=False, offset=False, count=300)
    assert torch.equal(still.matrix, torch.eye(4))
    same = seeded()
    a, b = (sample_surface(mesh, 300, same).points for mesh in (planted, truth))
    assert still.chamfer == pytest.approx(chamfer_distance(a, b), rel=1e-5)


def test_alignment_resists_a_floater():
    """A crumb far away, of 1 % of the area, moves the bounding box but not the alignment."""
    truth = lopsided()
    crumb = Mesh.from_trimesh(trimesh.creation.box((0.05, 0.05, 0.05)))
    dirty = Mesh.cat([moved(truth, 60.0), moved(crumb, shift=(2.0, 2.0, 2.0))])
    found = align(dirty, truth, count=1000)
    assert abs((found.azimuth_deg + 60 + 180) % 360 - 180) < 3
    assert found.scale == pytest.approx(1, rel=0.03)


def test_compare_meshes_is_in_units_of_the_truth():
    """A copy is perfect wherever and however large it is; a radius too large by 10 % of the side is .1."""
    truth = moved(lopsided(), scale=7.0, shift=(3.0, 0.0, 0.0))
    copy = compare_meshes(moved(lopsided(), 90.0, scale=0.3), truth, count=10000)
    assert copy.chamfer < 0.015 and copy.f_score > 0.99
    assert copy.volume_iou > 0.9 and copy.normal_consistency > 0.95
    plain = compare_meshes(sphere(12.0), sphere(10.0), aligned=False, count=10000)
    assert plain.alignment is None
    assert plain.chamfer == pytest.approx(0.1, abs=0.003)
    assert plain.volume_iou == pytest.approx((10 / 12) ** 3, abs=0.01)


def test_errors():
    """Nothing to sample, and thresholds that mean nothing."""
    with pytest.raises(ValueError, match="count >= 1, got 0"):
        sample_surface(sphere(), 0, seeded())
    with pytest.raises(ValueError, match="no area to sample"):
        sample_surface(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])), 5, seeded())
    with pytest.raises(ValueError, match="threshold > 0, got 0"):
        f_score(torch.zeros(1, 3), torch.zeros(1, 3), 0.0)
    assert np.isfinite(chamfer_distance(torch.zeros(1, 3), torch.zeros(1, 3)))
