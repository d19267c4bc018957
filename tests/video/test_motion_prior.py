"""A prior of clips: samplers take it, conditions are per clip or per frame, noise is the modules' own."""

import pytest
import torch

from priors.analytic import GaussianPrior
from suite.diffusion.samplers import ddim, dpmpp_2m, euler, heun
from suite.errors import UserError
from suite.rng import generator
from video.motion.building import fresh
from video.motion.modules import Motion
from video.motion_prior import MotionPrior


@pytest.fixture(scope="module")
def video(tiny_prior):
    image = tiny_prior("sd21_v")
    return MotionPrior(image, fresh(image.unet))


@pytest.mark.parametrize("sampler", [ddim, euler, heun, dpmpp_2m])
def test_samplers_take_clips(sampler, video):
    """With fresh modules a sampled clip is the pictures that the image prior samples from its frames' noise."""
    noise = video.starting_noise(2, 3, generator(0, 0, "noise"))
    condition = video.embed(["a red car", "a blue robot"])
    clips = sampler(video, noise, condition, steps=2, scale=3.0)
    each = condition.map(lambda x: x.repeat_interleave(3, 0))
    pictures = sampler(video.image, noise.flatten(0, 1), each, steps=2, scale=3.0)
    torch.testing.assert_close(clips.flatten(0, 1), pictures, atol=1e-4, rtol=1e-4)
    assert video.decode(clips).shape == (2, 3, 3, 64, 64)


def test_frames_to_latents_and_back(video):
    """Each frame as the image prior codes it."""
    frames = torch.rand(2, 3, 3, 64, 64, generator=generator(0, 0, "frames"))
    latents = video.encode(frames)
    torch.testing.assert_close(latents[1], video.image.encode(frames[1]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(video.decode(latents)[0], video.image.decode(latents[0]), atol=1e-5, rtol=1e-4)


def test_a_prompt_may_travel(video):
    """One condition a frame, clip by clip: frame k is what its own prompt says."""
    x, t = video.starting_noise(1, 2, generator(0, 0, "noise")), torch.tensor([0.7])
    both = video.predict(x, t, video.embed(["a red car", "a blue robot"])).raw
    for k, text in enumerate(("a red car", "a blue robot")):
        alone = video.predict(x, t, video.embed([text])).raw
        torch.testing.assert_close(both[:, k], alone[:, k], atol=1e-5, rtol=1e-4)
    before = video.evaluations
    with pytest.raises(ValueError, match="got 1 clips of 2 frames, 1 times, 3 conditions"):
        video.predict(x, t, video.embed(["a", "b", "c"]))
    assert video.evaluations == before
    with pytest.raises(ValueError, match="Frames must be multiples of 8 pixels, got 60 x 64"):
        video.starting_noise(1, 2, generator(0, 0, "noise"), height=60)


def test_published_modules_have_their_own_noise(video):
    """alpha-bar half way: 0.161 with AnimateDiff's linear betas, 0.276 with Stable Diffusion's, 0.059 for XL's beta."""
    image, half = video.image, torch.tensor([0.5001])
    found = {}
    for noise in ("prior", "animatediff", "animatediff_xl"):
        motion = Motion(video.motion.adapter, noise=noise)
        found[noise] = float(MotionPrior(image, motion).schedule.alpha_sigma(half)[0]) ** 2
    assert found == pytest.approx(
        {"prior": 0.2763, "animatediff": 0.1608, "animatediff_xl": 0.0586}, abs=2e-3
    )


def test_a_prior_without_a_network_has_no_place_for_modules():
    """The exact priors are told what is possible."""
    with pytest.raises(
        UserError, match="GaussianPrior has no U-Net to put motion modules into: choose prior=pocket"
    ):
        MotionPrior(GaussianPrior(mean=0.5, std=0.2), None)
