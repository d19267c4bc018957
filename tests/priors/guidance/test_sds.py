"""Score distillation against closed forms on priors that are known exactly."""

import inspect

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianPrior
from priors.base import Prior
from priors.guidance.sds import ScoreDistillation
from suite.diffusion.noise import NoiseSchedule
from suite.rng import generator
from suite.schedules import Linear

POINT = {"std": 0.0, "unconditional_std": 0.0}


def images(value: float, count: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.full((count, 3, 2, 2), value, dtype=dtype, requires_grad=True)


def levels(prior: Prior, t: float) -> tuple[float, float]:
    alpha, sigma = prior.schedule.alpha_sigma(torch.tensor([t], dtype=torch.float64))
    return float(alpha), float(sigma)


def test_expected_gradient_is_the_closed_form():
    """For images ~ N(m, s^2):  E[grad] = sigma^2 * alpha sigma / (alpha^2 s^2 + sigma^2) * (x_0 - m)."""
    t, m, s = 0.4, 0.5, 0.2
    prior, guidance = GaussianPrior(mean=m, std=s), ScoreDistillation(scale=1.0, t_min=t, t_max=t)
    x = torch.full((4096, 3, 2, 2), 0.9, requires_grad=True)
    out = guidance(prior, x, prior.embed([""] * 4096), generator=generator(0, 0, "sds"))
    (grad,) = torch.autograd.grad(4096 * out.loss, x)
    (alpha,), (sigma,) = prior.schedule.alpha_sigma(torch.tensor([t]))
    expected = sigma**2 * alpha * sigma / (alpha**2 * s**2 + sigma**2) * (0.9 - m)
    torch.testing.assert_close(grad.mean(), expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("scale", [1.0, 7.5, 100.0])
@pytest.mark.parametrize("schedule", [NoiseSchedule.cosine(), NoiseSchedule.flow()], ids=["cosine", "flow"])
def test_gradient_of_point_priors_is_exact(scale, schedule):
    """If text means the point m, "" the point u:  r = alpha / sigma (x_0 - (u + s (m - u))) for any noise."""
    prior = GaussianPrior(mean=0.6, unconditional_mean=0.4, schedule=schedule, **POINT)
    guidance = ScoreDistillation(scale=scale, t_min=0.3, t_max=0.3, weighting="uniform")
    out = guidance(prior, images(0.9), prior.embed(["a"] * 4), generator=generator(0, 0, "sds"))
    alpha, sigma = levels(prior, 0.3)
    expected = alpha / sigma * (0.9 - (0.4 + scale * (0.6 - 0.4)))
    torch.testing.assert_close(out.gradient, torch.full_like(out.gradient, expected), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(out.x_0, torch.full_like(out.x_0, 0.4 + scale * 0.2), rtol=1e-9, atol=1e-9)


def test_the_guided_point_is_the_fixed_point():
    """At u + s (m - u) the gradient vanishes for every time and noise."""
    prior = GaussianPrior(mean=0.6, unconditional_mean=0.4, **POINT)
    out = ScoreDistillation(scale=3.0)(
        prior, images(1.0), prior.embed(["a"] * 4), generator=generator(0, 0, "sds")
    )
    assert out.gradient.abs().max() < 1e-12 and out.loss < 1e-24 and len(out.t.unique()) == 4


@pytest.mark.parametrize("weighting, expected", [("sds", 0.5), ("uniform", 1.0), ("fantasia3d", 0.5**1.5)])
def test_weightings(weighting, expected):
    """At alpha^2 = sigma^2 = 1/2: sigma^2 = .5, 1, and alpha sigma^2 = .354 times the residual, here 1."""
    prior = GaussianPrior(mean=0.0, **POINT)
    guidance = ScoreDistillation(scale=1.0, t_min=0.5, t_max=0.5, weighting=weighting)
    out = guidance(prior, images(1.0), prior.embed(["a"] * 4), generator=generator(0, 0, "sds"))
    torch.testing.assert_close(out.gradient, torch.full_like(out.gradient, expected))


@pytest.mark.parametrize("weighting", ["sds", "uniform", "fantasia3d"])
@pytest.mark.parametrize(
    "schedule", [NoiseSchedule.cosine(), NoiseSchedule.flow(3.0)], ids=["cosine", "flow"]
)
def test_both_forms_have_one_gradient(weighting, schedule):
    """1/2 w alpha / sigma |z - x_0_hat|^2 and 1/2 |z - sg(z - grad)|^2 agree on the images, to rounding."""
    prior = GaussianPrior(mean=0.6, std=0.2, unconditional_mean=0.4, unconditional_std=0.5, schedule=schedule)
    grads = []
    for form in ("gradient", "x_0"):
        x = torch.rand(5, 3, 4, 4, generator=generator(0, 0, "x"), dtype=torch.float64).requires_grad_()
        guidance = ScoreDistillation(scale=7.5, weighting=weighting, form=form)
        out = guidance(prior, x, prior.embed(["a"] * 5), generator=generator(0, 0, "sds"))
        grads.append(torch.autograd.grad(out.loss, x)[0])
    torch.testing.assert_close(grads[0], out.gradient / 5, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-10, atol=1e-12)


class LearnedPrior(GaussianPrior):
    """An encoder that triples and a network that scales by its one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5]))

    def encode(self, images):
        return 3 * images

    def network(self, x_t, t, condition):
        return self.weight * x_t


def test_gradient_flows_through_the_encoder_and_not_through_the_network():
    """d loss / d images = encoder^T gradient / b, here 3 / b times; the network's weight takes no part."""
    prior, x = LearnedPrior(), images(0.7, 2)
    out = ScoreDistillation(scale=5.0)(prior, x, prior.embed(["a", "b"]), generator=generator(0, 0, "sds"))
    out.loss.backward()
    torch.testing.assert_close(x.grad, 3 * out.gradient / 2)
    assert prior.weight.grad is None
    assert not (out.gradient.requires_grad or out.x_0.requires_grad or out.t.requires_grad)


def test_times_follow_their_schedule():
    """Uniform between t_min and t_max, which may move with progress; equal bounds fix the time."""
    prior, condition = GaussianPrior(), GaussianPrior().embed(["a"] * 2000)
    guidance = ScoreDistillation(scale=1.0, t_min=0.1, t_max=Linear(0.9, 0.3))
    for progress, t_max in ((0.0, 0.9), (0.5, 0.6), (1.0, 0.3)):
        t = guidance(prior, images(0.5, 2000), condition, generator=generator(0, 0, "t"), progress=progress).t
        assert 0.1 <= t.min() < 0.11 and t_max - 0.01 < t.max() <= t_max
        assert float(t.mean()) == pytest.approx((0.1 + t_max) / 2, abs=0.02)


def test_grad_clip_limits_every_element():
    """A limit of .1, then .2 at the end; without one the gradient is larger."""
    prior = GaussianPrior(mean=0.0, **POINT)
    guidance = ScoreDistillation(
        scale=1.0, grad_clip=[[0.0, 0.1], [1.0, 0.2]], weighting="uniform", t_max=0.3
    )
    for progress, limit in ((0.0, 0.1), (1.0, 0.2)):
        x = images(5.0)
        out = guidance(prior, x, prior.embed(["a"] * 4), generator=generator(0, 0, "sds"), progress=progress)
        assert float(out.gradient.min()) == float(out.gradient.max()) == pytest.approx(limit)
        assert float(torch.autograd.grad(out.loss, x)[0].max()) == pytest.approx(limit / 4)


def test_sds_collapses_to_the_mean():
    """Particles started with the data's own spread all end at the mean: the mode, not the distribution."""
    prior, guidance = GaussianPrior(mean=2.0, std=0.5), ScoreDistillation(scale=1.0)
    x = (2.0 + 0.5 * torch.randn(64, 3, 1, 1, generator=generator(0, 0, "x"))).requires_grad_()
    condition, steps = prior.embed(["a"] * 64), 120
    for step in range(steps):
        out = guidance(prior, x, condition, generator=generator(0, step, "sds"))
        (grad,) = torch.autograd.grad(64 * out.loss, x)
        x.data -= 0.8 * (1 - step / steps) * grad
    assert float(x.detach().mean()) == pytest.approx(2.0, abs=0.02) and float(x.detach().std()) < 0.05


def test_guidance_overshoots_by_the_closed_form():
    """At one time the fixed point under scale s is (s k_c m - (s - 1) k_u u) / (s k_c - (s - 1) k_u)."""
    t, m, u, s_c, s_u, scale = 0.5, 0.6, 0.4, 0.1, 0.3, 7.5
    prior = GaussianPrior(mean=m, std=s_c, unconditional_mean=u, unconditional_std=s_u)
    alpha, sigma = levels(prior, t)
    k_c, k_u = (alpha * sigma / (alpha**2 * s**2 + sigma**2) for s in (s_c, s_u))
    fixed = (scale * k_c * m - (scale - 1) * k_u * u) / (scale * k_c - (scale - 1) * k_u)
    assert fixed > m + 0.5
    guidance = ScoreDistillation(scale=scale, t_min=t, t_max=t)
    x = images(fixed, 8192)
    out = guidance(prior, x, prior.embed(["a"] * 8192), generator=generator(0, 0, "sds"))
    here = abs(float(out.gradient.mean()))
    away = guidance(prior, images(m, 64), prior.embed(["a"] * 64), generator=generator(0, 0, "sds")).gradient
    assert here < 0.01 * abs(float(away.mean()))


def test_the_generator_decides():
    """The same generator state gives the same times, noise and loss; another gives another."""
    prior, condition = GaussianPrior(), GaussianPrior().embed(["a"] * 4)
    outs = [
        ScoreDistillation()(prior, images(0.5), condition, generator=generator(0, step, "sds"))
        for step in (1, 1, 2)
    ]
    assert torch.equal(outs[0].gradient, outs[1].gradient) and torch.equal(outs[0].t, outs[1].t)
    assert not torch.equal(outs[0].t, outs[2].t)


def test_not_a_number_is_not_hidden():
    """A NaN in an image reaches the loss, so that the run can stop and say so."""
    prior = GaussianPrior()
    out = ScoreDistillation()(
        prior, images(float("nan")), prior.embed(["a"] * 4), generator=generator(0, 0, "sds")
    )
    assert out.loss.isnan()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"t_min": 0.0}, "0 < t_min <= t_max < 1, got t_min=0, t_max=0.98"),
        ({"t_max": Linear(0.9, 0.01)}, "got t_min=0.02, t_max=0.01 at progress 1"),
        ({"weighting": "sigma"}, "weighting 'sigma' is not one of: sds, uniform, fantasia3d"),
        ({"form": "v"}, "form 'v' is not one of: gradient, x_0"),
        ({"form": "x_0", "grad_clip": 1.0}, "use form=gradient"),
    ],
)
def test_mistakes_are_explained(options, message):
    """Each impossible option says what would do (with the types unchecked, as in production)."""
    guidance = object.__new__(ScoreDistillation)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(ScoreDistillation.__init__)(guidance, **options)
