"""Random checkpoints of every family, made once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.priors.tiny_checkpoints import diffusers_folder, ldm_file, tiny_models


@pytest.fixture(scope="session")
def models() -> Callable[[str], dict]:
    """The components of a family: sd15, sd21, sd21_v or sdxl. Not to be changed."""
    made: dict[str, dict] = {}
    return lambda family: (
        made.setdefault(family, None) or made.update({family: tiny_models(family)}) or made[family]
    )


@pytest.fixture(scope="session")
def folder(models, tmp_path_factory) -> Callable[[str], Path]:
    """The same as a folder in diffusers' layout. Not to be changed."""
    root = tmp_path_factory.mktemp("folders")

    def of(family: str) -> Path:
        path = root / family
        return path if path.exists() else diffusers_folder(family, path, models(family))

    return of


@pytest.fixture(scope="session")
def single_file(models, tmp_path_factory) -> Callable[..., Path]:
    """The same as a single file of the original layout. Not to be changed."""
    root = tmp_path_factory.mktemp("files")

    def of(family: str, suffix: str = ".safetensors") -> Path:
        path = root / f"{family}{suffix}"
        return path if path.exists() else ldm_file(family, path, models(family))

    return of
