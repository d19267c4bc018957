"""Video files to and from float32 RGB frames in [0, 1]: decord (or imageio's ffmpeg) in, imageio out.

Sizes: MP4 (H.264, 4:2:0) needs even sides, so an odd one gets its last row or column once more; GIF and WebP
keep every size. Nothing is ever scaled.
"""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.errors import UserError
from suite.io.images import to_bytes
from suite.io.paths import existing_file

log = logging.getLogger(__name__)
ANIMATIONS = (".gif", ".webp", ".png", ".apng")


@dataclass(frozen=True)
class Video:
    """Frames, and how many of them are shown in a second."""

    frames: Float[Tensor, "f 3 h w"]
    fps: float


class VideoFile:
    """A video to read frames from, in any order.

    Args:
        path: MP4, MOV, WebM, MKV, AVI, ... or an animated GIF, WebP or PNG.
        backend: "decord"; "imageio", which decodes the whole file at once; or "auto": decord if it is there
            and can read this file, else imageio. Animations are read whole, by Pillow.

    Raises:
        UserError: No such file (MissingFile), or nothing in it can be decoded.
    """

    def __init__(self, path: str | Path, *, backend: str = "auto") -> None:
        if backend not in ("auto", "decord", "imageio"):
            raise ValueError(f"VideoFile has backend 'auto', 'decord' or 'imageio', not {backend!r}.")
        self.path = existing_file(path, "video")
        backends = ("decord", "imageio") if backend == "auto" else (backend,)
        if self.path.suffix.lower() in ANIMATIONS:
            backends = ("pillow",)
        for self.backend in backends:
            try:
                self._reader = READERS[self.backend](self.path)
                break
            except Exception as error:  # each decoder has its own classes
                failure = error
                log.info("%s cannot read %s: %s", self.backend, self.path, _first_line(error))
        else:
            message = f"{self.path} is not a video that {self.backend} can read: {_first_line(failure)}"
            raise UserError(message) from failure
        if len(self) == 0:
            raise UserError(f"The video {self.path} has no frames.")

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def fps(self) -> float:
        """Frames a second (the mean, if the rate varies)."""
        return self._reader.fps

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of a frame."""
        return tuple(self.read([0]).shape[-2:])

    def read(self, indices: Sequence[int] | None = None) -> Float[Tensor, "f 3 h w"]:
        """The frames with these numbers, in this order; None reads all."""
        indices = range(len(self)) if indices is None else [int(k) for k in indices]
        outside = [k for k in indices if not 0 <= k < len(self)]
        if outside:
            raise UserError(f"{self.path} has frames 0 to {len(self) - 1}, not {outside[0]}.")
        try:
            frames = self._reader.read(list(indices))
        except Exception as error:
            raise UserError(f"The video {self.path} is damaged: {_first_line(error)}") from error
        return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255)


def read_video(
    path: str | Path, *, start: int = 0, count: int | None = None, every: int = 1, backend: str = "auto"
) -> Video:
    """Frames `start`, `start + every`, ... of a video: `count` of them, or all there are.

    Its fps is that of the frames read: the file's divided by `every`.
    """
    if start < 0 or every < 1 or (count is not None and count < 1):
        raise ValueError(
            f"read_video needs start >= 0, every >= 1, count >= 1; got {start}, {every}, {count}."
        )
    file = VideoFile(path, backend=backend)
    indices = range(start, len(file), every)
    if len(indices) < (count or 1):
        raise UserError(
            f"{path} has {len(file)} frames: too few for start={start}, every={every}, count={count}."
        )
    return Video(file.read(indices[:count]), file.fps / every)


def write_video(path: str | Path, frames: Float[Tensor, "f 3 h w"], fps: float | int = 24) -> None:
    """Write .mp4 (H.264, plays in every browser), .gif or .webp, by the suffix; whole or not at all.

    MP4 is visually lossless (crf 18) and repeats the last row or column of odd sizes. GIF has 256 colours and
    times in hundredths of a second: its frames are shown for the nearest times that keep the total right, and
    browsers slow down above 50 fps.

    Raises:
        ValueError: Another suffix, no frames, fps <= 0, or values that are not finite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".mp4", ".gif", ".webp"):
        raise ValueError(f"Videos are written as .mp4, .gif or .webp, not {path.name!r}.")
    if len(frames) == 0:
        raise ValueError("A video needs at least one frame.")
    if not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"A video needs fps > 0, got {fps}.")
    data = to_bytes(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part{suffix}")
    try:
        (_write_mp4 if suffix == ".mp4" else _write_animation)(partial, data, float(fps))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_mp4(path: Path, frames: np.ndarray, fps: float) -> None:
    import imageio.v2 as imageio

    _, h, w, _ = frames.shape
    frames = np.pad(frames, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    options = ["-crf", "18", "-preset", "medium", "-movflags", "+faststart"]
    with imageio.get_writer(
        path,
        format="FFMPEG",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=1,  # 16 would rescale the frames
        quality=None,
        output_params=options,
        ffmpeg_log_level="error",
    ) as writer:
        for frame in frames:
            writer.append_data(frame)


def _write_animation(path: Path, frames: np.ndarray, fps: float) -> None:
    from PIL import Image

    unit = 10 if path.suffix.lower() == ".gif" else 1  # milliseconds that the format can tell apart
    ends = [unit * round(1000 * (k + 1) / (fps * unit)) for k in range(len(frames))]
    durations = [max(unit, end - begin) for begin, end in zip([0, *ends], ends)]
    first, *rest = (Image.fromarray(frame) for frame in frames)
    options = {"quality": 90} if unit == 1 else {"disposal": 1}
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, **options)


class _Decord:
    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.ERROR)
        self.reader = decord.VideoReader(str(path), num_threads=1)
        channels = self.reader[0].shape[2]
        if channels != 3:  # widths such as 16, 48, 72: dmlc/decord issue 336
            raise ValueError(f"decord 0.6 takes the padding of its rows for colour ({channels} channels)")
        self.fps = float(self.reader.get_avg_fps())

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, indices: list[int]) -> np.ndarray:
        return self.reader.get_batch(indices).asnumpy()


class _Whole:
    """Every frame decoded at once, through imageio: what ffmpeg or Pillow reads."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() in ANIMATIONS:
            self.frames, self.fps = _read_animation(path)
            return
        import imageio.v2 as imageio

        with imageio.get_reader(path, format="FFMPEG") as reader:
            self.fps = float(reader.get_meta_data()["fps"])
            self.frames = [np.asarray(frame) for frame in reader]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, indices: list[int]) -> np.ndarray:
        return np.stack([self.frames[k] for k in indices])


def _read_animation(path: Path) -> tuple[list[np.ndarray], float]:
    from PIL import Image, ImageSequence

    frames, milliseconds = [], 0.0
    with Image.open(path) as file:
        for frame in ImageSequence.Iterator(file):
            frames.append(np.asarray(frame.convert("RGB")))
            milliseconds += frame.info.get("duration", 0) or 100  # what browsers do with 0
    return frames, 1000 * len(frames) / milliseconds


READERS = {"decord": _Decord, "imageio": _Whole, "pillow": _Whole}


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
