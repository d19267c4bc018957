"""The shipped motion modules: what they add to the pocket prior on true clips."""

import pytest
import torch

from priors.stable_diffusion import load
from suite.rng import generator
from suite.toyworld.clips import Clips
from video.motion.modules import mixed_noise
from video.motion_prior import MotionPrior
from video.shipped import FILE, LORAS, lora_of, loras_in, pocket_motion

MOTIONS = ("spinning", "sliding left", "rising", "growing")


@pytest.fixture(scope="module")
def errors() -> list[torch.Tensor]:
    """Squared errors of x_0 at t = 0.7, of each of eight clips that training did not show: without modules and with."""
    clips = Clips(frames=16, motions=MOTIONS, shares=(1.0, 0.0, 0.0)).batch(8, 1234, 0)
    frames = torch.from_numpy(clips.frames).movedim(-1, 2)
    image, found = load("pocket"), []
    for modules in (None, pocket_motion()):
        prior = MotionPrior(image, modules)
        x_0 = prior.encode(frames)
        t = torch.full((8,), 0.7)
        alpha, sigma = (v.view(-1, 1, 1, 1, 1) for v in prior.schedule.alpha_sigma(t))
        own = torch.randn(x_0.shape, generator=generator(0, 0, "own"))
        common = torch.randn(x_0[:, :1].shape, generator=generator(0, 0, "common"))
        x_t = alpha * x_0 + sigma * mixed_noise(own, common, pocket_motion().shared_noise)
        made = prior.predict(x_t, t, prior.embed([label.caption for label in clips.labels])).x_0
        found.append((made - x_0).square().mean((1, 2, 3, 4)))
    return found


def test_they_are_small_and_see_stills_and_words():
    modules = pocket_motion()
    assert FILE.stat().st_size + sum(file.stat().st_size for file in loras_in(LORAS).values()) <= 20e6
    assert modules.sees_stills and modules.positions == 32
    assert modules.words_width == load("pocket").unet.config.cross_attention_dim


def test_frames_tell_each_other_what_they_show(errors):
    """Sixteen noisy frames of one thing say more of each than one alone, though half of their noise is the same."""
    alone, together = errors
    assert (together / alone).median() < 0.92


@pytest.mark.parametrize("motion", sorted(loras_in(LORAS)))
def test_a_motion_lora_knows_its_motion(motion):
    """Of noisy clips of it that training did not show, most are seen more truly with the LoRA than without."""
    clips = Clips(frames=8, motions=(motion,), split="held_out", from_rest=True).batch(8, 4321, 0)
    image, modules, found = load("pocket"), pocket_motion(), []
    for loras in ([], [(lora_of(motion), 1.0)]):
        prior = MotionPrior(image, modules, loras=loras)
        x_0 = prior.encode(torch.from_numpy(clips.frames).movedim(-1, 2))
        t, common = torch.full((8,), 0.5), torch.randn(x_0[:, :1].shape, generator=generator(0, 0, "common"))
        own = torch.randn(x_0.shape, generator=generator(0, 0, "own"))
        alpha, sigma = (v.view(-1, 1, 1, 1, 1) for v in prior.schedule.alpha_sigma(t))
        x_t = alpha * x_0 + sigma * mixed_noise(own, common, prior.sampled_noise)
        made = prior.predict(x_t, t, prior.embed([label.caption for label in clips.labels])).x_0
        found.append((made - x_0).square().mean((1, 2, 3, 4)))
    without, told = found
    assert (told / without).median() < 0.99
