"""What the three trainings of AnimateDiff share: clips, the step, the moving average, pictures on the way.

    one t a clip, a noise for each frame;  twins have the same;  the network is the image prior with what learns in it
    loss    the image prior's own: E |eps_theta - eps|^2, or that of priors/train/v_loss.py where it predicts v

A step of `accumulate` parts draws everything at once and adds up the parts' gradients: the same step, less memory.
"""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import Condition
from priors.stable_diffusion import StableDiffusionPrior
from priors.train.base import CODEC_BATCH, TrainDenoiser
from priors.train.v_loss import Noised, follow, noised, weighted_v_loss
from suite.diffusion.noise import Prediction
from suite.diffusion.samplers import dpmpp_2m
from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.optimizers import MuonWithAdamW, matrices_and_others
from suite.rng import generator
from suite.run import Run
from suite.toyworld.pool import Pool
from suite.types import Frames
from video.motion.modules import mixed_noise
from video.motion.sources import ClipData
from video.motion_prior import ClipLatents, MotionPrior, unet_of

SMALL = 32  # latents of fewer pixels a side: written-out attention beats the fused kernel's backward on a CPU
SHOWN, SHOWN_STEPS = 2, 12  # clips in a preview, and how many steps they are sampled in


@dataclass(frozen=True)
class Recipe:
    """How a training steps, whatever learns.

    Args:
        batch: Clips in a step.
        accumulate: Parts in which a step is computed: less memory for more time, the same gradient.
        lr: Learning rate after the first 500 steps and before the last fifth, in which it falls to nothing.
        optimizer: "muon" learns in fewer steps, "adamw" is AnimateDiff's.
        drop: How often the caption is empty, for classifier-free guidance.
        noisy: t = u^noisy for uniform u; below 1 there is more noise.
        gamma: Cap of the signal-to-noise ratio in the loss of a prior that predicts v.
        ema: Decay of the moving average that is saved.
        half: Whether matrix products run in bfloat16; weights and sums stay as they are.
        checkpointing: Compute layers again in the backward pass instead of keeping what they need for it.
        reuse: Steps for which new clips are rendered or read once.
        pool: Batches of clips that are kept to draw from.
    """

    batch: int = 8
    accumulate: int = 1
    lr: float = 1e-4
    optimizer: str = "adamw"
    drop: float = 0.1
    noisy: float = 1.0
    gamma: float = 5.0
    ema: float = 0.999
    half: bool = True
    checkpointing: bool = False
    reuse: int = 4
    pool: int = 64

    def __post_init__(self) -> None:
        if min(self.batch, self.accumulate, self.reuse, self.pool) < 1:
            raise UserError(
                "batch, accumulate, reuse and pool must be positive, got "
                f"{self.batch}, {self.accumulate}, {self.reuse} and {self.pool}."
            )
        if self.batch % self.accumulate:
            raise UserError(f"accumulate={self.accumulate} does not divide batch={self.batch}.")
        if self.optimizer not in ("muon", "adamw"):
            raise UserError(f"optimizer={self.optimizer!r} is not one of: muon, adamw.")
        if not (self.lr > 0 and 0 <= self.drop <= 1 and 0 <= self.ema < 1 and self.noisy > 0):
            raise UserError(
                "A recipe needs lr > 0, 0 <= drop <= 1, 0 <= ema < 1 and noisy > 0, got "
                f"lr={self.lr}, drop={self.drop}, ema={self.ema}, noisy={self.noisy}."
            )

    def optimizer_of(self, learning: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of what learns; its rate is set at every step."""
        matrices, others = matrices_and_others(learning)
        if self.optimizer == "muon":
            return MuonWithAdamW(matrices, others, lr=0.0)
        groups = [{"params": part} for part in (matrices, others) if part]
        return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), weight_decay=0.01, fused=True)

    def accumulated(self, part_loss: Callable[[slice], Float[Tensor, ""]], count: int) -> Float[Tensor, ""]:
        """The mean loss of `count` samples, part by part.

        Gradients of all parts but the last are there already when it returns; the last part's graph is kept.
        """
        losses, n = [], count // self.accumulate
        for first in range(0, count, n):
            loss = part_loss(slice(first, first + n)) / self.accumulate
            if first + n < count:
                loss.backward()
            losses.append(loss)
        return losses[-1] + sum(loss.detach() for loss in losses[:-1])


class Learner(nn.Module):
    """What learns, and its exponential moving average."""

    evolving = True  # the average needs no gradient, but belongs to the state

    def __init__(self, learning: nn.Module, decay: float | int) -> None:
        super().__init__()
        self.learning, self.decay = learning.float().train().requires_grad_(True), float(decay)
        self.average = copy.deepcopy(self.learning).requires_grad_(False).eval()

    def update_average(self, step: int) -> None:
        """Move the average towards what was learnt; quickly at first."""
        follow(self.average, self.learning, step, decay=self.decay)


class TrainOnClips(TrainDenoiser):
    """A stage of training. Subclasses say how what learns joins the image prior, and what is saved.

    Args:
        prior: The image prior, frozen.
        learning: What learns.
        clips: Where clips come from.
        recipe: How to step.
        steps: Number of steps.
        seed: Of clips and noise.
        enlarged: Clips are rendered or read so many times larger than the prior's pictures.
    """

    def __init__(
        self, *, prior: StableDiffusionPrior, learning: nn.Module, clips: ClipData, recipe: Recipe, steps: int,
        seed: int, enlarged: float = 1.0,
    ) -> None:  # fmt: skip
        if steps < 1:
            raise UserError(f"steps must be positive, got {steps}.")
        self.prior, self.recipe, self.lr, self.steps, self.seed = prior, recipe, recipe.lr, steps, seed
        self.is_small = unet_of(prior).config.sample_size <= SMALL
        if self.is_small:
            prior.unet.set_attn_processor(AttnProcessor())
        self.training = Learner(learning, recipe.ema)
        if recipe.batch % (clips.alike * recipe.accumulate):
            raise UserError(f"Twins come in pairs: batch={recipe.batch} has no whole pairs in each part.")
        self.frames, self.alike, self.numbers = clips.frames, clips.alike, clips.numbers
        self.clips = clips.source(prior, math.ceil(prior.resolution * enlarged))
        self.pool = Pool(
            self.clips,
            batch=recipe.batch,
            reuse=recipe.reuse,
            size=recipe.pool,
            seed=seed,
            together=self.alike,
        )

    @abstractmethod
    def video(self, learnt: nn.Module) -> MotionPrior:
        """The image prior with `learnt` in it."""

    @abstractmethod
    def baseline(self) -> MotionPrior:
        """The same without it: what it starts from."""

    def seen(self, clips: Frames) -> Float[Tensor, "b f 3 s s"]:
        """What of the clips is learnt from."""
        return clips

    def make_optimizer(self) -> torch.optim.Optimizer:
        """As the recipe says."""
        return self.recipe.optimizer_of(self.training.learning)

    # ------------------------------------------------------------------------------------------------- a step

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        clips, labels = self.pool.draw(step, generator)
        drop = torch.rand(len(clips), generator=generator) < self.recipe.drop
        texts = ["" if empty else label.caption for label, empty in zip(labels, drop.tolist())]
        return self.step_loss(clips, texts, generator)

    def step_loss(self, clips: Frames, texts: list[str], generator: torch.Generator) -> Tensor:
        """The mean loss of clips; see `Recipe.accumulated`."""
        numbers = self.numbers(generator)
        noise, condition = self.prepare(clips, texts, generator, numbers)
        video = self.video(self.training.learning)
        return self.recipe.accumulated(
            lambda part: self.part_loss(video, noise_part(noise, part), condition[part], numbers), len(clips)
        )

    @torch.no_grad()
    def prepare(
        self, clips: Frames, texts: list[str], generator: torch.Generator, numbers: list[int] | None = None
    ) -> tuple[Noised, Condition]:
        """Clips in noise, their frames' channels side by side (`b (f c) y x`), and their conditions.

        Args:
            numbers: Of the frames that are looked at; None for all.
        """
        clips = self.seen(clips.to(self.prior.device))
        clips = clips if numbers is None else clips[:, numbers]
        x_0 = torch.stack([self.prior.encode(clip) for clip in clips])
        eps = clip_noise(x_0, self.shared_part(len(x_0), generator), generator, alike=self.alike)
        noise = noised(
            x_0.flatten(1, 2), self.baseline().schedule, generator, noisy=self.recipe.noisy, eps=eps,
            alike=self.alike,
        )  # fmt: skip
        return noise, Condition(self.prior.embed(texts).tensors)

    def shared_part(self, count: int, generator: torch.Generator) -> float | Tensor:
        """What the frames of each clip have in common of their noise: one number, or `count / alike 1 1 1 1`.

        It is drawn between the modules' `shared_noise` and `sampled_noise`, so that they have seen what sampling begins
        with.
        """
        video = self.video(self.training.learning)
        least, most = video.shared_noise, video.sampled_noise
        if least == most:
            return least
        return least + (most - least) * torch.rand(count // self.alike, 1, 1, 1, 1, generator=generator)

    def part_loss(
        self, video: MotionPrior, noise: Noised, condition: Condition, numbers: list[int] | None = None
    ) -> Float[Tensor, ""]:
        """The loss of some clips; `numbers` of their frames, where they are not all."""
        x_t = noise.x_t.unflatten(1, (-1, video.latent_channels))
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.recipe.half):
            prediction = video.predict(x_t, noise.t, condition, grad=True, numbers=numbers)
        return clip_loss(prediction, noise, gamma=self.recipe.gamma)

    # ---------------------------------------------------------------------------------------- what is shown, kept

    def preview(self, step: int, run: Run) -> None:
        """Clips of the average, a row of frames each."""
        batch = self.clips.batch(SHOWN, self.seed, CODEC_BATCH)
        texts, video = [label.caption for label in batch.labels], self.video(self.training.average)
        with torch.no_grad():
            noise = shown_noise(video, SHOWN, self.frames, self.seed)
            clips = torch.from_numpy(batch.frames).movedim(-1, 2).to(self.prior.device)
            condition = self.shown_condition(video, texts, self.seen(clips))
            made = dpmpp_2m(video, noise, condition, steps=SHOWN_STEPS, scale=4.0)
            strips = video.decode(made).movedim(1, 3).flatten(3, 4)  # b 3 h (f w)
        path = run.path("images", f"samples_{step:06d}.png")
        write_image(path, contact_sheet(strips.cpu(), columns=1, labels=texts))

    def shown_condition(self, video: MotionPrior, texts: list[str], clips: Frames) -> Condition:
        """What the clips of a preview are asked by; `clips` are the true ones."""
        return video.embed(texts)

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """The loss on clips that were never trained on, with what was learnt and without."""
        batch = self.clips.batch(self.recipe.batch, self.seed, CODEC_BATCH + 1)
        clips = torch.from_numpy(batch.frames).movedim(-1, 2).contiguous()
        texts, draws = [label.caption for label in batch.labels], generator(self.seed, 0, "measure")
        noise, condition = self.prepare(clips, texts, draws)
        models = {"loss_with": self.video(self.training.average), "loss_without": self.baseline()}
        return {name: float(self.part_loss(video, noise, condition)) for name, video in models.items()}


def shown_noise(video: Any, count: int, frames: int, seed: int, **size: int) -> ClipLatents:
    """The noise that a preview's clips begin as; `size` is that of `starting_noise`."""
    own = video.starting_noise(count, frames, generator(seed, 0, "preview"), **size)
    common = video.starting_noise(count, 1, generator(seed, 0, "common"), **size)
    return mixed_noise(own, common, video.sampled_noise)


def clip_noise(
    x_0: Float[Tensor, "b f c y x"], shared: float | Tensor, generator: torch.Generator, *, alike: int = 1
) -> Float[Tensor, "b f*c y x"] | None:
    """The noise of clips, frames' channels side by side; None where each number's is its own.

    Args:
        shared: The part of its variance that the frames of a clip have in common; as a tensor, `b / alike 1 1 1 1`.
        alike: So many clips after each other have the same.
    """
    if not isinstance(shared, Tensor) and shared == 0 and alike == 1:
        return None
    own = torch.randn(x_0[::alike].shape, generator=generator)
    common = torch.randn(x_0[::alike, :1].shape, generator=generator)
    return mixed_noise(own, common, shared).flatten(1, 2).repeat_interleave(alike, 0)


def clip_loss(prediction: Prediction, noise: Noised, *, gamma: float | int) -> Float[Tensor, ""]:
    """The prior's own loss: of eps as it is, or the weighted one of v."""
    if prediction.kind == "epsilon":
        return F.mse_loss(prediction.raw.flatten(1, 2), noise.eps)
    return weighted_v_loss(prediction.v.flatten(1, 2), noise, gamma=gamma)


def noise_part(noise: Noised, part: slice) -> Noised:
    """Some of the clips."""
    return Noised(**{field.name: getattr(noise, field.name)[part] for field in fields(noise)})
