"""Score distillation sampling (DreamFusion, Poole et al. 2022, arXiv:2209.14988).

    d loss / d z = w(t) (eps_hat(x_t; y, t) - eps),        x_t = alpha z + sigma eps            (Eq. 3)

    eps_hat    the prior's noise under classifier-free guidance
    w          sigma^2 in the paper

In form "x_0" the same gradient comes from a target picture, which can be looked at:

    loss = 1/2 w alpha / sigma |z - sg(x_0_hat)|^2,        as eps_hat - eps = alpha / sigma (z - x_0_hat)
"""

from typing import Literal

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
from suite.diffusion.classifier_free import guided
from suite.diffusion.noise import noise_like, per_sample
from suite.schedules import as_schedule
from suite.types import Images


class ScoreDistillation(Guidance):
    """The pull of a text-conditioned prior on rendered images.

    Args:
        scale: Classifier-free guidance scale; 1 is no guidance, DreamFusion uses 100. None is what suits the prior.
        t_min, t_max: Noise times are drawn uniformly between these; 0 is clean, 1 is noise.
        weighting: w(t): "sds" sigma^2, "uniform" 1, "fantasia3d" alpha sigma^2.
        grad_clip: Every element of the latents' gradient stays within +-this; None is no limit.
        form: "gradient", or "x_0": the same gradient from a target picture.
    """

    def __init__(
        self,
        *,
        scale: Scheduled | None = None,
        t_min: Scheduled = 0.02,
        t_max: Scheduled = 0.98,
        weighting: Weighting = "sds",
        grad_clip: Scheduled | None = None,
        form: Literal["gradient", "x_0"] = "gradient",
    ) -> None:
        super().__init__()
        if form not in ("gradient", "x_0"):
            raise ValueError(f"form {form!r} is not one of: gradient, x_0.")
        if form == "x_0" and grad_clip is not None:
            raise ValueError("grad_clip limits the gradient, which form=x_0 never makes; use form=gradient.")
        self.scale = None if scale is None else as_schedule(scale)
        self.times = NoiseTimes(t_min, t_max)
        self.weighting, self.form = known(weighting), form
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
        """One evaluation of Eq. 3; see Guidance."""
        z = prior.encode(images)
        t = self.times.sample(z, generator, progress)
        eps = noise_like(z, generator)
        x_t = prior.schedule.add_noise(z.detach(), eps, t)
        scale = prior.guidance_scale if self.scale is None else self.scale(progress)
        prediction = guided(prior, x_t, t, condition, scale)
        alpha, sigma = (per_sample(x, z) for x in prior.schedule.alpha_sigma(t))
        w = weight(self.weighting, alpha, sigma)
        gradient = clipped(w * (prediction.eps - eps), self.grad_clip, progress)
        if self.form == "x_0":
            loss = 0.5 * (w * alpha / sigma * (z - prediction.x_0).square()).sum() / len(z)
        else:
            loss = distillation_loss(z, gradient)
        return GuidanceOutput(loss, t, gradient, prediction.x_0)
