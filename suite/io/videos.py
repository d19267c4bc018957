"""Video files to and from float32 RGB frames in [0, 1]: decord (PyAV, or imageio's ffmpeg) in, imageio out.

    .mp4            plays anywhere; visually lossless. Its sides are even: an odd one gets its last row or column once
                    more, and a note of the true size, by which the frames that are read here have it again
    .gif .webp      any size; GIF has 256 colours; WebP is exact with lossless=True
    a folder        PNG pictures, exact, with their rate; any folder of pictures is read

Nothing is ever scaled. Long files are read in chunks.
"""

import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from suite.errors import UserError
from suite.io.paths import existing_file
from suite.io.video_readers import ANIMATIONS, READERS, noted_size, only_sound
from suite.io.video_writers import write_animation, write_mp4, write_pictures

log = logging.getLogger(__name__)
BACKENDS = ("decord", "pyav", "imageio")
MP4 = (".mp4", ".mov", ".m4v")


@dataclass(frozen=True)
class Video:
    """Frames, and how many of them are shown in a second."""

    frames: Float[Tensor, "f 3 h w"]
    fps: float

    def resampled(self, *, fps: float | int | None = None, count: int | None = None) -> "Video":
        """The frames that are shown at another rate, or `count` of them evenly over the whole length."""
        if (fps is None) == (count is None):
            raise ValueError(
                "A video is resampled to a rate (fps) or to a number of frames (count): give one."
            )
        duration = len(self.frames) / self.fps
        rate = float(fps) if fps is not None else count / duration
        times = np.arange(len(self.frames)) / self.fps
        return Video(self.frames[shown_at(times, duration, rate)], rate)


class VideoFile:
    """A video to read frames from, in any order; forwards is fastest.

    Args:
        path: MP4, MOV, WebM, MKV, AVI, ..., an animated GIF, WebP or PNG, or a folder of pictures.
        backend: "decord", "pyav", "imageio" (ffmpeg), or "auto": the first of them that is there and can read this
            file. Animations are read by Pillow.

    Raises:
        UserError: No such file (MissingFile), or nothing in it can be decoded.
    """

    def __init__(self, path: str | Path, *, backend: str = "auto") -> None:
        if backend not in ("auto", *BACKENDS):
            raise ValueError(f"VideoFile has backend 'auto', 'decord', 'pyav' or 'imageio', not {backend!r}.")
        folder = Path(path).expanduser().is_dir()
        self.path = Path(path).expanduser() if folder else existing_file(path, "video")
        if not folder and self.path.stat().st_size == 0:
            raise UserError(f"The video {self.path} is empty (0 bytes): copy or download it again.")
        backends = BACKENDS if backend == "auto" else (backend,)
        if folder or self.path.suffix.lower() in ANIMATIONS:
            backends = ("pictures",) if folder else ("pillow",)
        self._reader = self._first_that_reads(backends)
        if len(self) == 0:
            raise UserError(f"The video {self.path} has no frames.")
        self._noted = noted_size(self.path) if self.path.suffix.lower() in MP4 else None

    def _first_that_reads(self, backends: Sequence[str]) -> Any:
        said = []
        for self.backend in backends:
            try:
                reader = READERS[self.backend](self.path)
            except Exception as error:  # each decoder has its own classes
                if not isinstance(error, ImportError) or len(backends) == 1:
                    failure, failed = error, self.backend
                said.append(f"{self.backend} cannot read {self.path}: {_first_line(error)}")
            else:
                for line in said:  # where none can read it, the error below says all there is to say
                    log.info(line)
                return reader
        if not self.path.is_dir() and only_sound(self.path):
            raise UserError(f"{self.path} has sound but no pictures: give a file with a video track.")
        if self.path.is_dir():
            raise UserError(f"The folder {self.path} is no video: {_first_line(failure)}.") from failure
        raise UserError(
            f"{self.path} is not a video that {failed} can read, or is cut short ({_first_line(failure)}). Copy it "
            "again, or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        ) from failure

    def __len__(self) -> int:
        return len(self._reader.times)

    @property
    def fps(self) -> float:
        """Frames a second (the mean, if the rate varies)."""
        return self._reader.fps

    @property
    def times(self) -> np.ndarray:
        """When each frame is shown, in seconds from the first."""
        return self._reader.times

    @property
    def duration(self) -> float:
        """Seconds, the last frame included."""
        return float(self.times[-1]) + 1 / self.fps

    @property
    def variable(self) -> bool:
        """Whether some frames are shown over half as long again as others."""
        steps = np.diff(self.times)
        return len(steps) > 1 and bool(steps.max() > 1.5 * steps.min())

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of a frame."""
        return tuple(self.read([0]).shape[-2:])

    def read(self, indices: Sequence[int] | Int[np.ndarray, " n"] | None = None) -> Float[Tensor, "f 3 h w"]:
        """The frames with these numbers, in this order; None reads all."""
        indices = range(len(self)) if indices is None else [int(k) for k in indices]
        outside = [k for k in indices if not 0 <= k < len(self)]
        if outside:
            raise UserError(f"{self.path} has frames 0 to {len(self) - 1}, not {outside[0]}.")
        try:
            frames = self._reader.read(list(indices))
        except Exception as error:
            if self.path.is_dir():
                raise UserError(f"The folder {self.path} is no video: {_first_line(error)}.") from error
            reason = f"{_first_line(error)}. It may be cut short: take fewer of its frames, or convert it"
            raise UserError(f"The video {self.path} is damaged: {reason}.") from error
        h, w = self._noted or frames.shape[1:3]
        if 0 <= frames.shape[1] - h <= 1 and 0 <= frames.shape[2] - w <= 1:
            frames = frames[:, :h, :w]
        return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float().div_(255)

    def chunks(
        self, count: int, *, overlap: int = 0, stop: int | None = None
    ) -> Iterator[Float[Tensor, "f 3 h w"]]:
        """All frames (up to `stop`) in runs of `count`, each beginning with the last `overlap` of the one before.

        No more than one run is in memory.
        """
        if not 0 <= overlap < count:
            raise ValueError(f"Chunks need 0 <= overlap < count, got {overlap} and {count}.")
        stop = len(self) if stop is None else min(stop, len(self))
        kept = None
        for begin in range(0, max(stop - overlap, 1), count - overlap):
            new = self.read(range(begin if kept is None else begin + overlap, min(begin + count, stop)))
            frames = new if kept is None else torch.cat([kept, new])
            kept = frames[len(frames) - overlap :].clone() if overlap else None
            yield frames


def shown_at(times: np.ndarray, duration: float, fps: float | int) -> np.ndarray:
    """Numbers of the frames that are shown at 0, 1/fps, 2/fps, ..., of frames shown from `times` on (seconds)."""
    if not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"A video needs fps > 0, got {fps}.")
    moments = np.arange(max(1, round(duration * fps))) / fps
    return (np.searchsorted(times, moments + 1e-6, side="right") - 1).clip(0, len(times) - 1)


def read_video(
    path: str | Path,
    *,
    start: int = 0,
    count: int | None = None,
    every: int = 1,
    fps: float | int | None = None,
    backend: str = "auto",
) -> Video:
    """Frames `start`, `start + every`, ... of a video: `count` of them, or all there are.

    With `fps`, those that are shown at that rate instead, from frame `start` on; frames of a variable rate are then
    at their true times. Otherwise the fps of what is read is the file's mean, divided by `every`.
    """
    if start < 0 or every < 1 or (count is not None and count < 1):
        raise ValueError(
            f"read_video needs start >= 0, every >= 1, count >= 1; got {start}, {every}, {count}."
        )
    if fps is not None and every != 1:
        raise ValueError("read_video takes every=N or fps=N, not both.")
    file = VideoFile(path, backend=backend)
    indices = np.arange(start, len(file), every)
    if fps is not None and len(indices):
        indices = start + shown_at(
            file.times[start:] - file.times[start], file.duration - file.times[start], fps
        )
    elif file.variable:
        log.warning("Frames of %s are shown for different times; fps=%.3g evens them.", path, file.fps)
    if len(indices) < (count or 1):
        rate = f"every={every}" if fps is None else f"fps={fps}"
        raise UserError(f"{path} has {len(file)} frames: too few for start={start}, {rate}, count={count}.")
    return Video(file.read(indices[:count]), float(fps) if fps is not None else file.fps / every)


def write_video(
    path: str | Path, frames: Float[Tensor, "f 3 h w"], fps: float | int = 24, *, lossless: bool = False
) -> None:
    """Write .mp4 (H.264, plays in every browser), .gif, .webp, or a folder of PNG pictures (no suffix).

    Each is there whole or not at all. GIF times are hundredths of a second: its frames are shown for the nearest
    times that keep the total right, and browsers slow down above 50 fps.

    Args:
        lossless: WebP without loss. (A folder always is; MP4 and GIF cannot be.)

    Raises:
        ValueError: Another suffix, no frames, fps <= 0, values that are not finite, or a lossless MP4 or GIF.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ("", ".mp4", ".gif", ".webp"):
        raise ValueError(
            f"Videos are written as .mp4, .gif or .webp, or as a folder of pictures, not {path.name!r}."
        )
    if lossless and suffix in (".mp4", ".gif"):
        raise ValueError(
            f"{suffix} is not written without loss: write a .webp or a folder of pictures (no suffix)."
        )
    if len(frames) == 0:
        raise ValueError("A video needs at least one frame.")
    if not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"A video needs fps > 0, got {fps}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "":
        write_pictures(path, frames, float(fps))
        return
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part{suffix}")
    try:
        if suffix == ".mp4":
            write_mp4(partial, frames, float(fps))
        else:
            write_animation(partial, frames, float(fps), lossless=lossless)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
