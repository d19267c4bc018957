"""Shading by hand, and the distributions that lights are drawn from."""

from pathlib import Path

import pytest
import torch
import yaml
from scenery import seeded

from nerf.lights import Lighting, Shading
from suite.config import build
from suite.geometry.cameras import Cameras

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "shading").glob("*.yaml"))
CAMERAS = Cameras.orbit([0.0, 90.0], 30.0, 2.0, height=4, width=4)


def test_lambert_by_hand():
    """Light from above on a normal at 60 degrees gives .1 + .9 / 2; from below the ambient .1 alone."""
    light = Lighting(
        torch.tensor([[0.0, 0, 5], [0, 0, -5]]), torch.tensor([0.1, 0.1]), torch.tensor([0.9, 0.9])
    )
    normals = torch.tensor([[0.75**0.5, 0, 0.5]]).expand(2, 3)
    albedo, points, image = (
        torch.tensor([[1.0, 0.5, 0]]).expand(2, 3),
        torch.zeros(2, 3),
        torch.tensor([0, 1]),
    )
    color = light.shade(albedo, normals, points, image)
    torch.testing.assert_close(color, torch.tensor([[0.55, 0.275, 0], [0.1, 0.05, 0]]))
    white = Lighting(light.position, light.ambient, light.diffuse, textureless=True)
    torch.testing.assert_close(white.shade(albedo, normals, points, image)[0], torch.full((3,), 0.55))


def draws(shading: Shading, progress: float = 0.5, count: int = 400) -> list[Lighting | None]:
    generator = seeded()
    return [shading.draw(CAMERAS, progress, generator) for _ in range(count)]


def test_modes_come_with_their_probabilities():
    """DreamFusion: three of four steps are lit, half of these textureless; before albedo_until none."""
    lit = [light for light in draws(Shading()) if light is not None]
    assert len(lit) / 400 == pytest.approx(0.75, abs=0.07)
    assert sum(light.textureless for light in lit) / len(lit) == pytest.approx(0.5, abs=0.09)
    assert all(light is None for light in draws(Shading(albedo_until=0.2), progress=0.1))


def test_soft_light_is_between_flat_and_hard():
    """Soft shading draws ambient in [ambient, 1], and ambient + diffuse = 1; otherwise both are as given."""
    ambients = torch.stack([light.ambient[0] for light in draws(Shading(shaded=1, soft=True))])
    assert ambients.min() < 0.2 and ambients.max() > 0.9
    soft, hard = Shading(shaded=1, soft=True), Shading(shaded=1)
    assert all(torch.allclose(light.ambient + light.diffuse, torch.ones(2)) for light in draws(soft, count=5))
    assert all(
        (light.ambient == 0.1).all() and (light.diffuse == 0.9).all() for light in draws(hard, count=5)
    )


def test_magic3d_lights_stand_within_60_degrees():
    """Angles to the camera's direction are below 60 degrees, half of the caps' area beyond 41.4."""
    lights = torch.stack([light.position for light in draws(Shading(shaded=1, light="magic3d"))])
    cosine = torch.nn.functional.cosine_similarity(lights, CAMERAS.position.expand_as(lights), dim=-1)
    assert cosine.min() >= 0.5 - 1e-5 and (cosine < 0.75).float().mean() == pytest.approx(0.5, abs=0.06)
    distance = lights.norm(dim=-1)
    assert distance.min() >= 1.6 - 1e-4 and distance.max() <= 3.0 + 1e-4


def test_a_light_at_the_camera():
    """light="camera" puts each light at its camera."""
    (light,) = draws(Shading(shaded=1, light="camera"), count=1)
    assert torch.equal(light.position, CAMERAS.position)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configured_shading(path):
    """Contract: repeatable from the generator; a position for each camera, not at the origin."""
    shading = build(yaml.safe_load(path.read_text()))
    first, second = draws(shading, count=20), draws(shading, count=20)
    assert [x is None for x in first] == [x is None for x in second]
    for a, b in zip(first, second):
        if a is not None:
            assert torch.equal(a.position, b.position) and a.position.shape == (2, 3)
            assert a.position.norm(dim=-1).min() > 0.5


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match=r"shaded in \[0, 1\], got 2"):
        Shading(shaded=2)
    with pytest.raises(
        ValueError, match="'sun' is not a way to place lights: one of dreamfusion, magic3d, camera"
    ):
        Shading(light="sun")
    with pytest.raises(ValueError, match="diffuse >= 0, got -1"):
        Shading(diffuse=-1)
