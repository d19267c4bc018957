"""What every task that makes a clip of a prompt is told."""

import logging
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass

from priors.base import Prior
from suite.task import Task
from video.generation import Generation
from video.motion.modules import Motion
from video.prompts import Travel
from video.shipped import FILE, LORAS, loras_in
from video.windows import Windows

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ClipTask(Task, ABC):
    """A task that makes a clip. A concrete one adds options of its own, calls `prepare` once, and has `run`.

    Args:
        prior: The image prior.
        prompt: What to show, as "a blue car, sliding left"; or frame numbers with texts, between which it travels, as
            {0: "a blue car", 12: "a red car"}.
        motion: Motion modules of the prior; null makes every frame by itself.
        loras: Files of MotionLoRAs and domain adapters with their strengths, as {zoom_in.safetensors: 0.8}; a motion's
            name is its shipped MotionLoRA, as {running: 1.0}.
        negative: What to keep away from.
        frames: Length of the clip.
        fps: Frames a second.
        height, width: Of a frame, in pixels; null is the prior's own size.
        steps: Of sampling.
        scale: Classifier-free guidance scale; Stable Diffusion wants 7.5.
        sampler: dpmpp_2m, ddim, euler or heun.
        windows: How context windows lie on clips of more frames than one has; null lays none.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike.
        shared_noise: The part of the noise's variance that all frames begin with in common, from 0 to below 1; null is
            what suits the motion modules. More makes calmer clips.
        seed: Of the noise.

    Attributes:
        generation: How the clip is sampled.
        travel: The words of each frame, once `prepare` has been called.
    """

    prior: Prior
    prompt: Mapping[int, str] | str
    motion: Motion | None = None
    loras: Mapping[str, float | int] | None = None
    negative: str = ""
    frames: int = 16
    fps: float = 8.0
    height: int | None = None
    width: int | None = None
    steps: int = 25
    scale: float = 4.0
    sampler: str = "dpmpp_2m"
    windows: Windows | None = None
    frame_seeds: bool = True
    shared_noise: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.generation = self.generation_with(self.loras or {})

    def generation_with(self, loras: Mapping[str, float | int]) -> Generation:
        """How clips are sampled with these LoRAs."""
        return Generation(
            self.prior, self.motion, loras=loras, windows=self.windows, sampler=self.sampler, steps=self.steps,
            scale=self.scale, frame_seeds=self.frame_seeds, shared_noise=self.shared_noise, seed=self.seed,
        )  # fmt: skip

    def prepare(self, frames: int) -> None:
        """Checks what is asked, for a clip of so many frames, and spreads the words over them.

        Raises:
            UserError: Such a clip cannot be made, or the prior has never seen a word.
        """
        self.generation.check(frames, self.fps, self.height, self.width)
        self.travel = Travel.of(self.prompt, frames, self.negative)
        self.generation.check_words(self.travel)
        if self.motion is not None and self.motion.name == str(FILE) and not self.loras:
            said = {part.strip() for text in self.travel.texts for part in text.split(",")}
            for motion in (name for name in loras_in(LORAS) if name in said):
                log.info(
                    "There is a MotionLoRA for this: loras='{%s: 1.0}' shows %s more surely.", motion, motion
                )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame, in pixels."""
        return self.height or self.prior.resolution, self.width or self.prior.resolution
