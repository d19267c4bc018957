"""Tiny animators whose every part says something, and what they are asked about."""

import torch
from torch import Tensor

from suite.rng import generator
from video.animate.animator import Animator, fresh
from video.motion.building import fresh as fresh_motion


def animator(prior, *, motion: bool = False, seed: int = 0) -> Animator:
    """A fresh animator whose ReferenceNet and image encoder differ from the prior, and whose guider speaks."""
    made = fresh(prior, layers=1, seed=seed).requires_grad_(False)
    draws = generator(seed, 0, "animator of tests")
    for network in (made.reference, made.denoiser):
        for p in network.parameters():
            p += 0.05 * torch.randn(p.shape, generator=draws)
    made.guider.conv_out.weight += 0.3 * torch.randn(made.guider.conv_out.weight.shape, generator=draws)
    if motion:
        modules = fresh_motion(made.denoiser, positions=8)
        for module in modules.transformers().values():
            module.proj_out.weight.data = torch.eye(module.in_channels) / 5
        made = made.with_motion(modules)
    return made


def asked(clips: int = 2, frames: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Stills, pictures of poses, noisy latents and times of 64-pixel clips."""
    draws = generator(seed, 0, "asked")
    return {
        "stills": torch.rand(clips, 3, 64, 64, generator=draws),
        "poses": torch.rand(clips, frames, 3, 64, 64, generator=draws),
        "x_t": torch.randn(clips, frames, 4, 8, 8, generator=draws),
        "t": torch.linspace(0.3, 0.7, clips),
    }
