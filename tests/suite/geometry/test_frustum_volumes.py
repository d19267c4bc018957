"""Volumes in a camera's frustum: pictures in closed form, the compiled march beside torch's, gradients."""

import math

import pytest
import torch

from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import OPACITY, REACH, cast_rays, march_torch, render_volumes
from suite.rng import generator

LENS = dict(fov_deg=49.13, height=32, width=32)


def voxel_centres(reference: Cameras, grid: int) -> torch.Tensor:
    """World points of the voxels' centres, `d h w 3`, straight from the docstring's formula."""
    camera, half = reference[0], math.tan(math.radians(49.13) / 2)
    depth = float(camera.distance) - REACH + (torch.arange(grid) + 0.5) * 2 * REACH / grid
    across = (torch.arange(grid) + 0.5) / grid * 2 - 1
    z, y, x = torch.meshgrid(depth, -across, across, indexing="ij")
    p = torch.stack([x * half * z, y * half * z, -z], dim=-1)
    m = camera.world_from_camera[0]
    return p @ m[:3, :3].T + m[:3, 3]


def random_volumes(count: int, grid: int = 8, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    volumes = torch.rand(count, grid, grid, grid, 4, generator=generator(0, 0, "volumes"))
    volumes[..., 0] = 6 * volumes[..., 0] - 6
    return volumes.to(dtype)


def random_cameras(count: int, name: str) -> Cameras:
    a, e, d = torch.rand(3, count, generator=generator(0, 0, name))
    return Cameras.orbit(360 * a - 180, 90 * e - 30, 1.6 + 0.5 * d, **LENS)


@pytest.mark.parametrize("azimuth", [0.0, 70.0, 180.0])
def test_a_ball_is_a_disc_from_everywhere(azimuth):
    """A solid red ball of radius 0.3: its disc is where rays pass within 0.3 of its centre."""
    reference = Cameras.orbit(20.0, 25.0, 1.8, **LENS)
    centre = torch.tensor([0.1, -0.05, 0.15])
    points = voxel_centres(reference, 48)
    volume = torch.zeros(48, 48, 48, 4)
    volume[..., 0] = 60 * (0.3 - (points - centre).norm(dim=-1)) / 0.05
    volume[..., 1] = 1.0
    wanted = Cameras.orbit(azimuth, -10.0, 2.0, fov_deg=49.13, height=64, width=64)
    shown = render_volumes(volume[None], reference, wanted, samples=96)[0]
    rays = wanted.rays()
    passed = torch.linalg.cross(rays.directions[0], (centre - rays.origins[0]), dim=-1).norm(dim=-1)
    sure = (passed - 0.3).abs() > 0.025
    assert sure.float().mean() > 0.9
    assert torch.equal((shown[1] < 0.5)[sure], (passed < 0.3)[sure])
    assert (shown[0] > 0.99).all()  # red on white


def test_fog_thins_by_its_law():
    """Even fog of density s lets e^(-s l) of white through; the middle ray crosses 2 REACH of it."""
    reference = Cameras.orbit(0.0, 0.0, 2.0, fov_deg=49.13, height=33, width=33)
    raw = -3.0
    volume = torch.zeros(1, 8, 8, 8, 4)
    volume[..., 0] = raw
    shown = render_volumes(volume, reference, reference)
    left = math.exp(-OPACITY * math.log1p(math.exp(raw)) * 2 * REACH)
    assert float(shown[0, 0, 16, 16]) == pytest.approx(left, rel=1e-4)


def test_a_picture_stays_where_it_was():
    """A volume that has the picture's colours behind its pixels shows the picture to the camera that took it."""
    reference = Cameras.orbit(40.0, 20.0, 1.8, **LENS)
    picture = torch.rand(3, 8, 8, generator=generator(0, 0, "picture"))
    volume = torch.cat([torch.full((8, 8, 8, 1), 9.0), picture.movedim(0, -1).expand(8, 8, 8, 3)], dim=-1)
    shown = render_volumes(volume[None], reference, reference.resized(8, 8))[0]
    torch.testing.assert_close(shown, picture, atol=1e-4, rtol=0)


def test_the_compiled_march_is_torchs(monkeypatch):
    """Colours, ends and gradients, of chosen pixels and jittered samples."""
    reference, wanted = random_cameras(5, "reference"), random_cameras(5, "wanted")
    draws = generator(0, 0, "pixels")
    pixels = torch.randint(32 * 32, (5, 200), generator=draws)
    jitter, depth = torch.rand(2, 5, 200, generator=draws)
    depth = torch.where(depth < 0.5, 0.0, depth + 1.1)
    slopes, end_slopes = torch.randn(5, 3, 200, generator=draws), torch.randn(5, 200, generator=draws)

    def go() -> tuple[torch.Tensor, ...]:
        volumes = random_volumes(5).requires_grad_()
        colors, ends = cast_rays(volumes, reference, wanted, pixels, jitter=jitter, depth=depth)
        ((colors * slopes).sum() + (ends * end_slopes).sum()).backward()
        return colors.detach(), ends.detach(), volumes.grad

    ours = go()
    monkeypatch.setattr("suite.geometry.frustum_volumes_numba.march_numba", march_torch)
    for a, b in zip(ours, go(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_rays_end_on_the_plane_that_they_see():
    """A wall across the frustum at depth 1.8: rays end there, by true depths; not at others, nor in the white."""
    reference = Cameras.orbit(40.0, 20.0, 1.8, **LENS)
    volume = torch.full((1, 32, 8, 8, 4), 1.0)
    volume[..., 0] = -20.0
    volume[:, 16:, ..., 0] = 20.0
    pixels = torch.arange(32 * 32)[None]
    for depth, share in ((1.8, 1.0), (1.9, 0.0), (1.6, 0.0), (0.0, 0.0)):
        told = torch.full((1, 32 * 32), depth)
        _, ends = cast_rays(volume, reference, reference, pixels, depth=told)
        assert float((ends - share).abs().max()) < 1e-3
    _, ends = cast_rays(volume - 40.0, reference, reference, pixels)
    assert float(ends.min()) > 1 - 1e-3  # an empty volume, and nothing to be seen


def test_gradients_are_finite_differences():
    """In float64, through the march in torch."""
    volumes = random_volumes(1, 3, torch.float64).requires_grad_()
    origins = torch.tensor([[[0.1, 0.0, 0.2]] * 3], dtype=torch.float64)
    directions = torch.tensor([[[0.0, 0.02, -1.0], [0.1, 0.1, -0.9], [-0.2, 0.0, -1.0]]], dtype=torch.float64)
    near, jitter = origins.new_full((1, 3), 1.1), origins.new_full((1, 3), 0.5)
    true, lens = origins.new_tensor([[-1.0, 1.475, 1.725]]), origins.new_tensor([[2.0, 1.8]])
    assert torch.autograd.gradcheck(
        lambda v: march_torch(v, origins, directions, near, jitter, true, lens, 6), (volumes,), atol=1e-6
    )


def test_every_volume_needs_its_cameras():
    with pytest.raises(ValueError, match="a reference and a wanted camera each, got 2, 1, 2"):
        render_volumes(random_volumes(2), random_cameras(1, "a"), random_cameras(2, "b"))
