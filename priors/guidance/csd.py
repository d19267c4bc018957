"""Classifier score distillation (Yu et al. 2023, arXiv:2310.19415).

    d loss / d z = w(t) (a eps_hat(x_t; y) + b eps_hat(x_t; negative) + c eps_hat(x_t; "") + d eps)

CSD is (a, b, c, d) = (1, 0, -1, 0): the implicit classifier's score alone, without SDS's term eps_hat - eps.
With a negative prompt the paper moves weight from c to b during the run. SDS of scale s is (s, 1 - s, 0, -1).
"""

import torch

from priors.base import Condition, Prior
from priors.guidance.base import (
    Guidance,
    GuidanceOutput,
    NoiseTimes,
    Scheduled,
    Weighting,
    clipped,
    distillation_loss,
    known,
    weight,
)
from suite.diffusion.classifier_free import evaluate, guided
from suite.diffusion.noise import noise_like, per_sample
from suite.schedules import as_schedule
from suite.types import Images


class ClassifierScoreDistillation(Guidance):
    """The pull of a prior's implicit classifier, p(y | x) ~ p(x | y) / p(x), on rendered images.

    A prediction of weight 0 is not evaluated. To use a negative prompt:
    `negative=[[0, 0], [1, -1]] unconditional=[[0, -1], [1, 0]]`.

    Args:
        cond: a, the weight of the prediction under the prompt.
        negative: b, under the negative prompt ("" where the prompt has none).
        unconditional: c, under "".
        noise: d, of the noise itself.
        t_min, t_max: Noise times are drawn uniformly between these; 0 is clean, 1 is noise.
        weighting: w(t): "sds" sigma^2, "uniform" 1, "fantasia3d" alpha sigma^2.
        grad_clip: Every element of the latents' gradient stays within +-this; None is no limit.
    """

    def __init__(
        self,
        *,
        cond: Scheduled = 1.0,
        negative: Scheduled = 0.0,
        unconditional: Scheduled = -1.0,
        noise: Scheduled = 0.0,
        t_min: Scheduled = 0.02,
        t_max: Scheduled = 0.98,
        weighting: Weighting = "uniform",
        grad_clip: Scheduled | None = None,
    ) -> None:
        super().__init__()
        self.cond, self.negative = as_schedule(cond), as_schedule(negative)
        self.unconditional, self.noise = as_schedule(unconditional), as_schedule(noise)
        self.times, self.weighting = NoiseTimes(t_min, t_max), known(weighting)
        self.grad_clip = None if grad_clip is None else as_schedule(grad_clip)

    def forward(
        self,
        prior: Prior,
        images: Images,
        condition: Condition,
        *,
        generator: torch.Generator,
        progress: float = 0.0,
    ) -> GuidanceOutput:
        """One evaluation of the formula on top; see Guidance.

        Raises:
            ValueError: All three predictions have weight 0, or the negative is asked of a condition without.
        """
        z = prior.encode(images)
        t = self.times.sample(z, generator, progress)
        eps = noise_like(z, generator)
        x_t = prior.schedule.add_noise(z.detach(), eps, t)
        a, b, c, d = (w(progress) for w in (self.cond, self.negative, self.unconditional, self.noise))
        empty = condition.empty or (prior.embed([""] * len(z)) if c else None)
        terms = [(a, condition), (b, condition.negative), (c, empty)]
        if b and condition.negative is None:
            raise ValueError("CSD's weight negative needs condition.negative: Prior.embed makes one.")
        if not (a or b or c):
            raise ValueError("CSD needs a weight other than 0 for cond, negative or unconditional.")
        weights, conditions = zip(*[(w, term) for w, term in terms if w])
        predictions = evaluate(prior, x_t, t, conditions)
        if a and condition.perpendicular:
            predictions[0] = guided(prior, x_t, t, condition, 1.0)  # eps_hat(y) with what Perp-Neg adds
        alpha, sigma = (per_sample(x, z) for x in prior.schedule.alpha_sigma(t))
        residual = d * eps + sum(w * p.eps for w, p in zip(weights, predictions))
        gradient = clipped(weight(self.weighting, alpha, sigma) * residual, self.grad_clip, progress)
        return GuidanceOutput(distillation_loss(z, gradient), t, gradient, predictions[0].x_0)
