"""Tiny priors of each family, and folders of small captioned clips."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from priors.stable_diffusion import StableDiffusionPrior, load
from suite.io.videos import write_video
from suite.rng import generator
from tests.priors.tiny_checkpoints import diffusers_folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Callable[[str], Path]:
    """A random checkpoint of a family with tiny widths (16, 32, 32, 32), as a folder. Not to be changed."""
    root = tmp_path_factory.mktemp("tiny")
    return functools.cache(lambda family: diffusers_folder(family, root / family))


@pytest.fixture(scope="session")
def tiny_prior(tiny_folder) -> Callable[[str], StableDiffusionPrior]:
    """The same as a prior. Not to be changed."""
    return functools.cache(lambda family: load(str(tiny_folder(family))))


@pytest.fixture
def videos(tmp_path) -> Path:
    """A folder of three GIFs: four frames of 24 x 32 pixels each."""
    folder = tmp_path / "videos"
    for i, name in enumerate(("a_red_car-1", "a_blue_car-2", "a_red_mushroom")):
        frames = torch.rand(4, 3, 24, 32, generator=generator(0, i, "video"))
        write_video(folder / f"{name}.gif", frames, fps=8)
    return folder
