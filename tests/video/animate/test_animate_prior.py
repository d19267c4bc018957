"""The prior of animated stills: what it is without its parts, what each part does, and where gradients go."""

import math

import pytest
import torch

from priors.base import Condition
from suite.diffusion.classifier_free import guided
from suite.diffusion.samplers import ddim
from suite.errors import UserError
from suite.rng import generator
from tests.video.animate.networks import animator, asked
from video.animate.animate_prior import POSES, AnimatePrior
from video.animate.animator import Animator, fresh
from video.animate.pose_guider import PoseGuider, widths_for
from video.animate.reference_net import look, seeing, self_attentions
from video.motion.building import fresh as fresh_motion
from video.windows import Windowed, Windows


def close(a, b, atol: float = 2e-5) -> bool:
    return bool((a - b).abs().max() < atol)


@pytest.mark.parametrize("family", ["sd15", "sd21_v"])
def test_without_still_and_fresh_it_is_the_image_prior(family, tiny_prior):
    """No bank, a fresh guider, fresh motion: each frame gets the image prior's answer to zero tokens."""
    image, q = tiny_prior(family), asked()
    parts = fresh(image, layers=1).requires_grad_(False)
    prior = AnimatePrior(image, parts.with_motion(fresh_motion(parts.denoiser, positions=8)))
    negative = prior.embed(q["stills"], q["poses"]).negative
    got = prior.predict(q["x_t"], q["t"], negative)
    frames, times = q["x_t"].flatten(0, 1), q["t"].repeat_interleave(3)
    tokens = negative.tensors["tokens"].repeat_interleave(3, 0)
    assert float(tokens.abs().max()) == 0
    truth = image.predict(frames, times, Condition({"tokens": tokens}))
    assert close(got.raw.flatten(0, 1), truth.raw, 1e-6) and got.kind == image.kind
    assert not close(prior.predict(q["x_t"], q["t"], prior.embed(q["stills"], q["poses"])).raw, got.raw, 1e-3)


def test_tokens_side_by_side_are_the_picture_side_by_side(tiny_prior):
    """[own; still] on the token axis = a picture twice as wide, attended to by itself, of which half is kept."""
    unet = animator(tiny_prior("sd15")).denoiser
    name, layer = next(iter(self_attentions(unet).items()))
    draws, (h, w, c) = generator(0, 0, "tokens"), (3, 2, layer.to_q.in_features)
    own, still = torch.randn(2, h * w, c, generator=draws), torch.randn(1, h * w, c, generator=draws)
    tokens = {key: still if key == name else torch.zeros(1, 1, 1) for key in self_attentions(unet)}
    with seeing(unet, tokens, 2):
        got = layer(own)
    slow = torch.empty_like(own)
    for frame in range(2):
        wide = torch.cat([own[frame].view(h, w, c), still[0].view(h, w, c)], dim=1).reshape(-1, c).double()
        q, k, v = (wide @ m.weight.double().T for m in (layer.to_q, layer.to_k, layer.to_v))
        heads = []
        for one in range(layer.heads):
            part = slice(one * c // layer.heads, (one + 1) * c // layer.heads)
            weights = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(c // layer.heads), dim=-1)
            heads.append(weights @ v[:, part])
        out = layer.to_out[0](torch.cat(heads, -1).float())
        slow[frame] = out.view(h, 2 * w, c)[:, :w].reshape(-1, c)
    assert close(got, slow)
    assert torch.equal(layer(own), layer(own)) and not close(layer(own), got, 1e-3)  # the hooks are gone


def test_a_still_that_is_left_out_weighs_nothing(tiny_prior):
    """kept=False is the negative, clip by clip; kept=True is the condition."""
    prior, q = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"), motion=True)), asked()
    whole = prior.embed(q["stills"], q["poses"])
    mixed = prior.embed(q["stills"], q["poses"], kept=torch.tensor([True, False]))
    with_it, without, got = (
        prior.predict(q["x_t"], q["t"], condition).raw for condition in (whole, whole.negative, mixed)
    )
    assert close(got[0], with_it[0]) and close(got[1], without[1])
    assert not close(with_it[1], without[1], 1e-3)


def test_guidance_goes_from_no_still_to_the_still_in_the_same_poses(tiny_prior):
    """eps_u + s (eps_c - eps_u), with poses in both; and poses matter to both."""
    prior, q = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"))), asked()
    condition = prior.embed(q["stills"], q["poses"])
    one, other = (prior.predict(q["x_t"], q["t"], c).raw for c in (condition, condition.negative))
    got = guided(prior, q["x_t"], q["t"], condition, 3.0).raw
    assert close(got, other + 3 * (one - other), 1e-4)
    elsewhere = prior.embed(q["stills"], q["poses"].flip(1)).negative
    assert not close(prior.predict(q["x_t"], q["t"], elsewhere).raw, other, 1e-3)
    clips, frames, _, height, width = q["poses"].shape
    noise = prior.starting_noise(clips, frames, generator(0, 0, "x"), height=height, width=width)
    made = ddim(prior, noise, condition, steps=2, scale=2.0)
    assert prior.decode(made).shape == q["poses"].shape


def test_frames_follow_their_poses(tiny_prior):
    """With fresh motion modules, permuting noise and poses permutes the answer; with trained ones it does not."""
    image, q, order = tiny_prior("sd15"), asked(), torch.tensor([2, 0, 1])
    parts = animator(image)
    for motion, alike in (
        (fresh_motion(parts.denoiser, positions=8), True),
        (None, True),
        ("trained", False),
    ):
        told = animator(image, motion=True) if motion == "trained" else parts.with_motion(motion)
        prior = AnimatePrior(image, told)
        plain = prior.predict(q["x_t"], q["t"], prior.embed(q["stills"], q["poses"])).raw
        condition = prior.embed(q["stills"], q["poses"][:, order])
        moved = prior.predict(q["x_t"][:, order], q["t"], condition).raw
        assert close(moved, plain[:, order]) == alike


def test_the_bank_is_the_same_at_every_step(tiny_prior):
    """Computed once, or for each prediction anew: the still is looked at without noise and at time 0."""
    prior, q = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"))), asked()
    once = prior.embed(q["stills"], q["poses"])
    for t in (0.9, 0.2):
        again = prior.embed(q["stills"], q["poses"])
        times = torch.full((2,), t)
        got, new = (prior.predict(q["x_t"], times, condition).raw for condition in (once, again))
        assert torch.equal(got, new)
    bank = look(prior.animator.reference, prior.image.encode(q["stills"]), once.tensors["tokens"])
    assert bank.keys() == self_attentions(prior.animator.denoiser).keys()
    assert all(torch.equal(bank[name], once.tensors[f"bank.{name}"]) for name in bank)


def test_windows_slide_over_poses(tiny_prior):
    """Without motion modules every frame is by itself: windows give the whole clip's answer."""
    prior, q = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"))), asked(clips=1, frames=5)
    condition = prior.embed(q["stills"], q["poses"])
    windowed = Windowed(prior, Windows(length=2, overlap=1), torch.tensor([0.3]))
    got = windowed.predict(q["x_t"], q["t"], condition).raw
    assert close(got, prior.predict(q["x_t"], q["t"], condition).raw)


def gradients(prior: AnimatePrior, q, learning: str) -> dict[str, bool]:
    """Which parameters of the animator get a gradient when those of `learning` may."""
    prior.animator.requires_grad_(False)
    for part in learning.split():
        getattr(prior.animator, part).requires_grad_(True)
    for p in prior.parameters():
        p.grad = None
    condition = prior.embed(q["stills"], q["poses"], grad=True)
    prior.predict(q["x_t"], q["t"], condition, grad=True).raw.square().sum().backward()
    assert all(p.grad is None for p in prior.image.parameters())
    return {name: p.grad is not None for name, p in prior.animator.named_parameters()}


def test_gradients_reach_what_learns_in_each_stage(tiny_prior):
    """Stage 1: all parts but motion, but nothing of the ReferenceNet behind its last bank; stage 2: motion alone."""
    image, q = tiny_prior("sd15"), asked()
    prior = AnimatePrior(image, animator(image, motion=True))
    first = gradients(prior, q, "denoiser reference guider image_encoder")
    without = {name for name, got in first.items() if not got}
    last = "up_blocks.3.attentions.2.transformer_blocks.0."  # the self-attention that is computed last
    assert f"{last}attn1" in self_attentions(prior.animator.reference)
    behind = {
        f"reference.{name}"
        for name, _ in prior.animator.reference.named_parameters()
        if name.startswith(("conv_norm_out", "conv_out", "up_blocks.3.attentions.2.proj_out"))
        or (name.startswith(last) and "norm1" not in name)
    }
    motion = {name for name in first if name.startswith("motion.")}
    pooled = {name for name in first if name.startswith("image_encoder") and "pooler" in name}
    assert without - motion - pooled == behind
    second = gradients(prior, q, "motion")
    assert {name for name, got in second.items() if got} == motion


def test_checkpointing_changes_no_gradient(tiny_prior):
    """Layers computed again see the still, the poses and the motion modules again."""
    image, q, found = tiny_prior("sd15"), asked(), []
    for checkpointing in (False, True):
        parts = animator(image, motion=True)
        prior = AnimatePrior(image, parts.requires_grad_(True), checkpointing=checkpointing)
        condition = prior.embed(q["stills"], q["poses"], kept=torch.tensor([True, False]), grad=True)
        prior.predict(q["x_t"], q["t"], condition, grad=True).raw.square().mean().backward()
        found.append({name: p.grad for name, p in parts.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        torch.testing.assert_close(found[1][name], found[0][name], atol=1e-6, rtol=1e-4)


def test_half_precision(tiny_prior):
    """Under bfloat16 autocast, with the fused kernel and a mask: about the same numbers."""
    prior, q = AnimatePrior(tiny_prior("sd15"), animator(tiny_prior("sd15"))), asked()
    condition = prior.embed(q["stills"], q["poses"], kept=torch.tensor([True, False]))
    full = prior.predict(q["x_t"], q["t"], condition).raw
    with torch.autocast("cpu", torch.bfloat16):
        half = prior.predict(q["x_t"], q["t"], condition).raw
    assert half.dtype == torch.float32 and (half - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize(("factor", "widths"), [(4, (16, 32, 96)), (8, (16, 32, 96, 256)), (1, (16,))])
def test_the_guider_fits_the_latents(factor, widths):
    """One feature a latent, by strides of 2 in Moore's widths; zero at first, a gradient all the same."""
    guider = PoseGuider(8, widths_for(factor))
    out = guider(torch.rand(1, 3, 32, 16))
    assert guider.widths == widths and guider.factor == factor
    assert out.shape == (1, 8, 32 // factor, 16 // factor) and float(out.detach().abs().max()) == 0
    out.sum().backward()
    assert float(guider.conv_out.weight.grad.abs().max()) > 0


def test_moore_noise_has_no_signal_at_the_end(tiny_prior):
    """Zero terminal SNR, v-prediction; the linear betas of sampling: alphabar_500 = 0.1415 after rescaling."""
    image, parts = tiny_prior("sd15"), animator(tiny_prior("sd15"))
    told = {name: getattr(parts, name) for name in ("denoiser", "reference", "guider", "image_encoder")}
    for noise, middle in (("moore", 0.1415), ("moore_training", 0.241)):
        prior = AnimatePrior(image, Animator(**told, noise=noise))
        alpha, _ = prior.schedule.alpha_sigma(torch.tensor([1.0, 0.5005]))
        assert prior.kind == "v" and float(alpha[0]) < 1e-4 and abs(float(alpha[1]) ** 2 - middle) < 2e-3


def test_what_does_not_fit(tiny_prior):
    """Each refusal says what was found and what is possible."""
    image, q = tiny_prior("sd15"), asked()
    parts = animator(image, motion=True)
    prior = AnimatePrior(image, parts)
    told = {name: getattr(parts, name) for name in ("denoiser", "reference", "guider", "image_encoder")}
    with pytest.raises(UserError, match="noise='linear' is not one of: prior, moore, moore_training"):
        Animator(**told, noise="linear")
    with pytest.raises(
        UserError, match="mixes parts of different models: channels of its pose guider are 8, not 16"
    ):
        Animator(**(told | {"guider": PoseGuider(8)}))
    with pytest.raises(UserError, match="belongs to another prior: it has 4 pixels a latent, this prior 8"):
        AnimatePrior(image, Animator(**(told | {"guider": PoseGuider(16, widths_for(4))})))
    with pytest.raises(UserError, match="reads? tokens alone: prior=pocket, sd15 or sd21, not sdxl"):
        fresh(tiny_prior("sdxl"))
    with pytest.raises(UserError, match="9 frames are more than the 8 positions"):
        many = asked(1, 9)
        prior.predict(many["x_t"], many["t"], prior.embed(many["stills"], many["poses"]))
    with pytest.raises(ValueError, match="embed needs poses of the stills' size"):
        prior.embed(q["stills"], q["poses"][..., :32])
    with pytest.raises(ValueError, match="multiples of 8 pixels, got 60 x 64"):
        prior.embed(q["stills"][..., :60, :], q["poses"][..., :60, :])
    with pytest.raises(ValueError, match="2 clips of 2 frames, 2 times, 2 conditions of 3 poses"):
        prior.predict(q["x_t"][:, :2], q["t"], prior.embed(q["stills"], q["poses"]))
    with pytest.raises(ValueError, match="The bank has 1 self-attentions, the denoiser 16"):
        with seeing(parts.denoiser, {"down": torch.zeros(1, 1, 16)}, 1):
            pass
    with pytest.raises(UserError, match="needs positive widths"):
        PoseGuider(8, ())
    with pytest.raises(UserError, match="a prior of factor 6 does not fit"):
        widths_for(6)
    assert POSES in prior.embed(q["stills"], q["poses"]).tensors
