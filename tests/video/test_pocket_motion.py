"""The shipped motion modules: what they add to the pocket prior on true clips."""

from dataclasses import replace

import pytest
import torch

from priors.stable_diffusion import load
from suite.errors import UserError
from suite.rng import generator
from suite.toyworld.clips import Clips
from video.evaluate_motion import EvaluateMotion
from video.motion.lora import fresh_lora
from video.motion.modules import mixed_noise
from video.motion.sources import known_motions
from video.motion_prior import MotionPrior
from video.shipped import FILE, LORAS, lora_of, loras_in, pocket_motion
from video.windows import Windows

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
def test_a_motion_lora_is_of_a_motion_that_can_be_asked_for(motion):
    """Its name is that of one, and it changes every projection of the modules."""
    image, modules = load("pocket"), pocket_motion()
    assert motion in known_motions(image)
    lora = lora_of(motion)
    lora.check_fit(modules.adapter)
    assert set(lora.targets) == set(fresh_lora(modules.adapter, rank=1).targets)
    assert all(float(up.abs().max()) > 0 for _, up in lora.pairs().values())


@pytest.mark.parametrize("motion", ["wobbling", "raising both arms"])
def test_with_its_lora_a_clip_shows_its_motion(motion):
    """As the independent clip judge says, of few steps already; without it the cactus bounces."""
    caption = {
        "wobbling": "a green cactus",
        "raising both arms": "a person in a green shirt and blue trousers",
    }
    asked = {"prior": load("pocket"), "motion": pocket_motion(), "windows": Windows(), "steps": 8}
    said = []
    for loras in ({motion: 1.0}, {}):
        task = EvaluateMotion(**asked, loras=loras)
        true, label = task.true_clip(0)
        made = task.sampled(0, replace(label, motion=motion, caption=f"{caption[motion]}, {motion}"), true)
        said += task.movements.named(made[None], among=task.motions_known)
    assert said[0] == motion and (motion != "wobbling" or said[1] != motion)


def test_a_folder_may_have_a_motions_name(tmp_path, monkeypatch):
    """The shipped LoRA is meant all the same; a file of that name is taken for what it is."""
    (tmp_path / "running").mkdir()
    monkeypatch.chdir(tmp_path)
    assert lora_of("running").name == str(loras_in(LORAS)["running"])
    (tmp_path / "waving").write_bytes(b"nothing")
    with pytest.raises(UserError, match="waving"):
        lora_of("waving")
