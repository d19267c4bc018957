"""`suite text_to_video`: a clip from words (AnimateDiff, Guo et al. 2023, arXiv:2307.04725).

prompt -> noise, one a frame -> image prior with motion modules, under a sampler -> frames -> videos, measures
"""

from collections.abc import Mapping

from priors.base import Prior
from suite.run import Run
from suite.task import Task
from video.generation import Generation
from video.motion.modules import Motion
from video.products import clear, frame_store, report, write_clip
from video.prompts import Travel
from video.windows import Windows


class TextToVideo(Task):
    """Samples a clip from a prompt.

    Args:
        prior: The image prior.
        prompt: What to show, as "a blue car, sliding left"; or frame numbers with texts, between which it travels, as
            {0: "a blue car", 12: "a red car"}.
        motion: Motion modules of the prior; null makes every frame by itself.
        loras: Files of MotionLoRAs and domain adapters with their strengths, as {zoom_in.safetensors: 0.8}.
        negative: What to keep away from.
        frames: Length of the clip.
        fps: Frames a second.
        height, width: Of a frame, in pixels; null is the prior's own size.
        steps: Of sampling.
        scale: Classifier-free guidance scale; Stable Diffusion wants 7.5.
        sampler: dpmpp_2m, ddim, euler or heun.
        windows: How context windows lie on clips of more frames than one has; null lays none.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike.
        seed: Of the noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        prompt: Mapping[int, str] | str,
        motion: Motion | None = None,
        loras: Mapping[str, float] | None = None,
        negative: str = "",
        frames: int = 16,
        fps: float = 8.0,
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
        self.generation.check(frames, fps, height, width)
        self.travel = Travel.of(prompt, frames, negative)
        self.generation.check_words(self.travel)
        self.frames, self.fps = frames, fps
        self.height, self.width = height or prior.resolution, width or prior.resolution

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        noise, grid = make.noise(self.frames, self.height, self.width), make.grid()
        condition = video.embed(self.travel.prompts())
        latents = make.sample(make.start(grid, noise), condition, run, grid=grid)
        frames = make.decode(latents, frame_store(run, self.frames, self.height, self.width))
        write_clip(run, frames, self.fps)
        report(run, frames, self.fps, self.travel, {})
        clear(run)
