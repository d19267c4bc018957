"""Video files of each format out of frames `f 3 h w`, RGB in [0, 1]; `suite.io.videos.write_video` chooses."""

import os
import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from suite.io.images import to_bytes
from suite.io.video_readers import SIZE_NOTE


def write_mp4(path: Path, frames: Float[Tensor, "f 3 h w"], fps: float) -> None:
    """H.264, 4:2:0, crf 18: visually lossless. Odd sides are padded by repetition and noted in the file."""
    import imageio.v2 as imageio

    h, w = frames.shape[-2:]
    options = ["-crf", "18", "-preset", "medium", "-movflags", "+faststart"]
    if h % 2 or w % 2:
        options += ["-metadata", f"comment={SIZE_NOTE.format(h, w)}"]
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
            writer.append_data(np.pad(to_bytes(frame), ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))


def write_animation(path: Path, frames: Float[Tensor, "f 3 h w"], fps: float, *, lossless: bool) -> None:
    """GIF or WebP, for ever in a loop; times that the format cannot hold are evened out over the frames."""
    from PIL import Image

    unit = 10 if path.suffix.lower() == ".gif" else 1  # milliseconds that the format can tell apart
    ends = [unit * round(1000 * (k + 1) / (fps * unit)) for k in range(len(frames))]
    durations = [max(unit, end - begin) for begin, end in zip([0, *ends], ends)]
    first, *rest = (Image.fromarray(frame) for frame in to_bytes(frames))
    options = {"quality": 90, "lossless": lossless} if unit == 1 else {"disposal": 1}
    options |= {"exact": True, "minimize_size": False} if lossless else {}
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, **options)


def write_pictures(folder: Path, frames: Float[Tensor, "f 3 h w"], fps: float) -> None:
    """00000.png, 00001.png, ..., each with the rate in its text; numbered pictures that were there are replaced."""
    from PIL import Image, PngImagePlugin

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: a folder of pictures cannot be written there.")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        partial.mkdir()
        for k, frame in enumerate(frames):
            note = PngImagePlugin.PngInfo()
            note.add_text("fps", repr(fps))
            Image.fromarray(to_bytes(frame)).save(partial / f"{k:05d}.png", pnginfo=note)
        folder.mkdir(exist_ok=True)
        for old in folder.glob("[0-9]" * 5 + ".png"):
            old.unlink()
        for path in sorted(partial.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
