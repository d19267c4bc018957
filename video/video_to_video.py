"""`suite video_to_video`: a video made anew after a prompt, as near to the source as wanted (SDEdit, arXiv:2108.01073).

video -> latents, some frames at a time -> noise of level `strength` -> image prior with motion modules -> frames

Latents of all frames are in memory, frames of long videos are not; the network sees one window at a time.
"""

from collections.abc import Iterator, Mapping

import torch

from priors.base import Prior
from suite.errors import UserError
from suite.io.videos import VideoFile, shown_at, write_video
from suite.metrics.images import psnr
from suite.run import Run
from suite.task import Task
from suite.types import Images
from video.framing import fitted, natural_size
from video.generation import AT_ONCE, Generation
from video.motion.modules import Motion
from video.products import clear, frame_store, report, write_clip
from video.prompts import Travel
from video.windows import Windows


class VideoToVideo(Task):
    """Makes a video anew.

    Args:
        prior: The image prior.
        video: The source: a file, an animation or a folder of pictures.
        prompt: What the result shows; or frame numbers with texts.
        strength: How much noise the frames begin with, above 0 up to 1; less stays nearer to the source.
        fit: How the source's frames become those of the result where height and width have another shape: crop, pad
            or stretch.
        side_by_side: Also write videos/side_by_side.mp4, the source at the left.
        motion: Motion modules of the prior; null makes every frame by itself.
        loras: Files of MotionLoRAs and domain adapters with their strengths, as {zoom_in.safetensors: 0.8}.
        negative: What to keep away from.
        frames: At most so many frames, from the first on; 0 takes all.
        fps: Frames a second; null keeps the source's, others take the frames that are shown at that rate.
        height, width: Of a frame, in pixels; null keeps the source's shape, its shorter side as long as the prior's.
        steps: Of sampling.
        scale: Classifier-free guidance scale; Stable Diffusion wants 7.5.
        sampler: dpmpp_2m, ddim, euler or heun.
        windows: How context windows lie on videos of more frames than one has; null lays none.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike.
        seed: Of the noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        video: str,
        prompt: Mapping[int, str] | str,
        strength: float = 0.6,
        fit: str = "crop",
        side_by_side: bool = True,
        motion: Motion | None = None,
        loras: Mapping[str, float] | None = None,
        negative: str = "",
        frames: int = 0,
        fps: float | None = None,
        height: int | None = None,
        width: int | None = None,
        steps: int = 25,
        scale: float = 4.0,
        sampler: str = "dpmpp_2m",
        windows: Windows | None = None,
        frame_seeds: bool = True,
        seed: int = 0,
    ) -> None:
        self.generation = Generation(
            prior, motion, loras=loras, windows=windows, sampler=sampler, steps=steps, scale=scale,
            frame_seeds=frame_seeds, seed=seed,
        )  # fmt: skip
        self.generation.check(max(frames, 2), 1.0 if fps is None else fps, height, width)
        self.grid, self.fit, self.side_by_side = self.generation.grid(strength), fit, side_by_side
        self.source = VideoFile(video)
        self.fps = self.source.fps if fps is None else fps
        self.indices = chosen(self.source, frames, fps)
        self.travel = Travel.of(prompt, len(self.indices), negative)
        self.generation.check(len(self.indices), self.fps)
        self.generation.check_words(self.travel)
        natural = natural_size(*self.source.size, prior.resolution, prior.factor)
        self.size = (height or natural[0], width or natural[1])
        fitted(torch.zeros(1, 3, 1, 1), 1, 1, fit)  # a wrong fit is said before anything is made

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        x_0 = torch.cat([make.encode(frames) for frames in self.frames()], dim=1)
        noise = make.noise(len(self.indices), *self.size)
        condition = video.embed(self.travel.prompts())
        latents = make.sample(make.start(self.grid, noise, x_0), condition, run, grid=self.grid)
        frames = make.decode(latents, frame_store(run, len(self.indices), *self.size))
        write_clip(run, frames, self.fps)
        beside = self.beside(frames, run)
        report(run, frames, self.fps, self.travel, {"psnr_to_source": beside})
        clear(run)

    def frames(self) -> Iterator[Images]:
        """The source's frames at the result's size, some at a time."""
        for first in range(0, len(self.indices), AT_ONCE):
            frames = self.source.read(self.indices[first : first + AT_ONCE])
            yield fitted(frames, *self.size, self.fit)

    def beside(self, frames: Images, run: Run) -> float:
        """Source and result side by side, if that is wanted; the mean PSNR between them."""
        h, w = self.size
        both = frame_store(run, len(frames), h, 2 * w) if self.side_by_side else None
        found, first = [], 0
        for source in self.frames():
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
