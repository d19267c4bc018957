"""`suite train_motion`: motion modules for a frozen image prior (AnimateDiff, arXiv:2307.04725, Sec. 4.2).

captioned clips -> noise -> image prior (+ domain adapter) with motion modules between its layers -> loss

With `still` above 0 they also learn to go on from a given first frame (PIA, arXiv:2312.13964).
"""

from pathlib import Path

import torch
from torch import nn

from priors.base import Condition, Prior
from priors.train.v_loss import Noised
from suite.errors import UserError
from suite.run import Run
from suite.types import Frames
from video.motion.building import fresh, taught_places, taught_words
from video.motion.files import load, load_lora, save
from video.motion.sources import ClipData
from video.motion.training import Recipe, TrainOnClips
from video.motion_prior import MotionPrior, first_frame_alone, unet_of, with_still


class TrainMotion(TrainOnClips):
    """Trains motion modules; the run directory's `motion.safetensors` is a motion module for every other task.

    Args:
        prior: The image prior, which stays as it is.
        clips: What is learnt from.
        recipe: How to step.
        init: Motion modules to go on from; empty starts from ones that do nothing.
        domain_adapter: A domain adapter that stands on the image layers while training, at strength 1.
        positions: The most frames of a clip, ever.
        mid: Whether the middle block has a motion module too, as in v2.
        heads: Of attention over frames.
        still: How often the first frame is given; 0 makes modules that have no input for one.
        words: Whether modules read the caption, in place of their second attention over frames: for image priors
            whose words for motions do little to single frames, as the pocket prior's. Those of `init` learn it anew.
        places: Whether modules are told where in the picture they stand, and what the caption says of that place and
            moment; those of `init` learn it anew.
        shared_noise: The part of the noise's variance that all frames of a clip have in common (PYoCo's mixed noise);
            null is that of `init`, or none.
        sampled_noise: The same of the noise that sampling begins with; null is shared_noise, or that of
            `init` where neither is given. More makes calmer clips. Each clip of training has a part between the two.
        half: Write the modules in half precision.
        steps: Number of steps.
        seed: Of weights, clips and noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        clips: ClipData,
        recipe: Recipe,
        init: str = "",
        domain_adapter: str = "",
        positions: int = 32,
        mid: bool = False,
        heads: int = 8,
        still: float = 0.0,
        words: bool = False,
        places: bool = False,
        shared_noise: float | None = None,
        sampled_noise: float | None = None,
        half: bool = False,
        steps: int = 20_000,
        seed: int = 0,
    ) -> None:
        if not 0 <= still <= 1:
            raise UserError(f"still is how often the first frame is given, from 0 to 1, got {still:g}.")
        if init:
            motion = load(init)
            motion.check_fit(unet_of(prior))
            if words and motion.words_width is None:
                taught_words(motion, unet_of(prior).config.cross_attention_dim, seed=seed)
            if places and not motion.knows_places:
                taught_places(motion, unet_of(prior).config.cross_attention_dim, seed=seed)
        else:
            motion = fresh(
                unet_of(prior),
                positions=positions,
                mid=mid,
                heads=heads,
                still=still > 0,
                words=words,
                places=places,
                seed=seed,
            )
        if shared_noise is not None or sampled_noise is not None:
            motion = motion.sharing(
                motion.shared_noise if shared_noise is None else shared_noise, sampled_noise
            )
        if still > 0 and not motion.sees_stills:
            raise UserError(f"{motion.name} has no input for a still: type still=0, or begin without init=.")
        self.still, self.half = float(still), half
        motion.check_frames(clips.frames)
        self.adapters = [load_lora(domain_adapter)] if domain_adapter else []
        super().__init__(prior=prior, learning=motion, clips=clips, recipe=recipe, steps=steps, seed=seed)
        if self.is_small:
            for part in (self.training.learning, self.training.average):
                part.use_plain_attention()

    def video(self, learnt: nn.Module | None) -> MotionPrior:
        return MotionPrior(
            self.prior, learnt, loras=[(adapter, 1.0) for adapter in self.adapters],
            checkpointing=self.recipe.checkpointing,
        )  # fmt: skip

    def baseline(self) -> MotionPrior:
        return self.video(None)

    @torch.no_grad()
    def prepare(
        self, clips: Frames, texts: list[str], generator: torch.Generator, numbers: list[int] | None = None
    ) -> tuple[Noised, Condition]:
        noise, condition = super().prepare(clips, texts, generator, numbers)
        if not self.still:
            return noise, condition
        given = torch.rand(len(clips), generator=generator).to(noise.x_0.device) < self.still
        first = noise.x_0[:, : self.prior.latent_channels] * given[:, None, None, None]
        affinity = (
            first_frame_alone(noise.x_0.shape[1] // self.prior.latent_channels).to(first) * given[:, None]
        )
        return noise, with_still(condition, first, affinity)

    def shown_condition(self, video: MotionPrior, texts: list[str], clips: Frames) -> Condition:
        condition = video.embed(texts)
        if not self.still:
            return condition
        affinity = first_frame_alone(clips.shape[1]).expand(len(clips), -1)
        return with_still(condition, self.prior.encode(clips[:, 0]), affinity)

    def finish(self, run: Run) -> dict[str, float]:
        """motion.safetensors in the original's names; motion/ for diffusers, which cannot tell of words or noise."""
        path = run.path("motion.safetensors")
        save(self.training.average, path, half=self.half)
        if not self.training.average.is_own:
            save(self.training.average, run.path("motion", "config.json").parent, half=self.half)
        return self.measured() | {"motion_megabytes": Path(path).stat().st_size / 1e6}
