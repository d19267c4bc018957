"""Colours on the surface: which they are, and that the texture holds them."""

import math

import pytest
import torch
import trimesh

from nerf.meshing.coloring import baked, surface_albedo, with_colored_vertices
from nerf.meshing.unwrapping import unwrapped
from suite.geometry.cameras import orbit_path
from suite.geometry.mesh import Mesh, sample_texture
from suite.geometry.rasterizer import rasterize, render_mesh

RED, BLUE = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])


@pytest.fixture
def sphere() -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=3, radius=0.4)
    return Mesh(torch.tensor(shape.vertices).float(), torch.tensor(shape.faces))


def layers(depth, density, known_field):
    """A half space x < 0 of one density: red down to `depth`, blue below."""

    def logits(x):
        red = (x[:, 0] > -depth).float()
        return 12 * torch.stack([2 * red - 1, -torch.ones_like(red), 1 - 2 * red], dim=-1)

    return known_field(lambda x: torch.where(x[:, 0] < 0, math.log(density), -20.0), logits=logits)


def test_a_thick_skin_hides_what_is_below_and_a_thin_one_shows_it(known_field):
    """Seen from above, red has the share (1 - exp(-density depth)) / (1 - exp(-density total))."""
    step = 0.01
    point, normal = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    opaque = surface_albedo(layers(0.02, 1000.0, known_field), point, normal, step)[0]
    torch.testing.assert_close(opaque, RED, atol=1e-3, rtol=0)
    density, depth, total = 30.0, 0.02, 0.07
    seen = surface_albedo(layers(depth, density, known_field), point, normal, step)[0]
    share = (1 - math.exp(-density * depth)) / (1 - math.exp(-density * total))
    torch.testing.assert_close(seen, share * RED + (1 - share) * BLUE, atol=0.05, rtol=0)


def test_where_the_field_is_empty_the_colour_is_still_its_own(known_field):
    empty = known_field(lambda x: -30.0 + 0 * x[:, 0])
    color = surface_albedo(empty, torch.tensor([[0.3, 0, 0]]), torch.tensor([[1.0, 0, 0]]), 0.01)
    torch.testing.assert_close(color[0], RED, atol=1e-3, rtol=0)


def test_vertices_are_red_in_front_and_blue_behind(ball, sphere):
    mesh = with_colored_vertices(sphere, ball, 0.01)
    front, back = mesh.vertices[:, 0] > 0.05, mesh.vertices[:, 0] < -0.05
    torch.testing.assert_close(mesh.vertex_colors[front], RED.expand(int(front.sum()), 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(mesh.vertex_colors[back], BLUE.expand(int(back.sum()), 3), atol=1e-3, rtol=0)


def test_unwrapping_keeps_the_surface_and_gives_each_texel_to_one_face(sphere):
    """Faces have the same corners and normals as before; charts lie in the unit square and share no area:
    as many texels are covered as the triangles' areas in the plane add up to."""
    mesh = unwrapped(sphere, 256)
    torch.testing.assert_close(mesh.face_areas().sum(), sphere.face_areas().sum(), rtol=1e-4, atol=0)
    assert mesh.is_watertight and mesh.volume == pytest.approx(sphere.volume, rel=1e-4)
    torch.testing.assert_close(mesh.normals, mesh.vertices / 0.4, atol=0.02, rtol=0)
    assert 0 <= float(mesh.uv.min()) and float(mesh.uv.max()) <= 1
    a, b, c = mesh.uv[mesh.faces].unbind(1)
    u, v = b - a, c - a
    area = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).abs().sum()
    flat = torch.cat([2 * mesh.uv - 1, torch.zeros(len(mesh.uv), 1), torch.ones(len(mesh.uv), 1)], dim=1)
    seen = (rasterize(flat[None], mesh.faces, 256, 256).face_id >= 0).sum()
    assert float(seen) / 256**2 == pytest.approx(float(area), rel=0.03)


def test_the_texture_shows_the_field(ball, sphere):
    """Red in front, blue behind: at each face's middle, in every texel of the gutter, and in a picture."""
    mesh = baked(unwrapped(sphere, 256), ball, 0.01)
    middle, uv = mesh.triangles().mean(1), mesh.uv[mesh.faces].mean(1)
    color = sample_texture(mesh.texture, uv)
    clear = middle[:, 0].abs() > 0.03
    expected = torch.where(middle[:, :1] > 0, RED, BLUE)
    torch.testing.assert_close(color[clear], expected[clear], atol=0.02, rtol=0)
    assert float(mesh.texture.sum(0).min()) > 0.98  # nothing stayed black
    front, back = render_mesh(mesh, orbit_path(2, 0.0), shading="none").images[:, :, 32, 32]
    torch.testing.assert_close(torch.stack([front, back]), torch.stack([RED, BLUE]), atol=0.02, rtol=0)


def test_a_texture_without_room_is_refused(ball, sphere):
    mesh = unwrapped(sphere, 256)
    tiny = Mesh(mesh.vertices, mesh.faces, normals=mesh.normals, uv=0 * mesh.uv, texture=mesh.texture)
    with pytest.raises(ValueError, match="No texel of a 256 x 256 texture lies inside a chart"):
        baked(tiny, ball, 0.01)
