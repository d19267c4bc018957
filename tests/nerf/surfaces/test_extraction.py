"""The mesh that is kept: closed forms of volume and colours, crumbs gone, textures baked on the surface."""

import pytest
import torch
from solids import KNOWN, distance, random_field

from nerf.meshing.level import NoSurface
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.extraction import PlaceColors, SurfaceExtractor, marching_cubes
from nerf.surfaces.flexicubes import FlexiCubes
from nerf.surfaces.sdf import SDFField, SDFSample
from suite.geometry.mesh import sample_texture


class Colored(torch.nn.Module):
    """RGB is the place, in [.2, .8]."""

    def forward(self, points):
        n = points.shape[:-1]
        return SDFSample(points.norm(dim=-1), 0.5 + points / 2, points.new_zeros(*n, 0))


@pytest.mark.parametrize("name", KNOWN)
def test_marching_cubes(name):
    """Volume and area of the closed forms, faces outwards; closed at the box."""
    mesh = marching_cubes(distance(name, 32), 0.6)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(KNOWN[name][0], rel=0.02)
    assert float(mesh.face_areas().sum()) == pytest.approx(KNOWN[name][1], rel=0.02)
    full = marching_cubes(torch.full((5, 5, 5), -1.0), 1.0)
    assert full.is_watertight and full.volume == pytest.approx(8, rel=0.1)
    assert len(marching_cubes(torch.ones(5, 5, 5), 1.0).faces) == 0


@pytest.mark.parametrize("kind", [DMTet, FlexiCubes])
def test_colors_at_vertices(kind):
    """Those of the texture where the vertices are; faces as few as asked for."""
    surface = kind(resolution=16, texture=Colored())
    mesh = SurfaceExtractor(faces=500, texture=0)(surface)
    assert len(mesh.faces) <= 520 and mesh.volume > 0
    torch.testing.assert_close(mesh.vertex_colors, 0.5 + mesh.vertices / 2)


def test_baked_colors():
    """The texture at a face's middle is the colour of that place."""
    mesh = SurfaceExtractor(faces=300, texture=128)(DMTet(resolution=12, texture=Colored()))
    middle, uv = mesh.triangles().mean(1), mesh.uv[mesh.faces].mean(1)
    seen = sample_texture(mesh.texture, uv)
    assert (seen - (0.5 + middle / 2)).abs().median() < 0.01


def test_a_field_is_meshed_by_marching_cubes():
    """A signed distance field has no grid of its own: `resolution` cells; a ball of .4."""
    field = SDFField(levels=2, log2_table=8, base=4, finest=8, hidden=4)
    mesh = SurfaceExtractor(resolution=24, texture=0)(field)
    assert mesh.is_watertight and mesh.vertices.norm(dim=-1).mean() == pytest.approx(0.4, rel=0.01)
    torch.testing.assert_close(mesh.vertex_colors, field.albedo(mesh.vertices).detach())


def test_crumbs_are_dropped():
    """Parts of less than a tenth of the area."""
    surface = DMTet(resolution=20)
    surface.set_distance(random_field(0, 20, smooth=1.0))
    parts = surface.final().components()
    kept = SurfaceExtractor(smallest_part=0.1, texture=0)(surface).components()
    total = sum(float(part.face_areas().sum()) for part in parts)
    assert len(parts) > len(kept) == sum(float(part.face_areas().sum()) >= 0.1 * total for part in parts)


def test_colors_as_a_field():
    """The adapter for nerf.meshing.coloring: the same albedo."""
    surface = DMTet(resolution=8, texture=Colored())
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(
        PlaceColors(surface.albedo, torch.device("cpu"), surface.radius)(x).albedo, surface.albedo(x)
    )


def test_what_cannot_be_is_refused():
    """Each error says what is possible."""
    empty = DMTet(resolution=8)
    empty.set_distance(torch.ones(9, 9, 9))
    with pytest.raises(NoSurface, match="The surface is empty: no place has a signed distance below 0"):
        SurfaceExtractor()(empty)
    with pytest.raises(
        ValueError, match="resolution >= 4, faces >= 100 and 0 <= smallest_part < 1, got resolution=2"
    ):
        SurfaceExtractor(resolution=2)
    with pytest.raises(ValueError, match="texture = 0 or from 64 to 8192, got 32"):
        SurfaceExtractor(texture=32)
