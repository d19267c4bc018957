"""A prior of clips that are asked for in words: an image prior with motion modules, and how it is sampled."""

import logging
from collections.abc import Mapping
from typing import Any

from priors.base import Prior
from suite.diffusion.samplers import Grid
from video.motion.modules import Motion
from video.motion_prior import MotionPrior
from video.prompts import Travel
from video.sampling import Sampling
from video.shipped import lora_of
from video.windows import Windows

log = logging.getLogger(__name__)


class Generation(Sampling):
    """Sampling from an image prior with motion modules.

    Args:
        prior: The image prior.
        motion: Motion modules for it; None makes every frame by itself.
        loras: File, or motion with a shipped LoRA -> strength: domain adapters and MotionLoRAs, mixed.
        windows, sampler, steps, scale, frame_seeds, shared_noise, seed: See `Sampling`.

    Raises:
        UserError: An option is not possible, or modules or LoRAs belong to another prior.
    """

    def __init__(
        self,
        prior: Prior,
        motion: Motion | None = None,
        *,
        loras: Mapping[str, float | int] | None = None,
        windows: Windows | None = None,
        sampler: str = "dpmpp_2m",
        steps: int = 25,
        scale: float = 4.0,
        frame_seeds: bool = True,
        shared_noise: float | None = None,
        seed: int = 0,
    ) -> None:
        mixed = [(lora_of(name), weight) for name, weight in (loras or {}).items()]
        super().__init__(
            MotionPrior(prior, motion, loras=mixed), windows=windows, sampler=sampler, steps=steps, scale=scale,
            frame_seeds=frame_seeds, shared_noise=shared_noise, seed=seed,
        )  # fmt: skip

    def check_words(self, travel: Travel) -> None:
        """Raises:
        UserError: A word that the prior has never seen.
        """
        words = getattr(self.video.image, "known_words", None)
        for text in travel.texts if words is not None else ():
            words.refuse_unknown(text)

    def through_windows(self, frames: int, grid: Grid) -> Any:
        """As `Sampling` has it; says so where frames do not know of each other."""
        if self.video.motion is None:
            log.info(
                "No motion modules: every frame is a picture by itself. Give some with motion=file motion.path=FILE."
            )
        return super().through_windows(frames, grid)
