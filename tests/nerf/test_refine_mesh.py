"""The second stage: a field becomes a mesh that is distilled further."""

import json
import sys

import pytest
import torch
from training import advance, resumed, same, train

from nerf.background import SolidBackground
from nerf.closeups import Closeups
from nerf.fields.base import Density
from nerf.fields.dense_grid import DenseGridField
from nerf.materials.lighting import EnvironmentLight
from nerf.materials.pbr import Pbr
from nerf.meshing.extraction import MeshExtractor
from nerf.products import Products
from nerf.refine_mesh import RefineMesh
from nerf.regularizers.normal_consistency import NormalConsistency
from nerf.renderers.surface import render_surface
from nerf.renderers.volume import VolumeRenderer
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.extraction import SurfaceExtractor
from nerf.text_to_3d import TextTo3D
from priors.guidance.sds import ScoreDistillation
from priors.prompts import Prompt
from suite.errors import UserError
from suite.geometry.cameras import CameraSampler
from suite.run import Run

WORDS = Prompt(text="a red mushroom", views="none")
CAMERAS = CameraSampler(height=24, width=24, distance=(1.8, 1.8))


def field() -> DenseGridField:
    return DenseGridField(resolutions=[8, 16], density=Density(gain=20, blob_height=20))


def guidance(t_max: float) -> ScoreDistillation:
    return ScoreDistillation(scale=1.0, t_min=0.02, t_max=t_max)


def stage(**options) -> RefineMesh:
    defaults = {"surface": DMTet(resolution=20), "guidance": guidance(0.5), "cameras": CAMERAS, "steps": 60}
    tidy = SurfaceExtractor(texture=0, faces=2000)
    return RefineMesh(**(defaults | {"background": SolidBackground(), "extractor": tidy} | options))


def started(prior, **options) -> RefineMesh:
    """A stage that begins with the ball that a fresh field is."""
    made = stage(**options)
    made.start_from(field(), VolumeRenderer(samples=32), prompt=WORDS, prior=prior, products=Products())
    return made


def test_what_it_needs_is_asked_for_before_the_first_stage(monkeypatch):
    """Open3D cannot be imported: said when the stage is made, not when the first one is done."""
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(UserError, match="apt-get install libusb-1.0-0"):
        stage()


def two_stages(prior, **options) -> TextTo3D:
    products = Products(frames=2, size=24, views=2, mesh=MeshExtractor(resolution=24, texture=0))
    refine = stage(steps=2, regularizer={"smooth": NormalConsistency(weight=0.1)})
    defaults = {"background": SolidBackground(), "cameras": CAMERAS, "steps": 2, "refine": refine}
    return TextTo3D(
        prompt=WORDS, prior=prior, guidance=guidance(0.9), field=field(), renderer=VolumeRenderer(samples=32),
        products=products, **(defaults | options),
    )  # fmt: skip


@pytest.mark.usefixtures("open3d")
def test_a_surface_finds_a_known_object(mushroom):
    """Distilling the exact denoiser of a mushroom's views into a ball: unseen views gain at least 4 dB."""
    prior, cameras, truth = mushroom
    made = started(prior, surface=DMTet(resolution=16, lr=0.2), guidance=guidance(0.9))

    def error() -> float:
        with torch.no_grad():
            shown = render_surface(made.surface(), made.surface.albedo, cameras, background=SolidBackground())
        return -10 * torch.log10((shown.images - truth).square().mean()).item()

    before = error()
    train(made)
    assert error() > before + 4


@pytest.mark.usefixtures("open3d")
def test_a_resumed_stage_is_the_uninterrupted_one(mushroom):
    """State after 2 + 2 steps, taken up by new objects, equals that after 4, bit for bit."""
    assert same(*resumed(lambda: started(mushroom[0], steps=4), 2))


@pytest.mark.usefixtures("open3d")
def test_two_stages_leave_two_meshes(mushroom, tmp_path):
    """Both are exported and measured; a second run goes on from where the stages are; a stage can be left out."""
    with Run(tmp_path / "run", task="text_to_3d") as run:
        two_stages(mushroom[0]).run(run)
    folder = run.directory
    measures = json.loads((folder / "report.json").read_text())["measures"]
    assert measures["watertight"] and measures["coarse_faces"] > 20
    assert (folder / "meshes" / "mesh.glb").exists() and (folder / "coarse" / "meshes" / "mesh.glb").exists()
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"coarse", "fine"}
    with Run(tmp_path / "other", task="text_to_3d") as other:
        two_stages(mushroom[0], coarse=str(folder)).run(other)
    assert {path.name for path in (other.directory / "checkpoints").iterdir()} == {"fine"}
    again = json.loads((other.directory / "report.json").read_text())["measures"]
    assert again["coarse_faces"] == measures["coarse_faces"] and again["faces"] == measures["faces"]


@pytest.mark.usefixtures("open3d")
def test_the_field_is_the_texture(mushroom):
    """The colours go on learning; the field's density does not matter any more."""
    made = started(mushroom[0], steps=2)
    assert made.surface.texture is not None
    before = made.surface.albedo(torch.zeros(1, 3)).detach().clone()
    advance(made, made.make_optimizer(), 0, 2)
    assert not torch.equal(made.surface.albedo(torch.zeros(1, 3)), before)


@pytest.mark.usefixtures("open3d")
def test_a_stage_with_a_material_and_close_looks(mushroom, tmp_path):
    """The relief of the undecimated surface and the material are in the files; close looks change the steps."""
    light = EnvironmentLight(map="uniform", exposure=0.8)
    material = Pbr(field=DenseGridField(resolutions=[8]), light=light)
    closer = Closeups(share=1, zoom=[3, 3])
    extractor = SurfaceExtractor(texture=64, faces=300)
    made = started(mushroom[0], material=material, closeups=closer, extractor=extractor, steps=2)
    train(made)
    assert bool((material.field.table.detach().abs().amax(0)[:3] > 0).all())
    with Run(tmp_path / "run", task="text_to_3d") as run:
        made.finish(run)
    data = (run.directory / "meshes" / "mesh.glb").read_bytes()
    assert b"metallicRoughnessTexture" in data and b"normalTexture" in data
    with pytest.raises(ValueError, match="kept in textures: type refine.extractor.texture=512"):
        stage(material=material, extractor=SurfaceExtractor(texture=0))


@pytest.mark.usefixtures("open3d")
def test_bad_input(mushroom, tmp_path):
    """A run without a checkpoint, a coarse run without a second stage, and a stage without steps."""
    with pytest.raises(ValueError, match="refine.steps must be at least 1, got 0"):
        stage(steps=0)
    with pytest.raises(ValueError, match="type refine=magic3d too"):
        two_stages(mushroom[0], refine=None, coarse="x")
    with pytest.raises(UserError, match="holds no checkpoint"):
        two_stages(mushroom[0], coarse=str(tmp_path / "none"))
