"""Pictures of a mesh with colours by place."""

import math

import pytest
import torch

from nerf.background import SolidBackground
from nerf.lights import Lighting
from nerf.renderers.surface import render_surface
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh

RADIUS, DISTANCE, FOV, SIZE = 0.4, 2.0, 40.0, 48
BLACK = SolidBackground(color=[0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def ball() -> Mesh:
    import trimesh

    return Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=4, radius=RADIUS))


def camera(*azimuth: float) -> Cameras:
    return Cameras.orbit(list(azimuth), 0.0, DISTANCE, FOV, height=SIZE, width=SIZE)


def test_a_ball_covers_what_it_should(ball):
    """A ball is seen as a disk of radius tan(asin(r / d)) in units of the image plane."""
    opacity = render_surface(ball, torch.ones_like, camera(0.0, 77.0), background=BLACK).opacity
    disk = math.pi * math.tan(math.asin(RADIUS / DISTANCE)) ** 2 / (2 * math.tan(math.radians(FOV / 2))) ** 2
    assert opacity.mean((1, 2, 3)).tolist() == pytest.approx([disk, disk], rel=0.01)


def test_each_pixel_has_the_colour_of_its_place(ball):
    """Seen along -X, the middle shows the place (r, 0, 0); light from there doubles the ambient half."""

    def colors(places: torch.Tensor) -> torch.Tensor:
        return (places + 0.5).clamp(0, 1)

    eye = camera(0.0)
    image = render_surface(ball, colors, eye, background=BLACK).images[0, :, SIZE // 2, SIZE // 2]
    torch.testing.assert_close(image, torch.tensor([0.9, 0.5, 0.5]), atol=0.02, rtol=0)
    half = torch.full((1,), 0.5)
    lit = render_surface(ball, colors, eye, background=BLACK, lighting=Lighting(eye.position, half, half))
    torch.testing.assert_close(lit.images[0, :, SIZE // 2, SIZE // 2], image, atol=0.02, rtol=0)
    unlit = Lighting(-eye.position, half, half)
    dark = render_surface(ball, colors, eye, background=BLACK, lighting=unlit)
    torch.testing.assert_close(dark.images[0, :, SIZE // 2, SIZE // 2], image / 2, atol=0.02, rtol=0)


def test_silhouettes_pull_on_the_vertices(ball):
    """The coverage of a ball scaled by s grows as 2 s: its gradient by scale is twice the coverage."""
    scale = torch.ones((), requires_grad=True)
    grown = Mesh(ball.vertices * scale, ball.faces)
    opacity = render_surface(grown, torch.ones_like, camera(10.0), background=BLACK).opacity.sum()
    (slope,) = torch.autograd.grad(opacity, scale)
    exact = 2 / (1 - (RADIUS / DISTANCE) ** 2)  # of tan^2(asin(s r / d)) at s = 1
    assert float(slope / opacity.detach()) == pytest.approx(exact, rel=0.03)


def test_nothing_shows_the_background():
    """A mesh without faces is no error."""
    none = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    white = render_surface(none, torch.ones_like, camera(0.0), background=SolidBackground())
    assert bool((white.images == 1).all()) and not bool(white.opacity.any())
