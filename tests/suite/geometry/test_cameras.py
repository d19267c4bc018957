import math

import pytest
import torch

from suite.geometry.cameras import Cameras, CameraSampler, orbit_path
from suite.geometry.transforms import homogeneous


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_orbit_by_hand():
    """azimuth 0: on +X; 90: on +Y; elevation 90: on +Z. All look at the origin with +Z up in the image."""
    cameras = Cameras.orbit([0, 90, 0], [0, 0, 90], 2.0, 40.0)
    expected = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]])
    torch.testing.assert_close(cameras.position, expected, atol=1e-6, rtol=0)
    pixels, depth = cameras.project(torch.tensor([[0.0, 0, 0], [0, 0, 0.3]]))
    torch.testing.assert_close(pixels[:, 0], torch.full((3, 2), 32.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(depth[:, 0], torch.full((3,), 2.0))
    assert (pixels[:2, 1, 1] < 31).all()  # up in the world is up in the image


def test_orbit_reads_back_poles_included():
    """azimuth, elevation and distance of an orbit are those it was made of; nothing is NaN at +-90."""
    azimuth = torch.tensor([0.0, 45, -90, 179, 180, 30, -120])
    elevation = torch.tensor([0.0, 30, -60, 10, 5, 90, -90])
    cameras = Cameras.orbit(azimuth, elevation, torch.linspace(1, 3, 7), 40.0)
    assert torch.isfinite(cameras.world_from_camera).all()
    torch.testing.assert_close(cameras.azimuth_deg, azimuth, atol=1e-3, rtol=0)
    torch.testing.assert_close(cameras.elevation_deg, elevation, atol=1e-3, rtol=0)
    torch.testing.assert_close(cameras.distance, torch.linspace(1, 3, 7))
    rotation = cameras.world_from_camera[:, :3, :3]
    identity = torch.eye(3).expand(7, 3, 3)
    torch.testing.assert_close(rotation.transpose(1, 2) @ rotation, identity, atol=1e-6, rtol=0)


def test_rays_and_projection_undo_each_other():
    """A point on the ray of pixel (i, j) projects to (i + .5, j + .5), also off-centre."""
    sampler = CameraSampler(views=3, height=6, width=9, fov_deg=(20, 80), center_jitter=0.2, up_jitter=0.3)
    cameras = sampler.sample(seeded())
    shifted = Cameras(
        cameras.world_from_camera, cameras.fov_deg, 6, 9, torch.tensor([[0.4, 0.7]]).expand(3, 2)
    )
    j, i = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(9) + 0.5, indexing="ij")
    for views in (cameras, shifted):
        rays = views.rays()
        torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(3, 6, 9))
        points = rays.at(torch.full((3, 6, 9), 1.7))
        for k in range(3):
            pixels, depth = views[k].project(points[k].reshape(-1, 3))
            expected = torch.stack([i, j], dim=-1).reshape(1, -1, 2)
            torch.testing.assert_close(pixels, expected, atol=1e-3, rtol=0)
            assert (depth > 0).all()


def test_field_of_view_is_vertical():
    """The ray through the middle of the top edge leaves the axis by fov / 2, whatever the width."""
    cameras = Cameras.orbit(0.0, 0.0, 2.0, 50.0, height=2, width=10)
    up = torch.tensor([[0.0, 0, 2 * math.tan(math.radians(25))]])
    pixels, _ = cameras.project(up)
    torch.testing.assert_close(pixels[0, 0], torch.tensor([5.0, 0.0]), atol=1e-4, rtol=0)


def test_clip_space_agrees_with_projection():
    """Clip coordinates over w, mapped to pixels, are `project`; z is -1 at near and 1 at far; w is depth."""
    cameras = CameraSampler(views=2, height=30, width=50).sample(seeded(1))
    cameras = Cameras(
        cameras.world_from_camera, cameras.fov_deg, 30, 50, torch.tensor([[0.45, 0.6]]).expand(2, 2)
    )
    points = torch.randn(20, 3, generator=seeded(2)) * 0.4
    clip = homogeneous(points) @ cameras.clip_from_world(0.5, 5.0).transpose(1, 2)
    x, y, z, w = clip.unbind(-1)
    pixels, depth = cameras.project(points)
    mapped = torch.stack([(x / w + 1) * 25, (1 - y / w) * 15], dim=-1)
    torch.testing.assert_close(mapped, pixels, atol=1e-3, rtol=0)
    torch.testing.assert_close(w, depth, atol=1e-5, rtol=0)
    ndc = (z / w)[depth > 0]
    d = depth[depth > 0]
    torch.testing.assert_close(ndc, 5.5 / 4.5 - 5 / (4.5 * d), atol=1e-4, rtol=0)


def test_batches():
    """Indexing, iteration, concatenation and resizing keep the views."""
    cameras = orbit_path(4, height=8, width=8)
    assert len(cameras) == 4 and len(cameras[1:3]) == 2 and len(list(cameras)) == 4
    picked = cameras[torch.tensor([2, 0])]
    torch.testing.assert_close(picked.azimuth_deg, cameras.azimuth_deg[[2, 0]])
    torch.testing.assert_close(cameras[-1].azimuth_deg, cameras.azimuth_deg[3:])
    joined = Cameras.cat([cameras[:1], cameras[1:]])
    assert torch.equal(joined.world_from_camera, cameras.world_from_camera)
    assert cameras.resized(16, 24).rays().origins.shape == (4, 16, 24, 3)
    assert cameras.to("cpu").fov_deg.device.type == "cpu"
    with pytest.raises(IndexError, match="camera 4 of 4"):
        cameras[4]


def test_cat_fills_in_the_middle_for_centred_cameras():
    """A centred camera beside an off-centre one gets the principal point (.5, .5)."""
    one = orbit_path(1)
    other = Cameras(one.world_from_camera, one.fov_deg, 64, 64, torch.tensor([[0.4, 0.5]]))
    joined = Cameras.cat([one, other])
    torch.testing.assert_close(joined.principal_point, torch.tensor([[0.5, 0.5], [0.4, 0.5]]))
    torch.testing.assert_close(joined[1].to("cpu").center_px, torch.tensor([[25.6, 32.0]]))


def test_turntable():
    """Equal steps over one turn, the first where asked."""
    path = orbit_path(8, start_deg=10)
    steps = torch.remainder(path.azimuth_deg.roll(-1) - path.azimuth_deg, 360)
    torch.testing.assert_close(steps, torch.full((8,), 45.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(path.azimuth_deg[0], torch.tensor(10.0))


def test_sampler_draws_only_from_its_generator():
    """The same generator state gives the same cameras, and the global state is neither read nor moved."""
    sampler = CameraSampler(views=3, position_jitter=0.1, center_jitter=0.1, up_jitter=0.1)
    before = torch.get_rng_state()
    one = sampler.sample(seeded(5))
    torch.manual_seed(123)
    two = sampler.sample(seeded(5))
    assert torch.equal(one.world_from_camera, two.world_from_camera)
    torch.set_rng_state(before)
    sampler.sample(seeded(6))
    assert torch.equal(torch.get_rng_state(), before)


def test_sampler_ranges_and_stratification():
    """Everything lies in its range, and each quarter of the turn holds one of four views."""
    sampler = CameraSampler(views=4, elevation_deg=(-10, 60), distance=(1.5, 2.0), fov_deg=(30, 50))
    for seed in range(20):
        cameras = sampler.sample(seeded(seed))
        quarter = ((cameras.azimuth_deg + 180) // 90).clamp(0, 3)
        assert quarter.sort().values.tolist() == [0, 1, 2, 3]
        assert ((cameras.elevation_deg > -10.01) & (cameras.elevation_deg < 60.01)).all()
        assert ((cameras.distance > 1.499) & (cameras.distance < 2.001)).all()
        assert ((cameras.fov_deg >= 30) & (cameras.fov_deg <= 50)).all()


@pytest.mark.parametrize(("by_angle", "mean_sine"), [(0.0, 0.5), (1.0, 2 / math.pi)])
def test_elevation_is_uniform_in_area_or_in_angle(by_angle, mean_sine):
    """Over [0, 90]: by area the sine is uniform, mean 1/2; by angle E[sin] = 2 / pi."""
    sampler = CameraSampler(views=20000, elevation_deg=(0, 90), elevation_uniform_angle=by_angle)
    sine = torch.sin(torch.deg2rad(sampler.sample(seeded()).elevation_deg))
    assert abs(float(sine.mean()) - mean_sine) < 0.01


def test_half_and_half_is_the_mean_of_both():
    """DreamFusion's mixture: E[sin] = (1/2 + 2 / pi) / 2."""
    sine = torch.sin(
        torch.deg2rad(CameraSampler(views=20000, elevation_deg=(0, 90)).sample(seeded()).elevation_deg)
    )
    assert abs(float(sine.mean()) - (0.5 + 2 / math.pi) / 2) < 0.01


def test_azimuth_range_across_the_seam():
    """[90, 270] is the back half: |azimuth| >= 90, all in (-180, 180]."""
    azimuth = CameraSampler(views=100, azimuth_deg=(90, 270)).sample(seeded()).azimuth_deg
    assert (azimuth.abs() >= 89.99).all() and (azimuth.abs() <= 180).all() and (azimuth < 0).any()


def test_jitter_has_the_stated_size():
    """Positions move uniformly by at most the half-width (variance h^2 / 3); the centre's std is .2."""
    options = dict(views=20000, stratified_azimuth=False, distance=(2, 2))
    still = CameraSampler(**options).sample(seeded())
    moved = CameraSampler(**options, position_jitter=0.3).sample(seeded())
    shift = moved.position - still.position
    assert shift.abs().max() <= 0.3001 and abs(float(shift.var()) - 0.03) < 0.001
    looking = CameraSampler(**options, center_jitter=0.2).sample(seeded())
    forward, position = -looking.world_from_camera[:, :3, 2], looking.position
    miss = torch.linalg.cross(forward, position).norm(dim=-1)  # distance of the origin from the axis
    assert abs(float(miss.square().mean()) - 2 * 0.04) < 0.01  # two directions across the axis
    rolled = CameraSampler(**options, up_jitter=0.1).sample(seeded())
    assert (
        0.01 < float(rolled.world_from_camera[:, 2, 0].std()) < 0.2
        and torch.isfinite(rolled.world_from_camera).all()
    )


def test_sampling_at_the_poles_is_finite():
    """Elevation exactly +-90 with every jitter gives finite rotations."""
    for elevation in (-90, 90):
        for jitter in (0.0, 0.1):
            sampler = CameraSampler(
                views=8, elevation_deg=(elevation, elevation), center_jitter=jitter, up_jitter=jitter
            )
            cameras = sampler.sample(seeded())
            assert torch.isfinite(cameras.world_from_camera).all()
            assert torch.isfinite(cameras.azimuth_deg).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(azimuth_deg=(10, -10)), r"azimuth_deg=\[low, high\].*got \[10, -10\]"),
        (dict(elevation_deg=(-10, 95)), "elevation_deg.*<= 90, got"),
        (dict(distance=(0, 1)), "distance"),
        (dict(fov_deg=(40, 180)), "fov_deg.*<= 179"),
        (dict(fov_deg=(40,)), "fov_deg"),
        (dict(views=0), "views >= 1, got 0"),
        (dict(height=0), "height >= 1, got 0"),
        (dict(elevation_uniform_angle=1.5), r"elevation_uniform_angle in \[0, 1\], got 1.5"),
        (dict(up_jitter=-1), "up_jitter >= 0, got -1"),
    ],
)
def test_sampler_options_are_checked(options, message):
    """The message names the option, what is possible and what was given."""
    with pytest.raises(ValueError, match=message):
        CameraSampler(**options)


def test_errors():
    """Impossible cameras are refused."""
    with pytest.raises(ValueError, match="height and width >= 1, got 0 x 64"):
        Cameras.orbit(0, height=0)
    with pytest.raises(ValueError, match="0 < fov_deg < 180"):
        Cameras.orbit(0, fov_deg=180)
    with pytest.raises(ValueError, match=r"different lengths: \[2, 3, 1, 1\]"):
        Cameras.orbit([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="distance > 0"):
        Cameras.orbit(0, distance=0)
    with pytest.raises(ValueError, match=r"elevation_deg in \[-90, 90\]"):
        Cameras.orbit(0, 91)
    with pytest.raises(ValueError, match=r"one image size, got \(height, width\) \[\(8, 8\), \(9, 8\)\]"):
        Cameras.cat([orbit_path(1, height=8, width=8), orbit_path(1, height=9, width=8)])
    with pytest.raises(ValueError, match="0 < near < far, got near=2, far=1"):
        orbit_path(1).clip_from_world(2, 1)
    with pytest.raises(ValueError, match="count >= 1, got 0"):
        orbit_path(0)
