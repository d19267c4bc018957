"""From a field to files."""

import math

import pytest
import torch

from nerf.meshing.extraction import MeshExtractor, export, export_field
from nerf.meshing.level import NoSurface
from nerf.meshing.views import field_views
from nerf.renderers.volume import VolumeRenderer
from suite.config import build
from suite.geometry.cameras import Cameras
from suite.io.meshes import load_mesh


@pytest.fixture
def renderer():
    return VolumeRenderer(samples=96)


def test_a_torus_becomes_files_that_open_elsewhere(torus, renderer, tmp_path):
    """GLB and OBJ with texture, PLY with vertex colours: each has the torus's size and, in front, its red."""
    found = export_field(torus, renderer, tmp_path, MeshExtractor(resolution=64, texture=256, faces=4000))
    assert found.silhouette_iou > 0.95 and len(found.mesh.faces) <= 4100
    ring = 0.12 + 0.02 * math.log(20 / found.level)  # where the field has that density
    assert found.mesh.volume == pytest.approx(2 * math.pi**2 * 0.33 * ring**2, rel=0.05)
    assert {path.name for path in tmp_path.iterdir()} == {
        "mesh.glb",
        "mesh.obj",
        "mesh.mtl",
        "mesh.png",
        "mesh.ply",
    }
    for name in ("mesh.glb", "mesh.obj", "mesh.ply"):
        mesh = load_mesh(tmp_path / name)
        torch.testing.assert_close(mesh.bounds, found.mesh.bounds, atol=1e-4, rtol=0)
        mesh = mesh.with_vertex_colors()
        front = mesh.vertices[:, 0] > 0.2
        assert mesh.vertex_colors[front].mean(0).tolist() == pytest.approx([1, 0, 0], abs=0.03)


def test_vertex_colours_instead_of_a_texture(ball, renderer, tmp_path):
    found = MeshExtractor(resolution=32, texture=0)(ball, renderer)
    assert found.mesh.texture is None and found.mesh.vertex_colors is not None
    measures = found.measures()
    assert measures["watertight"] and measures["faces"] == len(found.mesh.faces)
    export(found.mesh, tmp_path, "ball")
    assert (tmp_path / "ball.glb").exists() and not (tmp_path / "ball.png").exists()


def test_floaters_are_dropped(known_field, renderer):
    """A ball of radius .3 and a speck of .06: the speck's share of the area is .04."""
    center = torch.tensor([0.45, 0.45, 0.45])

    def log_density(x):
        distance = torch.minimum(x.norm(dim=-1) - 0.3, (x - center).norm(dim=-1) - 0.06)
        return math.log(20) + (-distance / 0.01).clamp(-12, 3)

    found = MeshExtractor(resolution=64, texture=0, smallest_part=0.1)(known_field(log_density), renderer)
    assert float(found.mesh.bounds.abs().max()) < 0.32
    assert found.removed_area == pytest.approx(0.04, abs=0.015)


def test_fields_without_surface_say_so(known_field, ball, renderer):
    with pytest.raises(NoSurface, match="The field has no surface"):
        MeshExtractor(resolution=16)(known_field(lambda x: -9.0 + 0 * x[:, 0]), renderer)
    with pytest.raises(
        NoSurface, match="No density reaches level=1e.06; the largest is 40.*Type a lower level"
    ):
        MeshExtractor(resolution=16, level=1e6)(ball, renderer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 6}, "even resolution >= 8 and faces >= 100, got resolution=6"),
        ({"resolution": 65}, "even resolution"),
        ({"faces": 4}, "faces >= 100"),
        ({"level": 0}, "level > 0 or null, got 0"),
        ({"smallest_part": 1.0}, "0 <= smallest_part < 1"),
        ({"smoothing": -1}, "smoothing >= 0"),
        ({"texture": 8}, "texture = 0 or from 64 to 8192, got 8"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        MeshExtractor(**options)


@pytest.mark.parametrize("name", ["textured", "vertex_colors"])
def test_configs_build(name):
    import yaml

    from suite.compose import CONFIGS

    assert isinstance(build(yaml.safe_load((CONFIGS / f"meshing/{name}.yaml").read_text())), MeshExtractor)


def test_views_of_a_field_measure_along_the_view_axis(ball, renderer):
    """The middle of the picture sees the ball at distance 1.8 - .4, its normal towards the camera; at the
    edge of a wide picture the depth is that of the plane, shorter than the way along the ray."""
    cameras = Cameras.orbit([0.0, 90.0], 0.0, 1.8, 40.0, height=33, width=33)
    views = field_views(ball, renderer, cameras)
    torch.testing.assert_close(views.depth[:, 0, 16, 16], torch.full((2,), 1.4), atol=0.02, rtol=0)
    towards = torch.nn.functional.normalize(cameras.position, dim=-1)
    torch.testing.assert_close(views.normals[:, :, 16, 16], towards, atol=0.02, rtol=0)
    assert views.masks[:, 0, 16, 16].min() > 0.99 and float(views.masks[:, 0, 0, 0].max()) < 1e-3
    assert views.images[0, :, 16, 16].tolist() == pytest.approx([1, 0, 0], abs=0.01)
    off = 10  # ten pixels from the middle the ray meets the ball nearer to its rim
    angle = math.atan(off / (16.5 / math.tan(math.radians(20))))
    along = 1.8 * math.cos(angle) - math.sqrt(0.4**2 - (1.8 * math.sin(angle)) ** 2)
    assert float(views.depth[0, 0, 16, 16 + off]) == pytest.approx(along * math.cos(angle), abs=0.03)
    assert field_views(ball, renderer, cameras, normals=False).normals is None
