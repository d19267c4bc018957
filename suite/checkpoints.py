"""The checkpoints of one run: the last few, strict about the configuration, forgiving of a damaged file."""

import logging
import re
from pathlib import Path
from typing import Any

from suite.errors import UserError
from suite.io.weights import DamagedFile, load_state, read_metadata, save_state

log = logging.getLogger(__name__)


class Checkpoints:
    """Files `step-00000300.safetensors` in a folder.

    Args:
        folder: Where they lie.
        configuration: Hash of the configuration that they belong to.
        keep: How many of the newest stay on the disk.
    """

    def __init__(self, *, folder: Path, configuration: str, keep: int = 2) -> None:
        self.folder, self.configuration, self.keep = folder, configuration, keep

    def save(self, step: int, state: Any) -> Path:
        """Writes the state after `step` steps atomically, then removes all but the newest `keep`.

        Raises:
            OSError: The disk is full or cannot be written; the older checkpoints are still there.
        """
        path = self.folder / f"step-{step:08d}.safetensors"
        save_state(path, state, {"configuration": self.configuration, "step": str(step)})
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def load(self) -> tuple[int, Any] | None:
        """(steps done, state) of the newest readable checkpoint; None if there is none at all.

        Raises:
            UserError: The checkpoint is of another configuration, or every one is damaged.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                if read_metadata(path).get("configuration") != self.configuration:
                    raise UserError(
                        f"{path} is a checkpoint of another configuration. Choose another out=DIR, or delete "
                        f"{self.folder} to start again."
                    )
                return _step(path), load_state(path)
            except DamagedFile as error:
                log.warning("%s Going back to the checkpoint before it.", error)
        if paths:
            raise UserError(
                f"Every checkpoint in {self.folder} is damaged: delete the folder to start again."
            )
        return None

    def paths(self) -> list[Path]:
        """The checkpoints on the disk, oldest first."""
        return sorted(path for path in self.folder.glob("step-*.safetensors") if _step(path) is not None)


def newest_state(run: Path) -> Any:
    """The state in `newest_checkpoint`, whatever its configuration."""
    return load_state(newest_checkpoint(run))


def newest_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run, or of its stage "coarse".

    Raises:
        UserError: There is none.
    """
    for folder in (run / "checkpoints", run / "checkpoints" / "coarse"):
        if paths := Checkpoints(folder=folder, configuration="").paths():
            return paths[-1]
    raise UserError(f"{run} holds no checkpoint: give the directory of a run.")


def _step(path: Path) -> int | None:
    match = re.fullmatch(r"step-(\d+)", path.stem)
    return int(match[1]) if match else None
