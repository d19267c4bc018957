import pytest
import torch
import trimesh

from nerf.meshing.cleaning import smoothed, without_degenerate_faces, without_small_parts
from suite.geometry.mesh import Mesh


def ball(radius: float, center=(0.0, 0.0, 0.0), subdivisions: int = 2) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(torch.tensor(sphere.vertices).float() + torch.tensor(center), torch.tensor(sphere.faces))


def test_floaters_go_and_the_large_parts_stay():
    """Balls of radii .3, .2 and ten of .01: areas go with the square, so the small ones have .0008 each."""
    floaters = [ball(0.01, (0.5, 0.05 * k, 0.0), 1) for k in range(10)]
    mesh = Mesh.cat([*floaters, ball(0.3), ball(0.2, (0.0, 0.0, 0.55))])
    kept = without_small_parts(mesh, 0.01)
    assert len(kept.faces) == 2 * len(ball(1.0).faces)
    assert kept.volume == pytest.approx(ball(0.3).volume + ball(0.2).volume, rel=1e-4)
    assert len(without_small_parts(mesh, 0).faces) == len(mesh.faces)


def test_the_largest_part_always_stays():
    """Four equal balls have a quarter each: none reaches .9, yet they are not all thrown away."""
    mesh = Mesh.cat([ball(0.1, (float(k), 0.0, 0.0)) for k in range(4)])
    assert len(without_small_parts(mesh, 0.9).faces) >= len(ball(0.1).faces)


def test_faces_without_area_go():
    """One good face among one that names a corner twice and one whose corners lie on a line."""
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]])
    mesh = Mesh(points, torch.tensor([[0, 1, 2], [0, 0, 1], [0, 1, 3]]))
    assert without_degenerate_faces(mesh).faces.tolist() == [[0, 1, 2]]


def test_smoothing_takes_the_noise_and_keeps_the_volume():
    """A ball with 2 % of radial noise: after five rounds less than half of the noise and the same volume
    within 1 %; plain averaging would have shrunk it."""
    smooth = ball(1.0, subdivisions=4)
    noise = 0.02 * torch.randn(len(smooth.vertices), 1, generator=torch.Generator().manual_seed(0))
    rough = Mesh(smooth.vertices * (1 + noise), smooth.faces)
    after = smoothed(rough, 5)
    assert float(after.vertices.norm(dim=-1).std()) < 0.5 * float(rough.vertices.norm(dim=-1).std())
    assert after.volume == pytest.approx(smooth.volume, rel=0.01)
    assert smoothed(rough, 0) is rough


def test_bad_options():
    with pytest.raises(ValueError, match="0 <= smallest_part < 1, got 1"):
        without_small_parts(ball(1.0), 1)
    with pytest.raises(ValueError, match="rounds >= 0, got -1"):
        smoothed(ball(1.0), -1)
