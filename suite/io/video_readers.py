"""What decodes videos: decord, PyAV, ffmpeg through imageio, Pillow for animations, and folders of pictures.

Each reader has `times` (seconds at which frames are shown, from 0), `fps` (their mean rate) and `read(indices)`,
uint8 `n h w 3`. Only decord jumps; the others decode from where they are, so reading forwards is cheap, and no reader
holds more than what was asked for.
"""

import logging
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

log = logging.getLogger(__name__)
ANIMATIONS = (".gif", ".webp", ".png", ".apng")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FOLDER_FPS = 8.0  # of a folder of pictures that do not say theirs
SIZE_NOTE = "suite frames {}x{}"  # height and width, in the comment of an MP4 that was padded to even ones


class Reader(Protocol):
    """Frames of one file."""

    times: np.ndarray
    fps: float

    def read(self, indices: list[int]) -> np.ndarray:
        """The frames of these numbers, uint8 `n h w 3`."""


class Decord:
    """The fastest; it jumps by keyframes."""

    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)  # what is wrong is raised
        with _silence():
            self.reader = decord.VideoReader(str(path), num_threads=1)
            channels = self.reader[0].shape[2]
        if channels != 3:  # widths such as 16, 48, 72: dmlc/decord issue 336
            raise ValueError(f"decord 0.6 takes the padding of its rows for colour ({channels} channels)")
        shown = np.array([self.reader.get_frame_timestamp(k) for k in range(len(self.reader))], dtype=float)
        self.times, self.fps = shown[:, 0] - shown[0, 0], _rate(shown[:, 0], self.reader.get_avg_fps())

    def read(self, indices: list[int]) -> np.ndarray:
        return self.reader.get_batch(indices).asnumpy()


@contextmanager
def _silence() -> Iterator[None]:
    """No stderr, of C++ either: decord prints what it also raises."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Sequential:
    """Frames that come one after the other; to go back is to begin again.

    Args:
        begin: Gives the frames, from the first.
        times: Of each frame.
        fps: Of a single frame, or None: the mean rate.
    """

    def __init__(
        self, begin: Callable[[], Iterator[np.ndarray]], times: np.ndarray, fps: float | None = None
    ):
        self.begin, self.times, self.fps = begin, times, _rate(times, fps)
        self.frames, self.at = begin(), 0

    def read(self, indices: list[int]) -> np.ndarray:
        """Frames of these numbers, in any order, `f h w 3` bytes.

        Raises:
            ValueError: There are fewer frames.
        """
        if indices and min(indices) < self.at:
            self.frames, self.at = self.begin(), 0
        wanted, found = set(indices), {}
        while len(found) < len(wanted):
            frame = next(self.frames, None)
            if frame is None:
                raise ValueError(f"it ends after {self.at} frames")
            if self.at in wanted:
                found[self.at] = frame
            self.at += 1
        return np.stack([found[k] for k in indices])


def pyav(path: Path) -> Sequential:
    """Through PyAV: where decord has no wheel, or misreads."""
    import av

    def decoded() -> Iterator[Any]:
        with av.open(str(path)) as container:
            try:
                yield from container.decode(video=0)
            except av.error.InvalidDataError:  # cut short: what there was has been given
                return

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures")
        said, rate = container.streams.video[0].frames, container.streams.video[0].average_rate
        stamps = [packet.pts for packet in _packets(container)]
        base = float(container.streams.video[0].time_base or 1)
    times = np.array(sorted(stamp for stamp in stamps if stamp is not None), dtype=float) * base
    if len(times) != len(stamps) or len(times) < said or len(times) == 0:
        times = np.array([frame.time or 0.0 for frame in decoded()], dtype=float)
        if len(times) < said:
            log.warning("%s is cut short: %d of its %d frames can be read.", path, len(times), said)
    times = times[: max(len(times), 1)] - (times[0] if len(times) else 0)
    return Sequential(lambda: (f.to_ndarray(format="rgb24") for f in decoded()), times, float(rate or 0))


def _packets(container: Any) -> Iterator[Any]:
    import av

    try:
        yield from (packet for packet in container.demux(video=0) if packet.size)
    except av.error.InvalidDataError:
        return


def ffmpeg(path: Path) -> Sequential:
    """Through imageio: it decodes everything, and makes variable rates constant."""
    import imageio.v2 as imageio
    import imageio_ffmpeg

    def begin() -> Iterator[np.ndarray]:
        with imageio.get_reader(path, format="FFMPEG") as reader:
            try:
                yield from (np.asarray(frame) for frame in reader)
            except OSError:  # the pipe ends inside a frame: cut short
                return

    with imageio.get_reader(path, format="FFMPEG") as reader:
        fps = float(reader.get_meta_data()["fps"])
    count = imageio_ffmpeg.count_frames_and_secs(str(path))[0]
    return Sequential(begin, np.arange(count) / (fps or 1.0), fps)


def animation(path: Path) -> Sequential:
    """GIF, WebP and PNG, moving or not, through Pillow."""
    from PIL import Image, ImageSequence

    def begin() -> Iterator[np.ndarray]:
        with Image.open(path) as file:
            for frame in ImageSequence.Iterator(file):
                yield np.asarray(frame.convert("RGB"))

    with Image.open(path) as file:
        shown = [frame.info.get("duration", 0) or 100 for frame in _loaded(ImageSequence.Iterator(file))]
    times = np.cumsum([0.0, *shown]) / 1000  # browsers make 100 ms of 0
    return Sequential(begin, times[:-1], len(shown) / times[-1])


def _loaded(frames: Iterator[Any]) -> Iterator[Any]:
    for frame in frames:
        frame.load()  # durations of WebP are known once the frame is decoded
        yield frame


def pictures(folder: Path) -> Sequential:
    """A folder of pictures of one size, in the order of their names (10 after 9), and the rate that they carry."""
    from PIL import Image

    paths = sorted((p for p in folder.iterdir() if p.suffix.lower() in PICTURES), key=_natural)
    if not paths:
        raise ValueError(f"it holds no pictures ({', '.join(PICTURES)})")
    with Image.open(paths[0]) as first:
        size, fps = first.size, float(first.info.get("fps", FOLDER_FPS))

    def begin() -> Iterator[np.ndarray]:
        for path in paths:
            with Image.open(path) as file:
                if file.size != size:
                    raise ValueError(
                        f"{path.name} has {file.size[0]} x {file.size[1]} pixels, not {size[0]} x {size[1]}"
                    )
                yield np.asarray(file.convert("RGB"))

    return Sequential(begin, np.arange(len(paths)) / fps, fps)


def _natural(path: Path) -> list[Any]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", path.name)
        if part
    ]


def _rate(times: np.ndarray, said: float | None) -> float:
    """The mean rate of frames shown at `times`, or what the file says of a single one."""
    if len(times) > 1 and times[-1] > times[0]:
        return float((len(times) - 1) / (times[-1] - times[0]))
    return float(said) if said and np.isfinite(said) and said > 0 else 1.0


def noted_size(path: Path) -> tuple[int, int] | None:
    """The (height, width) that the writer noted in an MP4 which it had to pad."""
    with open(path, "rb") as file:
        while header := file.read(8):
            if len(header) < 8:
                return None
            length, kind = struct.unpack(">I4s", header)
            length, used = (struct.unpack(">Q", file.read(8))[0], 16) if length == 1 else (length, 8)
            if kind == b"moov":
                found = re.search(rb"suite frames (\d+)x(\d+)", file.read(length - used))
                return (int(found[1]), int(found[2])) if found else None
            if length < used:  # 0 is "up to the end"
                return None
            file.seek(length - used, 1)
    return None


def only_sound(path: Path) -> bool:
    """Whether ffmpeg finds sound in a file, and no pictures."""
    import subprocess

    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace").stderr
    return "Audio:" in said and "Video:" not in said


READERS: dict[str, Callable[[Path], Reader]] = {
    "decord": Decord, "pyav": pyav, "imageio": ffmpeg, "pillow": animation, "pictures": pictures,
}  # fmt: skip
