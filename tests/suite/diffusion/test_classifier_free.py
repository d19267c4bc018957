"""Guidance against its formula in eps space, evaluated slowly, one image and one condition at a time."""

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from priors.base import Condition, Prior
from suite.diffusion.classifier_free import evaluate, guided, perp
from suite.diffusion.noise import NoiseSchedule, per_sample, target

T = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


class WordyPrior(Prior):
    """A smooth function of x_t, t and the condition, told in any parametrisation; counts its calls."""

    def __init__(self, kind: str = "epsilon") -> None:
        super().__init__()
        self.schedule, self.kind, self.calls = NoiseSchedule.cosine(), kind, 0
        self.latent_channels, self.factor, self.resolution = 3, 1, 4

    def encode(self, images):
        return images

    def decode(self, latents):
        return latents

    def encode_text(self, texts):
        lengths = torch.tensor([[len(text), 1.0 + sum(map(ord, text)) % 7] for text in texts])
        return Condition({"words": lengths.double()})

    def network(self, x_t, t, condition):
        self.calls += 1
        a, b = (x[:, None, None, None] for x in condition.tensors["words"].unbind(1))
        ramp = torch.linspace(-1, 1, x_t[0].numel(), dtype=x_t.dtype).reshape(x_t.shape[1:])
        eps = torch.sin(b * x_t + 0.1 * a * ramp) + per_sample(t, x_t)
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return target(self.kind, (x_t - sigma * eps) / alpha, eps, alpha, sigma)


def noisy(seed: int = 0) -> Tensor:
    return torch.randn(3, 3, 4, 4, generator=torch.manual_seed(seed), dtype=torch.float64)


def with_unwanted(prior: Prior) -> Condition:
    """Three views, each with its own two unwanted texts and weights."""
    plain = prior.embed(["a car, front view", "a house", "a duck, side view"])
    unwanted = prior.embed(["side", "back", "front"]), prior.embed(["x", "yy", "zzz"])
    weights = torch.tensor([-0.5, -1.0, -1.5]), torch.tensor([-2.0, -0.25, 0.0])
    bare = tuple((Condition(c.tensors), w) for c, w in zip(unwanted, weights))
    return Condition(plain.tensors, plain.negative, bare)


def slowly(prior: Prior, x_t: Tensor, t: Tensor, condition: Condition, scale: float) -> Tensor:
    """The formula on top of the module, in eps, for one image after another."""
    rows = []
    for i in range(len(x_t)):
        one, x, time = condition[i : i + 1], x_t[i : i + 1], t[i : i + 1]
        eps_u = prior.predict(x, time, one.negative).eps
        d = prior.predict(x, time, Condition(one.tensors)).eps - eps_u
        total = d.clone()
        for text, w in one.perpendicular:
            e = prior.predict(x, time, text).eps - eps_u
            total += float(w) * (e - (e * d).sum() / (d * d).sum() * d)
        rows.append(eps_u + scale * total)
    return torch.cat(rows)


@pytest.mark.parametrize("kind", ["epsilon", "v", "x_0", "flow"])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("perp_neg", [True, False])
def test_guidance_is_its_formula_in_every_parametrisation(kind, batched, perp_neg):
    """eps_u + s (d + sum w perp): per sample for batches above one, whatever the network answers."""
    prior = WordyPrior(kind)
    prior.batch_conditions = batched
    condition = with_unwanted(prior) if perp_neg else prior.embed(["a", "bb", "ccc"])
    p = guided(prior, noisy(), T, condition, 7.5)
    expected = slowly(WordyPrior("epsilon"), noisy(), T, condition, 7.5)
    torch.testing.assert_close(p.eps, expected, rtol=1e-10, atol=1e-10)


def test_perp_neg_does_not_mix_the_samples_of_a_batch():
    """A batch of three gives what each alone gives (the peers pair noise and text of different samples)."""
    prior = WordyPrior("v")
    condition = with_unwanted(prior)
    together = guided(prior, noisy(), T, condition, 5.0).raw
    for i in range(3):
        alone = guided(prior, noisy()[i : i + 1], T[i : i + 1], condition[i : i + 1], 5.0).raw
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


def test_as_many_evaluations_as_the_formula_needs():
    """One at scales 1 and 0, two otherwise, four with Perp-Neg; in one call, or in a loop if asked."""
    prior = WordyPrior()
    plain, unwanted = prior.embed(["a", "b", "c"]), with_unwanted(prior)
    for condition, scale, evaluations in (
        (plain, 1.0, 1),
        (plain, 0.0, 1),
        (plain, 7.0, 2),
        (unwanted, 1.0, 4),
    ):
        for batched in (True, False):
            prior.batch_conditions, prior.calls, prior.evaluations = batched, 0, 0
            guided(prior, noisy(), T, condition, scale)
            assert (prior.evaluations, prior.calls) == (3 * evaluations, 1 if batched else evaluations)


def test_scale_one_is_the_condition_and_zero_its_negative():
    """eps_u + 1 (eps_c - eps_u) = eps_c, and 0 leaves eps_u."""
    prior = WordyPrior()
    condition = prior.embed(["a", "b", "c"])
    cond, uncond = evaluate(prior, noisy(), T, [condition, condition.negative])
    torch.testing.assert_close(guided(prior, noisy(), T, condition, 1.0).eps, cond.eps)
    torch.testing.assert_close(guided(prior, noisy(), T, condition, 0.0).eps, uncond.eps)
    assert not torch.allclose(cond.eps, uncond.eps)


def test_guidance_of_v_in_pure_noise():
    """At alpha = 0 all eps agree, yet guidance of a v-prior still moves x_0: by s (x_0_c - x_0_u)."""

    class AtTheEnd(WordyPrior):
        def network(self, x_t, t, condition):
            return -condition.tensors["words"][:, :1, None, None] * torch.ones_like(
                x_t
            )  # v = -x_0 at alpha = 0

    prior = AtTheEnd("v")
    p = guided(prior, noisy(), torch.ones(3, dtype=torch.float64), prior.embed(["aa", "bbb", "c"]), 3.0)
    expected = 3 * torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(p.x_0, per_sample(expected, noisy()).expand_as(noisy()))


def test_perp_is_perpendicular():
    """<perp(a, b), b> = 0 for each sample, perp(b, b) = 0, and perp(a, 0) = a."""
    a, b = noisy(1), noisy(2)
    assert (perp(a, b) * b).flatten(1).sum(1).abs().max() < 1e-12
    assert perp(b, b).abs().max() < 1e-12
    assert torch.equal(perp(a, torch.zeros_like(a)), a)


def test_rescale_is_that_of_diffusers():
    """phi = 0.7 equals diffusers' rescale_noise_cfg on the network's own answer."""
    prior = WordyPrior("v")
    condition = prior.embed(["a", "b", "c"])
    cond, _ = evaluate(prior, noisy(), T, [condition, condition.negative])
    plain = guided(prior, noisy(), T, condition, 7.5)
    rescaled = guided(prior, noisy(), T, condition, 7.5, rescale=0.7)
    torch.testing.assert_close(rescaled.raw, rescale_noise_cfg(plain.raw, cond.raw, guidance_rescale=0.7))


def test_guidance_needs_a_negative():
    """The error names embed, and the way without guidance."""
    prior = WordyPrior()
    bare = Condition(prior.embed(["a", "b", "c"]).tensors)
    with pytest.raises(ValueError, match="Prior.embed makes one. Or use scale=1"):
        guided(prior, noisy(), T, bare, 7.5)
