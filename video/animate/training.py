"""The step in which an animator learns, and what is shown and measured of it.

    one t a clip, a noise for each frame;   loss    the prior's own: of eps, or that of priors/train/v_loss.py

The still is left out of some clips as guidance does: zero tokens, no bank. A step of `accumulate` parts draws
everything at once and looks at each part's stills in that part: no bank outlives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from priors.train.v_loss import Noised, noised
from suite.diffusion.samplers import dpmpp_2m
from suite.geometry.skeletons import Poses
from suite.metrics.images import psnr
from suite.rng import generator
from suite.types import Frames, Images
from video.animate.animate_prior import AnimatePrior
from video.motion.training import Recipe, clip_loss, clip_noise, noise_part, shown_noise
from video.pose_pictures import pose_pictures

SHOWN_FRAMES, SHOWN_STEPS, SHOWN_SCALE = 4, 12, 2.0


@dataclass(frozen=True)
class Samples:
    """Some samples of training.

    Args:
        stills: One a clip.
        truth: The clips.
        poses: Pictures of their poses.
    """

    stills: Images
    truth: Frames
    poses: Frames

    def __getitem__(self, part: slice) -> "Samples":
        return Samples(self.stills[part], self.truth[part], self.poses[part])

    def __len__(self) -> int:
        return len(self.stills)


def samples_of(
    clips: Frames, poses: Sequence[Poses], draws: torch.Generator | None = None, missing: float | int = 0.0
) -> Samples:
    """Samples of pictures, the still first, and their poses.

    Args:
        draws: Draws the joints that are left out.
        missing: How often each joint of a frame is.
    """
    drawn = []
    for one in poses:
        if draws is not None and missing > 0:
            there = torch.rand(one.confidence.shape, generator=draws) >= missing
            one = replace(one, confidence=one.confidence * there)
        drawn.append(pose_pictures(one, *clips.shape[-2:])[1:])
    return Samples(clips[:, 0], clips[:, 1:], torch.stack(drawn))


@dataclass(frozen=True)
class Step:
    """What a step was drawn: samples, their noise (frames' channels side by side), which stills are kept."""

    samples: Samples
    noise: Noised
    kept: Bool[Tensor, " b"]


@torch.no_grad()
def prepared(prior: AnimatePrior, samples: Samples, recipe: Recipe, draws: torch.Generator) -> Step:
    """All draws of a step."""
    x_0 = prior.encode(samples.truth.to(prior.device), resize=False)
    eps = clip_noise(x_0, prior.shared_noise, draws)
    noise = noised(x_0.flatten(1, 2), prior.schedule, draws, noisy=recipe.noisy, eps=eps)
    return Step(samples, noise, torch.rand(len(samples), generator=draws) >= recipe.drop)


def part_loss(prior: AnimatePrior, step: Step, part: slice, recipe: Recipe) -> Float[Tensor, ""]:
    """The loss of some of a step's clips."""
    samples, noise = step.samples[part], noise_part(step.noise, part)
    x_t = noise.x_t.unflatten(1, (-1, prior.latent_channels))
    with torch.autocast(x_t.device.type, torch.bfloat16, enabled=recipe.half):
        condition = prior.embed(samples.stills, samples.poses, kept=step.kept[part], grad=True)
        prediction = prior.predict(x_t, noise.t, replace(condition, negative=None), grad=True)
    return clip_loss(prediction, noise, gamma=recipe.gamma)


def step_loss(prior: AnimatePrior, step: Step, recipe: Recipe) -> Float[Tensor, ""]:
    """The mean loss of a step; see `Recipe.accumulated`."""
    return recipe.accumulated(lambda part: part_loss(prior, step, part, recipe), len(step.samples))


@torch.no_grad()
def animated(prior: AnimatePrior, samples: Samples, seed: int) -> Frames:
    """The stills in the clips' poses, in few steps."""
    clips, frames, _, height, width = samples.poses.shape
    noise = shown_noise(prior, clips, frames, seed, height=height, width=width)
    condition = prior.embed(samples.stills, samples.poses)
    return prior.decode(dpmpp_2m(prior, noise, condition, steps=SHOWN_STEPS, scale=SHOWN_SCALE)).cpu()


def strips(samples: Samples, made: Frames) -> tuple[Float[Tensor, "n 3 h w"], list[str]]:
    """Rows of four for a contact sheet: still, pose, result, truth; up to four frames of each clip."""
    frames = made.shape[1]
    shown = torch.linspace(0, frames - 1, min(SHOWN_FRAMES, frames)).round().long().tolist()
    rows = [
        torch.stack([samples.stills[k], samples.poses[k, f], made[k, f], samples.truth[k, f]])
        for k in range(len(samples))
        for f in shown
    ]
    return torch.cat(rows), ["reference", "pose", "result", "truth"] * len(rows)


@torch.no_grad()
def measured(prior: AnimatePrior, samples: Samples, recipe: Recipe, seed: int) -> dict[str, float]:
    """On given samples: the loss with their stills and without, the PSNR (dB) of what is made, and of the still."""
    draws = generator(seed, 0, "measure")
    step = prepared(prior, samples, replace(recipe, drop=0.0), draws)
    whole = slice(0, len(samples))
    found = {
        "loss": part_loss(prior, step, whole, recipe),
        "loss_without_still": part_loss(prior, replace(step, kept=~step.kept), whole, recipe),
    }
    repeated = samples.stills[:, None].expand_as(samples.truth)
    for name, frames in (("psnr", animated(prior, samples, seed)), ("psnr_of_still", repeated)):
        found[name] = psnr(frames.flatten(0, 1), samples.truth.flatten(0, 1)).mean()
    return {name: float(x) for name, x in found.items()}
