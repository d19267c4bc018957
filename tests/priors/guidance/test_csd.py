"""Classifier score distillation: its own closed form, and SDS as one of its four-weight combinations."""

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from priors.base import Condition
from priors.guidance.csd import ClassifierScoreDistillation
from priors.guidance.sds import ScoreDistillation
from priors.prompts import ViewPrompts
from priors.toyworld import ToyworldPrior
from suite.geometry.cameras import Cameras
from suite.rng import generator


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 2, 2, generator=generator(0, 0, "x"), dtype=torch.float64).requires_grad_()


def colours() -> GaussianMixturePrior:
    return GaussianMixturePrior(
        captions=["red", "green", "blue"],
        means=[[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]],
        stds=[0.2, 0.3, 0.4],
    )


def test_gradient_of_point_priors_is_exact():
    """Text means the point m, "" the point u:  eps(y) - eps("") = alpha / sigma (u - m) for every image."""
    prior = GaussianPrior(mean=0.6, std=0.0, unconditional_mean=0.4, unconditional_std=0.0)
    guidance, x = ClassifierScoreDistillation(t_min=0.5, t_max=0.5), images()
    out = guidance(prior, x, prior.embed(["a"] * 4), generator=generator(0, 0, "csd"))
    torch.testing.assert_close(out.gradient, torch.full_like(out.gradient, 0.4 - 0.6), rtol=1e-9, atol=0)
    (grad,) = torch.autograd.grad(out.loss, x)
    torch.testing.assert_close(grad, out.gradient / 4)
    torch.testing.assert_close(out.x_0, torch.full_like(out.x_0, 0.6))


def test_of_one_answer_to_every_text_nothing_is_left():
    """Where text tells nothing, the classifier has no score, although SDS's residual is not zero."""
    prior, condition = GaussianPrior(std=0.3), GaussianPrior().embed(["a"] * 4)
    csd, sds = (
        guidance(prior, images(), condition, generator=generator(0, 0, "csd"))
        for guidance in (ClassifierScoreDistillation(), ScoreDistillation(scale=7.5))
    )
    assert csd.gradient.abs().max() == 0 and sds.gradient.abs().max() > 0.01


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize("negative", ["", "green"])
def test_sds_is_one_of_its_combinations(scale, negative):
    """Weights (s, 1 - s, 0, -1) on prompt, negative prompt, "" and noise are SDS with scale s."""
    prior = colours()
    condition = prior.embed(ViewPrompts.of_texts(["red"] * 4, negative))
    sds = ScoreDistillation(scale=scale, weighting="uniform")
    csd = ClassifierScoreDistillation(cond=scale, negative=1 - scale, unconditional=0.0, noise=-1.0)
    a, b = (g(prior, images(), condition, generator=generator(0, 0, "x")).gradient for g in (sds, csd))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_negative_prompt_takes_over_from_the_empty_one():
    """With weights on schedules the gradient moves from eps(y) - eps("") to eps(y) - eps(negative)."""
    prior = colours()
    guidance = ClassifierScoreDistillation(negative=[[0, 0], [1, -1]], unconditional=[[0, -1], [1, 0]])
    start, middle, end = (
        guidance(
            prior,
            images(),
            prior.embed(ViewPrompts.of_texts(["red"] * 4, "green")),
            generator=generator(0, 0, "csd"),
            progress=progress,
        ).gradient
        for progress in (0.0, 0.5, 1.0)
    )
    plain = ClassifierScoreDistillation()
    without = plain(prior, images(), prior.embed(["red"] * 4), generator=generator(0, 0, "csd")).gradient
    torch.testing.assert_close(start, without)
    torch.testing.assert_close(middle, (start + end) / 2)
    assert not torch.allclose(start, end)


def test_the_empty_prompt_is_seen_from_the_same_cameras():
    """A prior that is told the cameras tells "" too: of one known thing there is nothing to tell apart; of two
    there is, and a negative prompt without weight changes nothing."""
    cameras, car, mushroom = Cameras.orbit([10.0, 120.0]), "a red car", "a blue mushroom"
    x = torch.rand(2, 3, 16, 16, generator=generator(0, 0, "x"))
    guidance = ClassifierScoreDistillation(t_min=0.95, t_max=0.95)

    def gradient(prior, negative):
        condition = prior.embed(ViewPrompts.of_texts([car] * 2, negative), cameras)
        return guidance(prior, x, condition, generator=generator(0, 0, "csd")).gradient

    assert gradient(ToyworldPrior(prompts=[car], size=16), "").abs().max() < 1e-6
    both = ToyworldPrior(prompts=[car, mushroom], size=16)
    assert gradient(both, "").abs().max() > 0.01
    assert torch.equal(gradient(both, ""), gradient(both, mushroom))


def test_predictions_of_no_weight_are_not_made():
    """CSD costs two predictions an image, as SDS does; with the negative prompt three."""
    prior, condition = colours(), colours().embed(["red"] * 4)
    for guidance, cost in (
        (ClassifierScoreDistillation(), 2),
        (ScoreDistillation(), 2),
        (ClassifierScoreDistillation(negative=-0.5, unconditional=-0.5), 3),
        (ClassifierScoreDistillation(cond=1.0, unconditional=0.0, noise=-1.0), 1),
    ):
        prior.evaluations = 0
        guidance(prior, images(), condition, generator=generator(0, 0, "csd"))
        assert prior.evaluations == 4 * cost


def test_perp_neg_adds_what_is_perpendicular():
    """eps(y) becomes eps(y) + sum w perp(eps_k - eps_u, eps(y) - eps_u); the rest stays."""
    prior, time = colours(), 0.4
    texts = tuple((("red", 1.0),) for _ in range(4))
    weights = torch.tensor([-1.0, -0.5, 0.0, -2.0])
    condition = prior.embed(ViewPrompts(texts, ("",) * 4, ((("green", "blue", "blue", "green"), weights),)))
    guidance = ClassifierScoreDistillation(t_min=time, t_max=time)
    gradient = guidance(prior, images(), condition, generator=generator(0, 0, "csd")).gradient
    plain = Condition(condition.tensors, condition.negative)
    without = guidance(prior, images(), plain, generator=generator(0, 0, "csd")).gradient
    added = gradient - without
    inner = (added * without).flatten(1).sum(1)  # without = eps(y) - eps("") is the wanted direction
    assert inner.abs().max() < 1e-10
    assert (added.flatten(1).norm(dim=1) > 1e-3).tolist() == [True, True, False, True]


def test_mistakes_are_explained():
    """No prediction at all; a negative that is not there."""
    prior = colours()
    bare = Condition(prior.embed(["red"] * 4).tensors)
    with pytest.raises(ValueError, match="other than 0 for cond, negative or unconditional"):
        ClassifierScoreDistillation(cond=0.0, unconditional=0.0)(
            prior, images(), bare, generator=generator(0, 0, "csd")
        )
    with pytest.raises(ValueError, match="needs condition.negative: Prior.embed makes one"):
        ClassifierScoreDistillation(negative=-1.0)(prior, images(), bare, generator=generator(0, 0, "csd"))
