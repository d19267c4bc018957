"""The material as a function of place, and what is baked of it."""

import math

import pytest
import torch
import trimesh

from nerf.fields.dense_grid import DenseGridField
from nerf.materials.lighting import EnvironmentLight
from nerf.materials.pbr import Pbr
from nerf.meshing.map_baking import baked_maps, cast_normals
from nerf.meshing.unwrapping import face_by_face, texels, unwrapped
from nerf.renderers.baked import baked_material, baked_views
from suite.geometry.cameras import orbit_path
from suite.geometry.mesh import Mesh, sample_texture
from suite.geometry.rasterizer import interpolate
from suite.io.surface_maps import tangents
from suite.metrics.meshes import mesh_report


@pytest.fixture(scope="module")
def light() -> EnvironmentLight:
    return EnvironmentLight(map="uniform", exposure=1.0)


def ball(subdivisions: int) -> Mesh:
    """Its normals are its places; corners lie on the sphere of radius 0.4."""
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.4)
    return Mesh(torch.tensor(shape.vertices).float(), torch.tensor(shape.faces))


def test_it_starts_as_it_is_told(light):
    """Everywhere the same metallic, roughness and normal; the roughness at the scale that glTF stores."""
    material = Pbr(field=DenseGridField(resolutions=[4]), light=light, metallic=0.1, roughness=0.5)
    points = 0.8 * torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.4
    normals = torch.nn.functional.normalize(points, dim=-1)
    found = material(points, normals, points.abs())
    torch.testing.assert_close(found.metallic, torch.full((20,), 0.1))
    torch.testing.assert_close(found.roughness, torch.full((20,), 0.045 + 0.955 * 0.5))
    torch.testing.assert_close(found.normals, normals)
    torch.testing.assert_close(found.albedo, points.abs())


def test_a_slope_tilts_the_normal(light):
    """Relief that rises by s along x turns the normal of a horizontal plane to (-s, 0, 1), normalised."""
    material = Pbr(field=DenseGridField(resolutions=[2]), light=light, bump=0.5)
    with torch.no_grad():
        material.field.table.view(2, 2, 2, 4)[:, :, 0, 2] = -0.01  # axes z, y, x
        material.field.table.view(2, 2, 2, 4)[:, :, 1, 2] = 0.01
    slope = 0.5 * 0.01 / 0.6
    up = torch.tensor([[0.0, 0, 1]])
    expected = torch.nn.functional.normalize(torch.tensor([[-slope, 0.0, 1.0]]), dim=-1)
    torch.testing.assert_close(material.bent(torch.zeros(1, 3), up), expected, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("open3d")
def test_normals_are_cast_from_the_finer_surface():
    """A ball of 80 faces with the normals of one of 20,480: on the line along the coarse normal the true sphere has
    the normal of its place, found to half a degree."""
    coarse, fine = unwrapped(ball(1), 64), ball(5)
    found = texels(coarse)
    cast = cast_normals(fine, found.points, found.normals)
    # where p + t n meets the sphere
    b, c = (found.points * found.normals).sum(-1), found.points.square().sum(-1) - 0.16
    place = found.points + (-b + (b * b - c).sqrt())[:, None] * found.normals
    near = (place - found.points).norm(dim=-1) < 0.02
    angle = torch.rad2deg(torch.acos(((place / 0.4) * cast).sum(-1).clamp(-1, 1)))
    assert float(near.float().mean()) > 0.5 and float(angle[near].max()) < 0.5
    nowhere = cast_normals(Mesh(fine.vertices + 5, fine.faces), found.points, found.normals)
    torch.testing.assert_close(nowhere, found.normals)


@pytest.mark.usefixtures("open3d")
def test_a_normal_map_gives_back_the_finer_shape():
    """What a viewer makes of map, tangents and normals at the texels is the normal that was cast there."""
    coarse, smooth = unwrapped(ball(2), 128), ball(5)
    waves = smooth.vertices * (1 + 0.01 * torch.sin(40 * smooth.vertices[:, 2:]))
    maps = baked_maps(coarse, fine=Mesh(waves, smooth.faces))
    assert maps.metallic_roughness is None
    found = texels(coarse)
    cast = cast_normals(Mesh(waves, smooth.faces), found.points, found.normals)
    attributes = torch.cat([coarse.vertex_normals(), coarse.uv, tangents(coarse)], dim=1)
    values = interpolate(attributes, found.fragments, coarse.faces)[0][found.inside]
    shown = baked_material(coarse, maps, values).normals
    angle = torch.rad2deg(torch.acos((shown * cast).sum(-1).clamp(-1, 1)))
    own = torch.rad2deg(torch.acos((found.normals * cast).sum(-1).clamp(-1, 1)))
    assert float(angle.mean()) < 0.1 and float(angle.quantile(0.99)) < 1 and float(own.mean()) > 3


def test_maps_hold_the_material(light):
    """Metallic in blue, roughness in green, at the place of every texel; a flat relief leaves normals alone."""
    material = Pbr(field=DenseGridField(resolutions=[2]), light=light, bump=0.0, metallic=0.5, roughness=0.5)
    with torch.no_grad():
        table = material.field.table.view(2, 2, 2, 4)
        table[:, :, 0, 0], table[:, :, 1, 0] = -3.0, 3.0  # metallic grows along x
    mesh = unwrapped(ball(2), 128)
    maps = baked_maps(mesh, material=material)
    assert maps.normal is None
    red, green, blue = maps.metallic_roughness
    assert bool((red == 1).all())
    torch.testing.assert_close(green, torch.full_like(green, 0.045 + 0.955 * 0.5))
    expected = torch.sigmoid(3 * mesh.vertices[:, 0] / 0.6)
    torch.testing.assert_close(
        sample_texture(maps.metallic_roughness, mesh.uv)[:, 2], expected, atol=0.03, rtol=0
    )
    assert 0.1 < float(blue.min()) < 0.2 and 0.8 < float(blue.max()) < 0.9


def test_white_in_white_is_white(light):
    """The furnace once more, through the baked mesh: a white matte ball in light of 1 shows 1."""
    mesh = unwrapped(ball(2), 64)
    white = Mesh(mesh.vertices, mesh.faces, uv=mesh.uv, texture=mesh.texture + 1)
    shown = baked_views(white, baked_maps(white), light, background=0.0)(orbit_path(2, height=32, width=32))
    torch.testing.assert_close(shown.images, shown.masks.expand(-1, 3, -1, -1), atol=0.02, rtol=0)


def test_a_chart_for_every_face(caplog, monkeypatch):
    """Without xatlas: the same surface, closed, no two faces share a texel, and every one has as much as the next."""
    import nerf.meshing.unwrapping as unwrapping

    def fails(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr(unwrapping, "_by_xatlas", fails)
    whole = ball(2)
    flat = unwrapped(whole, 256)
    assert "xatlas cannot unwrap this mesh (no luck)" in caplog.text
    torch.testing.assert_close(flat.triangles().sum((0, 1)), whole.triangles().sum((0, 1)), atol=1e-3, rtol=0)
    assert flat.is_watertight and len(flat.faces) == 320
    uv = flat.uv[flat.faces]
    u, v = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    cell = 256 // math.ceil(math.sqrt(160))
    torch.testing.assert_close(area * 256**2, torch.full((320,), (cell - 3) ** 2 / 2))
    drawn = (cell - 2) * (cell - 1) / 2  # legs run through the middles of cell - 2 texels
    assert mesh_report(flat).texels.texture_unused == pytest.approx(1 - 320 * drawn / 256**2, abs=1e-6)
    monkeypatch.setattr(unwrapping, "MOST_FACES", 100)
    assert len(unwrapped(whole, 256).vertices) == 960
    with pytest.raises(unwrapping.NoRoom, match="has no room for 320 faces: type texture=78 or more"):
        face_by_face(whole, 64)


def test_options_are_checked(light):
    with pytest.raises(ValueError, match=r"in \(0, 1\) and bump >= 0, got 0, 0.6, 0.01"):
        Pbr(light=light, metallic=0)
