"""Random stretches of the videos in a folder."""

import functools
from pathlib import Path

import numpy as np

from suite.errors import UserError
from suite.io.videos import VideoFile

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".webp")
OPEN_FILES = 32


class VideoFolder:
    """The videos in a folder.

    Args:
        folder: Of MP4, MOV, MKV, WebM, AVI, GIF or WebP files.
        frames: Of a stretch.
        size: Height and width in pixels of what is made of its frames.
        every: Take each how-many-eth frame.

    Attributes:
        names: The files' names, in order.

    Raises:
        UserError: A number is not positive, there is no such folder, or it has no videos.
    """

    def __init__(self, folder: str | Path, *, frames: int, size: int, every: int) -> None:
        self.folder, self.frames, self.size, self.every = Path(folder).expanduser(), frames, size, every
        if min(frames, size, every) < 1:
            raise UserError(f"frames, size and every must be positive, got {frames}, {size} and {every}.")
        if not self.folder.is_dir():
            raise UserError(f"There is no folder of videos at {self.folder}.")
        self.names = sorted(p.name for p in self.folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not self.names:
            raise UserError(f"{self.folder} has no videos ({', '.join(SUFFIXES)}).")
        self._open = functools.lru_cache(maxsize=OPEN_FILES)(VideoFile)

    def open(self, name: str) -> VideoFile:
        """A video; those used last stay open."""
        return self._open(self.folder / name)

    def stretch(self, name: str, there: int, random: np.random.Generator, noun: str = "frames") -> range:
        """The numbers of `frames` frames, `every` apart, from a random one on.

        Args:
            name: Of the file.
            there: How many frames can be used; `noun` says which.

        Raises:
            UserError: It is too short.
        """
        needed = (self.frames - 1) * self.every + 1
        if there < needed:
            raise UserError(
                f"{self.folder / name} has {there} {noun}, and {self.frames} at every={self.every} take {needed}. "
                "Take fewer frames, a smaller every, or remove it."
            )
        start = int(random.integers(there - needed + 1))
        return range(start, start + needed, self.every)
