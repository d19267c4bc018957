"""Distillation into a field, from priors whose answer is known."""

import pytest
import torch
from training import advance, resumed, same, train

from nerf.background import NetworkBackground, SolidBackground
from nerf.fields.base import Density
from nerf.fields.dense_grid import DenseGridField
from nerf.fields.hash_grid import HashGridField
from nerf.lights import Shading
from nerf.products import Products, SceneHealth
from nerf.regularizers.opacity import OpacityEntropy
from nerf.regularizers.orientation import Orientation
from nerf.renderers.occupancy import OccupancyGrid
from nerf.renderers.volume import VolumeRenderer
from nerf.text_to_3d import TextTo3D
from priors.analytic import GaussianMixturePrior
from priors.exact_views import ExactViews
from priors.guidance.sds import ScoreDistillation
from priors.prompts import Prompt
from suite.errors import UserError
from suite.geometry.cameras import CameraSampler
from suite.run import Run
from suite.schedules import Linear

SIZE = 24  # pixels, as of the fixture mushroom


def task(prior=None, field=None, **options) -> TextTo3D:
    defaults = {
        "prompt": Prompt(text="a red thing", views="none"),
        "prior": prior or colours(),
        "guidance": ScoreDistillation(scale=1.0, t_min=0.02, t_max=0.6),
        "field": field or DenseGridField(resolutions=[8, 16], density=Density(gain=10, blob_height=5)),
        "renderer": VolumeRenderer(samples=32, occupancy=OccupancyGrid(resolution=16, every=4)),
        "background": SolidBackground(),
        "cameras": CameraSampler(height=SIZE, width=SIZE, distance=(1.8, 1.8)),
    }
    return TextTo3D(**(defaults | options))


def colours() -> GaussianMixturePrior:
    captions, means = ["a red thing", "a blue thing"], [[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]]
    return GaussianMixturePrior(captions=captions, means=means, stds=[0.1, 0.1])


def test_a_known_object_is_found(mushroom):
    """Distilling the exact denoiser of an object's views gives back the object: unseen views are right to 17 dB
    after 60 steps, from 10."""
    prior, cameras, truth = mushroom
    made = task(prior, prompt="a red mushroom", steps=60)
    made.prompt = Prompt(text="a red mushroom", views="none")

    def error() -> float:
        with torch.no_grad():
            images = made.renderer(made.field, cameras.rays(), background=made.background).images
        return -10 * torch.log10((images - truth).square().mean()).item()

    before = error()
    train(made)
    assert before < 12 and error() > 17


def test_words_decide(mushroom):
    """The same start with "red" and with "blue" ends in the colour that was asked for."""
    for text, channel in [("a red thing", 0), ("a blue thing", 2)]:
        made = task(prompt=Prompt(text=text, views="none"), steps=25)
        train(made)
        at = torch.zeros(1, 3)
        assert made.field(at).albedo[0].argmax() == channel


def everything(prior=None) -> TextTo3D:
    """A task with a lit hash grid, a background that learns, and terms that need normals."""
    return task(
        prior,
        HashGridField(levels=3, log2_table=10, finest=32),
        background=NetworkBackground(random=0.5),
        shading=Shading(albedo_until=0.2),
        regularizer={
            "entropy": OpacityEntropy(),
            "orientation": Orientation(weight=[[0.5, 0.0], [1.0, 0.1]]),
        },
        steps=8,
        decay=Linear(2.0, 1.0),
    )


def test_a_resumed_run_is_the_uninterrupted_one():
    """State after 5 + 3 steps, taken up by new objects, equals that after 8, bit for bit."""
    whole, parts = resumed(everything, 5)
    assert same(whole, parts)
    assert {"field", "background", "renderer"} <= whole["parts"].keys()


def test_the_prior_is_neither_trained_nor_saved():
    """A prior with parameters keeps them, gets no gradient and is not in the checkpoint."""
    prior = colours()
    prior.weight = torch.nn.Parameter(torch.ones(3))
    made = everything(prior)
    advance(made, made.make_optimizer(), 0, 2)
    assert prior.weight.grad is None and not prior.weight.requires_grad
    assert all(prior.weight is not p for group in made.parameter_groups() for p in group["params"])
    assert not made.state_dict()["parts"]["prior"]["tensors"]


def test_every_part_learns():
    """After some steps grid, network and background have moved."""
    made = everything()
    before = {
        name: p.clone() for part in (made.field, made.background) for name, p in part.named_parameters()
    }
    train(made)
    after = dict([*made.field.named_parameters(), *made.background.named_parameters()])
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_sick_scenes_are_noticed():
    """An empty and a saturated scene are named, with what to do, but not in the first fifth of the run."""
    for opacity, words in [
        (0.001, "the scene is empty (mean opacity 0.0010): lower"),
        (0.99, "fills every picture"),
    ]:
        health = SceneHealth()
        health.note(torch.full((2, 1, 4, 4), opacity), 0.1)
        assert health.verdict() is None
        health.note(torch.full((2, 1, 4, 4), opacity), 0.3)
        assert words in health.verdict()
    health.note(torch.full((2, 1, 4, 4), 0.4), 0.3)
    assert health.verdict() is None


def test_what_a_run_leaves(tmp_path):
    """Pictures, a turntable and a mesh; of an empty scene a warning instead of a mesh."""
    made, run = task(steps=2), Run(tmp_path / "run", task="text_to_3d")
    made.products = Products(frames=2, size=24, views=2)
    made.products.mesh.resolution = 24
    train(made)
    made.preview(2, run)
    assert made.finish(run)["faces"] > 20 and (run.directory / "meshes" / "mesh.glb").exists()
    assert (run.directory / "images" / "step_00002.png").exists()
    made.field.table.data[:, 0] = -100.0
    assert made.finish(run) == {"faces": 0}
    assert (run.directory / "videos" / "turntable.mp4").exists()


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match="frames >= 1, size >= 16 and views >= 1, got frames=0"):
        Products(frames=0)
    with pytest.raises(UserError, match="ExactViews is not told words, but a picture"):
        task(prior=ExactViews())
