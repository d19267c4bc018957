"""Lets the tests of fields and renderers import `scenery`; an object that several distil."""

import sys
from pathlib import Path

import pytest
import torch

from nerf.scenes import load
from priors.analytic import ImageSetPrior
from suite.geometry.cameras import Cameras

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def mushroom() -> tuple[ImageSetPrior, Cameras, torch.Tensor]:
    """The exact denoiser of views of a mushroom on white, and views to compare with, 24 pixels wide."""
    scene = load(source="a red mushroom", views=80, held_out=4, size=24)
    cameras = Cameras(scene.world_from_camera, torch.full((84,), 40.0), 24, 24)
    color = scene.pixels.permute(0, 3, 1, 2).float() / 255
    images = color[:, :3] * color[:, 3:] + 1 - color[:, 3:]
    prior = ImageSetPrior(images=images[:80], captions=["a red mushroom"] * 80, cameras=cameras[slice(0, 80)])
    return prior, cameras[slice(80, 84)], images[80:]
