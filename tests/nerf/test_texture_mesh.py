"""A prompt paints a mesh that is there."""

import json

import pytest
import torch
from training import resumed, same, train

from nerf.background import SolidBackground
from nerf.fields.dense_grid import DenseGridField
from nerf.materials.lighting import EnvironmentLight
from nerf.materials.pbr import Pbr
from nerf.products import Products
from nerf.renderers.surface import render_surface
from nerf.texture_mesh import TextureMesh
from priors.exact_views import ExactViews
from priors.guidance.sds import ScoreDistillation
from priors.prompts import Prompt
from suite.errors import UserError
from suite.geometry.cameras import CameraSampler
from suite.geometry.mesh import Mesh
from suite.io.meshes import load_mesh, save_mesh
from suite.run import Run
from suite.toyworld.objects import build, parse


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A white mushroom, ten times as large as it was and somewhere else."""
    surface = build(parse("a red mushroom"))
    vertices, faces = torch.from_numpy(surface.vertices), torch.from_numpy(surface.faces).long()
    file = tmp_path_factory.mktemp("mesh") / "mushroom.glb"
    save_mesh(file, Mesh(10 * vertices + torch.tensor([3.0, -2.0, 7.0]), faces))
    return file


def task(prior, path, **options) -> TextureMesh:
    defaults = {
        "mesh": str(path), "prompt": Prompt(text="a red mushroom", views="none"), "prior": prior,
        "guidance": ScoreDistillation(scale=1.0, t_min=0.02, t_max=0.8), "field": DenseGridField(resolutions=[8, 16]),
        "cameras": CameraSampler(height=24, width=24, distance=(1.8, 1.8)), "background": SolidBackground(),
        "texture": 64, "steps": 60, "products": Products(frames=2, size=24, views=2),
    }  # fmt: skip
    return TextureMesh(**(defaults | options))


def test_a_known_object_gets_its_colours(mushroom, path):
    """The exact denoiser of a mushroom's views, its shape given: unseen views come to 18 dB from below 14."""
    prior, cameras, truth = mushroom
    made = task(prior, path)

    def psnr() -> float:
        with torch.no_grad():
            shown = render_surface(made.shape, made.albedo, cameras, background=SolidBackground())
        return -10 * torch.log10((shown.images - truth).square().mean()).item()

    before = psnr()
    train(made)
    assert before < 14 and psnr() > 18


def test_the_mesh_stays_where_it_was(mushroom, path, tmp_path):
    """What is exported has the file's place, size and shape, and a texture; decimated only where asked."""
    with Run(tmp_path / "run", task="texture_mesh") as run:
        task(mushroom[0], path, steps=2).run(run)
    before, after = load_mesh(path), load_mesh(run.directory / "meshes" / "mesh.glb")
    torch.testing.assert_close(after.bounds, before.bounds, atol=1e-3, rtol=1e-4)
    assert len(after.faces) == len(before.faces) and after.texture.shape == (3, 64, 64)
    assert "chamfer" not in json.loads((run.directory / "report.json").read_text())["measures"]
    with Run(tmp_path / "few", task="texture_mesh") as few:
        task(mushroom[0], path, steps=2, faces=100, texture=64).run(few)
    assert len(load_mesh(few.directory / "meshes" / "mesh.glb").faces) <= 100


def test_a_resumed_run_is_the_uninterrupted_one(mushroom, path):
    """State after 2 + 2 steps equals that after 4, bit for bit."""
    assert same(*resumed(lambda: task(mushroom[0], path, steps=4), 2))


def pbr(**options) -> Pbr:
    light = EnvironmentLight(map="uniform", exposure=0.8)
    return Pbr(field=DenseGridField(resolutions=[8]), light=light, **options)


@pytest.mark.usefixtures("open3d")
def test_a_material_is_distilled_and_baked(mushroom, path, tmp_path):
    """Metallic, roughness and relief learn, and every map is in the files; the report says what the mesh is like."""
    made = task(mushroom[0], path, steps=3, material=pbr(), faces=300)
    with Run(tmp_path / "run", task="texture_mesh") as run:
        made.run(run)
    moved = made.material.field.table.detach().abs().amax(0)
    assert bool((moved[:3] > 0).all()) and float(moved[3]) == 0
    meshes = run.directory / "meshes"
    assert b"metallicRoughnessTexture" in (meshes / "mesh.glb").read_bytes()
    assert b"normalTexture" in (meshes / "mesh.glb").read_bytes()
    assert {"map_Kd", "map_Pr", "map_Pm", "norm"} <= set((meshes / "mesh.mtl").read_text().split())
    measures = json.loads((run.directory / "report.json").read_text())["measures"]
    assert (
        measures["components"] >= 1 and measures["texels_median"] > 0 and 0 < measures["texture_unused"] < 1
    )


def test_a_resumed_material_is_the_uninterrupted_one(mushroom, path):
    """Bit for bit, with light that turns at random and sampled directions."""
    light = {"map": "sky", "method": "sampled", "samples": 2, "turns": True}

    def make() -> TextureMesh:
        material = Pbr(field=DenseGridField(resolutions=[8]), light=EnvironmentLight(**light))
        return task(mushroom[0], path, steps=4, material=material)

    assert same(*resumed(make, 2))


@pytest.mark.usefixtures("open3d")
def test_normals_of_what_is_decimated(mushroom, path, tmp_path):
    """Without a material too, where asked: a normal map and nothing else."""
    with Run(tmp_path / "run", task="texture_mesh") as run:
        task(mushroom[0], path, steps=1, normal_map=True, faces=100).run(run)
    data = (run.directory / "meshes" / "mesh.glb").read_bytes()
    assert b"normalTexture" in data and b"metallicRoughnessTexture" not in data


def test_many_faces_are_thinned_before_they_are_drawn(monkeypatch, path, mushroom):
    """What is painted has fewer faces; what is kept of the shape is all of it."""
    monkeypatch.setattr("nerf.texture_mesh.PAINTED_FACES", 200)
    made = task(mushroom[0], path)
    assert len(made.shape.faces) <= 200 < len(made.whole.faces)


def test_bad_input(mushroom, path, tmp_path):
    """No file, no mesh, a mesh without faces, impossible sizes."""
    with pytest.raises(UserError, match="There is no mesh"):
        task(mushroom[0], tmp_path / "none.glb")
    (tmp_path / "empty.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    with pytest.raises(UserError, match="cannot be read as a mesh"):
        task(mushroom[0], tmp_path / "empty.obj")
    with pytest.raises(ValueError, match="texture 0 or 64 to 8192, got 10000 and 16"):
        task(mushroom[0], path, texture=16)
    with pytest.raises(ValueError, match="has at most 60000 faces, got 70000: texture=0 keeps more"):
        task(mushroom[0], path, faces=70_000)
    with pytest.raises(ValueError, match="are kept in textures: type texture=1024"):
        task(mushroom[0], path, texture=0, normal_map=True)
    with pytest.raises(UserError, match="ExactViews is not told words, but a picture"):
        task(ExactViews(), path)
