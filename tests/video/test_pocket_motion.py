"""The shipped motion modules: what they add to the pocket prior on true clips."""

import pytest
import torch

from priors.stable_diffusion import load
from suite.rng import generator
from suite.toyworld.clips import Clips
from video.motion.modules import mixed_noise
from video.motion_prior import MotionPrior
from video.shipped import FILE, pocket_motion

OPPOSITE = {"sliding left": "sliding right", "rising": "falling", "growing": "shrinking"}


@pytest.fixture(scope="module")
def errors() -> list[float]:
    """Squared errors of x_0 at t = 0.8 on eight clips that training did not show: without modules, with them, and with
    them but the opposite motion in the caption."""
    clips = Clips(frames=16, motions=tuple(OPPOSITE), shares=(1.0, 0.0, 0.0)).batch(8, 1234, 0)
    frames = torch.from_numpy(clips.frames).movedim(-1, 2)
    right = [label.caption for label in clips.labels]
    wrong = [label.caption.replace(label.motion, OPPOSITE[label.motion]) for label in clips.labels]
    image, found = load("pocket"), []
    for modules, captions in ((None, right), (pocket_motion(), right), (pocket_motion(), wrong)):
        prior = MotionPrior(image, modules)
        x_0 = prior.encode(frames)
        t = torch.full((8,), 0.8)
        alpha, sigma = (v.view(-1, 1, 1, 1, 1) for v in prior.schedule.alpha_sigma(t))
        own = torch.randn(x_0.shape, generator=generator(0, 0, "own"))
        common = torch.randn(x_0[:, :1].shape, generator=generator(0, 0, "common"))
        x_t = alpha * x_0 + sigma * mixed_noise(own, common, pocket_motion().shared_noise)
        made = prior.predict(x_t, t, prior.embed(captions)).x_0
        found.append(float((made - x_0).square().mean()))
    return found


def test_they_are_small_and_see_stills_and_words():
    modules = pocket_motion()
    assert FILE.stat().st_size <= 20e6
    assert modules.sees_stills and modules.positions == 32
    assert modules.words_width == load("pocket").unet.config.cross_attention_dim


def test_frames_tell_each_other_what_they_show(errors):
    """Sixteen noisy frames of one thing say more of each than one alone: a quarter of the error goes at least."""
    alone, together, _ = errors
    assert together < 0.75 * alone


def test_the_words_say_which_way_things_go(errors):
    """Told the opposite motion, they are wrong by a tenth more at least."""
    _, right, wrong = errors
    assert wrong > 1.1 * right
