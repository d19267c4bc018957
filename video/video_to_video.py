"""`suite video_to_video`: a video made anew after a prompt, as near to the source as wanted (SDEdit, arXiv:2108.01073).

video -> latents, some frames at a time -> noise of level `strength` -> image prior with motion modules -> frames

Latents of all frames are in memory, frames of long videos are not; the network sees one window at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from suite.errors import UserError
from suite.io.videos import VideoFile, shown_at, write_video
from suite.metrics.images import psnr
from suite.run import Run
from suite.types import Images
from video.clip_task import ClipTask
from video.framing import fitted, natural_size
from video.products import clear, frame_store, report, write_clip
from video.sampling import AT_ONCE


@dataclass(kw_only=True)
class VideoToVideo(ClipTask):
    """Makes a video anew. Options beside those of `ClipTask`:

    Args:
        video: The source: a file, an animation or a folder of pictures.
        prompt: What the result shows; or frame numbers with texts.
        strength: How much noise the frames begin with, above 0 up to 1; less stays nearer to the source.
        fit: How the source's frames become those of the result where height and width have another shape: crop, pad
            or stretch.
        side_by_side: Also write videos/side_by_side.mp4, the source at the left.
        frames: At most so many frames, from the first on; 0 takes all.
        fps: Frames a second; null keeps the source's, others take the frames that are shown at that rate.
        height, width: Of a frame, in pixels; null keeps the source's shape, its shorter side as long as the prior's.
    """

    video: str
    strength: float = 0.6
    fit: str = "crop"
    side_by_side: bool = True
    frames: int = 0
    fps: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.generation.check(
            max(self.frames, 2), 1.0 if self.fps is None else self.fps, self.height, self.width
        )
        self.grid = self.generation.grid(self.strength)
        self.source = VideoFile(self.video)
        self.indices = chosen(self.source, self.frames, self.fps)
        self.fps = self.source.fps if self.fps is None else self.fps
        self.prepare(len(self.indices))
        fitted(torch.zeros(1, 3, 1, 1), 1, 1, self.fit)  # a wrong fit is said before anything is made

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame, in pixels."""
        if self.height and self.width:
            return self.height, self.width
        height, width = natural_size(*self.source.size, self.prior.resolution, self.prior.factor)
        return self.height or height, self.width or width

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        x_0 = torch.cat([make.encode(frames) for frames in self.source_frames()], dim=1)
        noise = make.noise(len(self.indices), *self.size)
        condition = video.embed(self.travel.prompts())
        latents = make.sample(make.start(self.grid, noise, x_0), condition, run, grid=self.grid)
        frames = make.decode(latents, frame_store(run, len(self.indices), *self.size))
        write_clip(run, frames, self.fps)
        beside = self.beside(frames, run)
        report(run, frames, self.fps, self.travel, {"psnr_to_source": beside})
        clear(run)

    def source_frames(self) -> Iterator[Images]:
        """The source's frames at the result's size, some at a time."""
        for first in range(0, len(self.indices), AT_ONCE):
            frames = self.source.read(self.indices[first : first + AT_ONCE])
            yield fitted(frames, *self.size, self.fit)

    def beside(self, frames: Images, run: Run) -> float:
        """Source and result side by side, if that is wanted; the mean PSNR between them."""
        h, w = self.size
        both = frame_store(run, len(frames), h, 2 * w) if self.side_by_side else None
        found, first = [], 0
        for source in self.source_frames():
            part = slice(first, first + len(source))
            found.append(psnr(frames[part].float(), source).clamp(max=100))
            if both is not None:
                both[part] = torch.cat([source, frames[part].float()], dim=-1).to(both.dtype)
            first += len(source)
        if both is not None:
            write_video(run.path("videos", "side_by_side.mp4"), both, self.fps)
        return float(torch.cat(found).mean())


def chosen(source: VideoFile, frames: int, fps: float | None) -> list[int]:
    """The numbers of the source's frames that are made anew.

    Raises:
        UserError: A negative number is asked for, or there is only one frame.
    """
    if frames < 0:
        raise UserError(f"frames must be positive, or 0 for all, got {frames}.")
    if fps is None and not source.variable:
        indices = list(range(len(source)))
    else:
        indices = shown_at(source.times, source.duration, source.fps if fps is None else fps).tolist()
    indices = indices[: frames or None]
    if len(indices) < 2:
        raise UserError(
            f"{source.path} gives one frame: a still becomes a clip with suite image_to_video image=FILE."
        )
    return indices
