"""Random checkpoints of every family, made once a session, and a hub that cannot be reached."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from tests.priors.tiny_checkpoints import diffusers_folder, ldm_file, tiny_models


@pytest.fixture(scope="session")
def models() -> Callable[[str], dict]:
    """The components of a family: sd15, sd21_v or sdxl. Not to be changed."""
    return functools.cache(tiny_models)


@pytest.fixture(scope="session")
def folder(models, tmp_path_factory) -> Callable[[str], Path]:
    """The same as a folder in diffusers' layout. Not to be changed."""
    root = tmp_path_factory.mktemp("folders")
    return functools.cache(lambda family: diffusers_folder(family, root / family, models(family)))


@pytest.fixture(scope="session")
def single_file(models, tmp_path_factory) -> Callable[..., Path]:
    """The same as a single file of the original layout. Not to be changed."""
    root = tmp_path_factory.mktemp("files")
    return functools.cache(
        lambda family, suffix=".safetensors": ldm_file(family, root / f"{family}{suffix}", models(family))
    )


@pytest.fixture
def own(folder, tmp_path) -> Callable[..., Path]:
    """A copy of a family's folder, to be broken."""
    return lambda family="sd15": shutil.copytree(folder(family), tmp_path / family)


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """No network, and an empty cache of the hub: its folder."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache
