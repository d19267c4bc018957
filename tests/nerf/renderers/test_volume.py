"""The volume renderer against closed forms and a slow loop."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from scenery import Ball, Uniform, full_renderer, ray, seeded

from nerf.background import SolidBackground
from nerf.lights import Lighting
from nerf.renderers import volume
from nerf.renderers.base import Renderer
from nerf.renderers.occupancy import OccupancyGrid
from nerf.renderers.volume import VolumeRenderer
from suite.config import build
from suite.geometry.cameras import Cameras

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "renderer").glob("*.yaml"))


def test_beer_and_lambert():
    """A ray through the length L of a uniform box of density s has opacity 1 - exp(-s L), that share of its
    colour on the background's, and the mean depth of an exponential cut off at L."""
    s, color, length = 1.7, (0.2, 0.5, 0.9), 1.2
    found = full_renderer(2000)(
        Uniform(density=s, color=color),
        ray((-2, 0.1, 0.2), (1, 0, 0)),
        background=SolidBackground(color=(0, 0, 1)),
    )
    opacity = 1 - math.exp(-s * length)
    assert found.opacity.item() == pytest.approx(opacity, abs=1e-3)
    expected = [opacity * 0.2, opacity * 0.5, opacity * 0.9 + 1 - opacity]
    assert found.images.flatten().tolist() == pytest.approx(expected, abs=1e-3)
    depth = 1.4 + 1 / s - length * math.exp(-s * length) / opacity
    assert found.depth.item() == pytest.approx(depth, abs=1e-3)


def test_the_error_is_of_the_order_of_the_step():
    """The number of whole steps in the box is right to half a step at either end: twice the samples, at most
    half the bound on the error."""
    for samples in (16, 32, 64, 128):
        found = full_renderer(samples)(Uniform(density=1.0, color=(0.5,) * 3), ray((-2, 0.1, 0.2), (1, 0, 0)))
        step = 2 * math.sqrt(3) * 0.6 / samples
        assert abs(found.opacity.item() - (1 - math.exp(-1.2))) <= step * math.exp(-1.2) + 1e-3


def test_it_equals_a_slow_loop():
    """Compositing one sample after the other, front to back, in Python."""
    field, renderer = Ball(), full_renderer(40)
    rays = Cameras.orbit(30.0, 10.0, 1.8, 40.0, height=6, width=6).rays()
    found = renderer(field, rays, background=SolidBackground(color=(0.1, 0.2, 0.3)), normals=True)
    at = found.samples.at
    with torch.no_grad():
        sample = field(at.points, normals=True)
    for r in range(36):
        light, color, depth, normal = 1.0, torch.zeros(3), 0.0, torch.zeros(3)
        for i in (at.ray == r).nonzero()[:, 0].tolist():
            alpha = 1 - math.exp(-float(sample.density[i]) * at.step)
            color += light * alpha * sample.albedo[i]
            depth += light * alpha * float(at.distance[i])
            normal += light * alpha * sample.normals[i]
            assert found.samples.weights[i].item() == pytest.approx(light * alpha, abs=1e-5)
            light *= 1 - alpha
        y, x = divmod(r, 6)
        color += light * torch.tensor([0.1, 0.2, 0.3])
        torch.testing.assert_close(found.images[0, :, y, x], color, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.normals[0, :, y, x], normal, rtol=0, atol=1e-5)
        assert found.opacity[0, 0, y, x].item() == pytest.approx(1 - light, abs=1e-5)
        assert found.depth[0, 0, y, x].item() == pytest.approx(depth / max(1 - light, 1e-6), abs=1e-3)


def test_gradients_are_true():
    """d picture / d (size of a ball, density of a box) against central differences."""
    rays = Cameras.orbit(30.0, 10.0, 1.8, 40.0, height=8, width=8).rays()
    for field, name, eps in [
        (Ball(slope=5.0), "size", 1e-2),
        (Uniform(density=2, color=(0.3,) * 3), "values", 1e-2),
    ]:
        parameter, renderer = dict(field.named_parameters())[name], full_renderer()
        weight = torch.rand(1, 3, 8, 8, generator=seeded())
        (renderer(field, rays).images * weight).sum().backward()
        gradient, values = parameter.grad.flatten()[0].item(), []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.flatten()[:1] += sign * eps
                values.append((renderer(field, rays).images * weight).sum().item())
                parameter.flatten()[:1] -= sign * eps
        assert gradient == pytest.approx((values[0] - values[1]) / (2 * eps), rel=0.02)


def test_the_occupancy_grid_saves_work_and_changes_nothing():
    """With an updated grid far fewer samples are evaluated, and the picture stays the same."""
    field, rays = Ball(slope=60.0), Cameras.orbit([0.0, 90.0], 20.0, 1.8, 40.0, height=16, width=16).rays()
    renderer = VolumeRenderer(samples=48)
    full = renderer(field, rays)
    renderer.update(field, 0, seeded())
    pruned = renderer(field, rays)
    assert len(pruned.samples.at) < 0.5 * len(full.samples.at)
    torch.testing.assert_close(pruned.images, full.images, rtol=0, atol=2e-3)
    fraction = renderer.occupancy.fraction
    renderer.update(Ball(size=0.1), 5, seeded())
    assert renderer.occupancy.fraction == fraction  # only every 16 steps


def test_what_is_hidden_is_not_sampled():
    """Behind a solid surface rays end: a third fewer samples, the same picture."""
    field, rays = Ball(size=0.8, slope=60.0), Cameras.orbit([0.0, 90.0], 20.0, height=16, width=16).rays()
    renderer = VolumeRenderer(samples=64)
    for step in (0, 16):
        renderer.update(field, step, seeded(step))
    stopped = renderer(field, rays)
    renderer.occupancy.solid.zero_()
    full = renderer(field, rays)
    assert len(stopped.samples.at) < 0.67 * len(full.samples.at)
    torch.testing.assert_close(stopped.images, full.images, rtol=0, atol=5e-4)
    torch.testing.assert_close(stopped.depth, full.depth, rtol=0, atol=5e-4)


def test_pieces_make_the_whole(monkeypatch):
    """Without gradients pictures are rendered in pieces of rays; they are the same pictures."""
    field, rays = Ball(), Cameras.orbit([0.0, 90.0, 5.0], 20.0, 1.8, 40.0, height=9, width=9).rays()
    renderer, background = full_renderer(24), SolidBackground(random=1.0)
    whole = renderer(field, rays, background=background, normals=True, generator=seeded())
    monkeypatch.setattr(volume, "RAYS_AT_ONCE", 50)
    with torch.no_grad():
        pieces = renderer(field, rays, background=background, normals=True, generator=seeded())
    for name in ("images", "opacity", "depth", "normals", "background"):
        torch.testing.assert_close(getattr(pieces, name), getattr(whole, name).detach())
    assert pieces.samples is None


def test_an_empty_scene_is_background():
    """No samples anywhere: the background, opacity 0, depth 0, and a gradient that exists and is zero."""
    renderer, field = full_renderer(), Ball()
    renderer.occupancy.occupied.fill_(False)
    found = renderer(
        field, Cameras.orbit(0.0, height=4, width=4).rays(), background=SolidBackground(color=(0, 1, 0))
    )
    assert torch.equal(found.images, torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4))
    assert found.opacity.max() == found.depth.max() == 0
    found.images.sum().backward()


def test_jitter_comes_from_the_generator():
    """The same generator gives the same picture, another one another; without one there is no jitter."""
    field, renderer, rays = Ball(), full_renderer(20), Cameras.orbit(0.0, height=8, width=8).rays()
    torch.manual_seed(0)
    a, b, c = (renderer(field, rays, generator=seeded(seed)).images for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    still = VolumeRenderer(samples=20, jitter=False, occupancy=OccupancyGrid(resolution=4))
    assert torch.equal(still(field, rays, generator=seeded(1)).images, renderer(field, rays).images)


def test_light_reaches_each_image():
    """Two pictures of a white ball, the first lit from the camera's side, the second from behind: the first
    is brighter in the middle; ambient alone gives exactly ambient times albedo."""
    field = Ball(slope=200.0)
    cameras = Cameras.orbit([0.0, 0.0], 0.0, 1.8, 40.0, height=9, width=9)
    light = Lighting(
        position=torch.tensor([[2.0, 0, 0], [-2.0, 0, 0]]),
        ambient=torch.tensor([0.25, 0.25]),
        diffuse=torch.tensor([0.75, 0.75]),
        textureless=True,
    )
    black = SolidBackground(color=(0, 0, 0))
    images = full_renderer(128)(field, cameras.rays(), background=black, lighting=light).images
    assert images[0, :, 4, 4].min() > 0.95 and images[1, :, 4, 4].max() < 0.3


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configured_renderer_renders(path):
    """Contract: pictures in [0, 1] of the rays' shape, with gradients, before and after an update."""
    renderer, field = build(yaml.safe_load(path.read_text())), Ball()
    assert isinstance(renderer, Renderer)
    for step in range(2):
        renderer.update(field, step, seeded())
        found = renderer(field, Cameras.orbit([0.0, 1.0], height=5, width=7).rays(), generator=seeded())
        assert found.images.shape == (2, 3, 5, 7) and found.opacity.shape == found.depth.shape == (2, 1, 5, 7)
        assert found.images.min() >= 0 and found.images.max() <= 1 + 1e-6
        assert torch.autograd.grad(found.opacity.sum(), field.size)[0].isfinite()


def test_bad_options_are_refused():
    """The error says what is possible."""
    with pytest.raises(ValueError, match="samples >= 1, got 0"):
        VolumeRenderer(samples=0)
