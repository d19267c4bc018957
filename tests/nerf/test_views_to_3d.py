"""Fields from posed pictures: they are found again, and a resumed run is the uninterrupted one."""

import json

import pytest
import torch
from training import resumed, same, train

from nerf.fields.base import Density
from nerf.fields.dense_grid import DenseGridField
from nerf.fields.hash_grid import HashGridField
from nerf.products import Products
from nerf.regularizers.distortion import Distortion
from nerf.renderers.occupancy import OccupancyGrid
from nerf.renderers.volume import VolumeRenderer
from nerf.scenes import Scene, load
from nerf.views_to_3d import ViewsTo3D
from suite.metrics.images import psnr
from suite.run import Run


@pytest.fixture(scope="module")
def scene() -> Scene:
    return load(source="a red mushroom", views=24, held_out=4, size=40)


def task(scene: Scene, field=None, **options) -> ViewsTo3D:
    field = field or DenseGridField(resolutions=[12, 24], density=Density(gain=10, blob_height=5))
    renderer = VolumeRenderer(samples=40, occupancy=OccupancyGrid(resolution=16, every=8))
    return ViewsTo3D(scene=scene, field=field, renderer=renderer, **({"rays": 1024, "decay": 1.0} | options))


def test_unseen_views_are_found(scene):
    """80 steps on 24 views of 40 pixels: views that were never shown are right to 22 dB (28 after 400)."""
    fitted = train(task(scene, steps=80))
    values = [psnr(*fitted.compare(int(view))).item() for view in scene.held_out.nonzero()]
    assert sum(values) / len(values) > 22


def test_only_the_learnt_views_are_shown(scene):
    """Colours of held-out pictures have no influence."""
    spoilt = Scene(**{**vars(scene), "pixels": scene.pixels.clone()})
    spoilt.pixels[scene.held_out] = 0
    states = [train(task(s, steps=3)).state_dict() for s in (scene, spoilt)]
    assert same(*states)


@pytest.mark.parametrize("kind", [HashGridField, DenseGridField])
def test_a_resumed_run_is_the_uninterrupted_one(scene, kind):
    """State after 3 + 3 steps, taken up by new objects, equals that after 6, bit for bit; occupancy included."""

    def make() -> ViewsTo3D:
        made = task(scene, kind(), steps=6, regularizer={"distortion": Distortion()}, rays=256)
        made.renderer.occupancy.every = 2
        return made

    whole, parts = resumed(make, 3)
    assert same(whole, parts) and "occupancy.occupied" in whole["parts"]["renderer"]["tensors"]


def test_huber_forgives(scene):
    """The loss of a wrong picture is smaller with huber than 1 / .2 of l2, and both are 0 for a right one."""
    wrong, right = torch.ones(4, 3, 1, 1), torch.zeros(4, 3, 1, 1)
    l2, huber = task(scene), task(scene, loss="huber")
    assert l2._distance(right, right) == huber._distance(right, right) == 0
    assert (
        huber._distance(wrong, right).item() == pytest.approx(0.95) and l2._distance(wrong, right).item() == 1
    )


def test_what_a_run_leaves(scene, tmp_path):
    """Measures of held-out views, pictures beside the truth, a mesh, a turntable, previews."""
    fitted, run = task(scene, steps=60), Run(tmp_path / "run", task="views_to_3d")
    fitted.products = Products(frames=3, size=32, views=2)
    fitted.products.mesh.resolution = 32
    train(fitted)
    fitted.preview(60, run)
    measures = fitted.finish(run)
    assert json.loads(json.dumps(measures))["psnr_held_out"] > 20 and measures["faces"] > 100
    assert measures["psnr_learnt"] >= measures["psnr_held_out"] - 1
    made = ["images/held_out.png", "images/views.png", "images/step_00060.png", "meshes/mesh.glb"]
    assert all((run.directory / name).stat().st_size > 100 for name in [*made, "videos/turntable.mp4"])


def test_bad_options_are_refused(scene):
    """Each error says what is possible."""
    with pytest.raises(ValueError, match="rays >= 1, got 0"):
        task(scene, rays=0)
    with pytest.raises(ValueError, match="'l1' is not a loss of ViewsTo3D: 'l2' or 'huber'"):
        task(scene, loss="l1")
