"""Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598), negative prompts and Perp-Neg.

    eps_hat = eps_u + s (eps_c - eps_u)                                            s = 1 is no guidance

    eps_c    under the condition              eps_u    under its negative: "" or the negative prompt

Perp-Neg (Armandpour et al. 2023, arXiv:2304.04968) adds, for every unwanted text k with weight w_k < 0, only
what does not oppose the wanted one:

    eps_hat = eps_u + s (d + sum_k w_k perp(d_k, d)),    d = eps_c - eps_u,  d_k = eps_k - eps_u
    perp(a, b) = a - <a, b> / |b|^2 b                    per sample, over all of its channels and pixels

eps, v, x_0 and flow at one x_t are affine in each other with one slope, and the formulae's weights sum to 1,
so they are evaluated on the network's own answers: the same result in every parametrisation, also where alpha
or sigma is 0 and one of the conversions would divide by it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from suite.diffusion.noise import Prediction, per_sample
from suite.types import Diffused, Times


def guided(
    prior: Any, x_t: Diffused, t: Times, condition: Any, scale: float = 1.0, *, rescale: float = 0.0
) -> Prediction:
    """The prior's prediction under classifier-free guidance.

    Evaluates what the formula needs and no more: only the condition when scale is 1, only the negative when
    it is 0, otherwise both and every Perp-Neg text, in one call of the network (in a loop where
    `prior.batch_conditions` is False: slower, less memory).

    Args:
        prior: A `priors.base.Prior`.
        condition: A `priors.base.Condition`; `negative` is needed unless scale is 1.
        scale: Guidance scale s.
        rescale: phi of arXiv:2305.08891, Eq. 15-16: pulls the answer's standard deviation back to the
            conditional one. Acts on the network's own answer, so it alone depends on the parametrisation.

    Raises:
        ValueError: Guidance is asked of a condition without negative.
    """
    if scale == 1 and not condition.perpendicular:
        return evaluate(prior, x_t, t, [condition])[0]
    if condition.negative is None:
        raise ValueError(
            f"Guidance with scale {scale} needs condition.negative: Prior.embed makes one. Or use scale=1."
        )
    if scale == 0:
        return evaluate(prior, x_t, t, [condition.negative])[0]
    unwanted = [text for text, _ in condition.perpendicular]
    cond, uncond, *others = evaluate(prior, x_t, t, [condition, condition.negative, *unwanted])
    direction = cond.raw - uncond.raw
    total = direction
    for other, (_, weight) in zip(others, condition.perpendicular, strict=True):
        total = total + per_sample(weight.to(direction), direction) * perp(other.raw - uncond.raw, direction)
    raw = uncond.raw + scale * total
    if rescale:
        std = cond.raw.flatten(1).std(dim=1) / raw.flatten(1).std(dim=1)
        raw = raw * per_sample(1 + rescale * (std - 1), raw)
    return replace(cond, raw=raw)


def evaluate(prior: Any, x_t: Diffused, t: Times, conditions: Sequence[Any]) -> list[Prediction]:
    """The prior's prediction at the same x_t and t under each condition, in one call of the network.

    The conditions are laid out [all of the first, all of the second, ...], as are the tiled x_t and t.
    """
    bare = [replace(condition, negative=None, perpendicular=()) for condition in conditions]
    if len(bare) == 1 or not prior.batch_conditions:
        return [prior.predict(x_t, t, condition) for condition in bare]
    n = len(bare)
    together = prior.predict(torch.cat([x_t] * n), t.repeat(n), type(bare[0]).cat(bare))
    alpha, sigma = together.alpha[: len(t)], together.sigma[: len(t)]
    return [replace(together, x_t=x_t, alpha=alpha, sigma=sigma, raw=raw) for raw in together.raw.chunk(n)]


def perp(a: Float[Tensor, "b *chw"], b: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
    """The part of each a that is perpendicular to its b; all of a where b is 0."""
    dot, square = (a * b).flatten(1).sum(dim=1), (b * b).flatten(1).sum(dim=1)
    return a - per_sample(dot / torch.where(square > 0, square, 1), b) * b
