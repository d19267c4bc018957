"""Priors whose answer is exact: a Gaussian, a mixture of Gaussians, a finite set of images.

For data that is a mixture of N(m_k, s_k^2 I) with weights w_k, what x_t = alpha x_0 + sigma eps says is

    x_0_hat = sum_k r_k (m_k + alpha s_k^2 / V_k (x_t - alpha m_k)),       V_k = alpha^2 s_k^2 + sigma^2
    eps_hat = sum_k r_k sigma / V_k (x_t - alpha m_k)
    r_k     = softmax_k [log w_k + log N(x_t; alpha m_k, V_k I)]

by Bayes' rule. A learned prior approximates it; here every method can be checked against arithmetic. Text and
camera choose the weights: the condition is {"weights": b k}.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from priors.base import Condition, Prior
from priors.pixels import PixelPrior
from priors.prompts import VIEW_WORDS, ViewPrompts
from suite.diffusion.noise import NoiseSchedule, per_sample, target
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.types import Images, Latents, Times


class GaussianPrior(Prior):
    """Images whose pixels are independent N(mean, std^2), in RGB as they are: encode and decode do nothing.

    Works at any image size. Under the prompt "" the mean and deviation may be others, so that classifier-free
    guidance has something to amplify; every other prompt means `mean` and `std`.

    Args:
        mean, std: Of every pixel, in RGB units (0 to 1).
        unconditional_mean, unconditional_std: Under the prompt ""; the same unless given.
        schedule: The cosine schedule unless given.
    """

    def __init__(
        self,
        *,
        mean: float = 0.5,
        std: float = 0.2,
        unconditional_mean: float | None = None,
        unconditional_std: float | None = None,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        unconditional_mean = mean if unconditional_mean is None else unconditional_mean
        unconditional_std = std if unconditional_std is None else unconditional_std
        _check_stds([std, unconditional_std])
        means = torch.tensor([mean, unconditional_mean], dtype=torch.float64)
        self.register_buffer("means", means.reshape(2, 1, 1, 1))
        self.register_buffer("stds", torch.tensor([std, unconditional_std], dtype=torch.float64))
        _describe(self, schedule)

    def encode(self, images: Images) -> Latents:
        """The images themselves."""
        return images

    def decode(self, latents: Latents) -> Images:
        """The latents themselves."""
        return latents

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """All weight on the first Gaussian, or on the second for ""."""
        weights = torch.tensor([[0.0, 1.0] if text == "" else [1.0, 0.0] for text in texts])
        return Condition({"weights": weights.to(self.device)})

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """v of the exact denoiser."""
        return _exact_v(self.schedule, x_t, t, condition, self.means.to(x_t), self.stds.to(x_t))


class GaussianMixturePrior(Prior):
    """Images drawn from one of several Gaussians N(mean_k, std_k^2 I), each with a caption.

    A prompt keeps the components whose caption has all of its words; "" keeps all. RGB as it is, any size.

    Args:
        captions: One a component.
        means: Of every pixel, one a component (float), or one RGB colour each.
        stds: One a component.
        weights: How often each occurs; equal unless given.
        schedule: The cosine schedule unless given.
    """

    def __init__(
        self,
        *,
        captions: Sequence[str],
        means: Sequence,
        stds: Sequence[float],
        weights: Sequence[float] | None = None,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        weights = [1.0] * len(captions) if weights is None else weights
        if not len(captions) == len(means) == len(stds) == len(weights) > 0:
            raise ValueError(
                f"A mixture needs one caption, mean, std and weight a component, got {len(captions)} captions"
                f", {len(means)} means, {len(stds)} stds and {len(weights)} weights."
            )
        _check_stds(stds)
        self.captions = tuple(captions)
        self.register_buffer("means", torch.tensor(means, dtype=torch.float64).reshape(len(means), -1, 1, 1))
        self.register_buffer("stds", torch.tensor(stds, dtype=torch.float64))
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))
        _describe(self, schedule)

    def encode(self, images: Images) -> Latents:
        """The images themselves."""
        return images

    def decode(self, latents: Latents) -> Images:
        """The latents themselves."""
        return latents

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """The weights of the components that each text leaves."""
        return Condition({"weights": _chosen(self.captions, texts, self.weights)})

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """v of the exact denoiser."""
        return _exact_v(self.schedule, x_t, t, condition, self.means.to(x_t), self.stds.to(x_t))


class ImageSetPrior(PixelPrior):
    """The exact denoiser of a finite set of images: all that it can imagine are these.

    Distilling it must give back the images, so it tests a 3D pipeline without a learned network. Latents are
    the pixels in [-1, 1] at the set's own size; `encode` resizes.

    Args:
        images: The set.
        captions: One an image; a prompt keeps those that have all of its words, "" keeps all.
        cameras: Where each image was seen from. With them `embed(..., cameras=)` prefers the views near each
            camera: weights times exp(-angle^2 / (2 view_width_deg^2)).
        view_width_deg: How near; small means the nearest view alone.
        schedule: The cosine schedule unless given.
    """

    def __init__(
        self,
        *,
        images: Images,
        captions: Sequence[str],
        cameras: Cameras | None = None,
        view_width_deg: float = 15.0,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        lengths = {len(images), len(captions), len(images) if cameras is None else len(cameras)}
        if len(lengths) > 1 or images.shape[2] != images.shape[3]:
            raise ValueError(
                f"ImageSetPrior needs square images with one caption (and camera) each, got images "
                f"{tuple(images.shape)}, {len(captions)} captions, {cameras and len(cameras)} cameras."
            )
        self.captions, self.view_width_deg = tuple(captions), view_width_deg
        self.register_buffer("means", images * 2 - 1)
        self.register_buffer("weights", torch.ones(len(images), dtype=torch.float64))
        self.register_buffer("views", None if cameras is None else _from_origin(cameras))
        _describe(self, schedule, resolution=images.shape[-1])

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """The weights of the images that each text leaves."""
        return Condition({"weights": _chosen(self.captions, texts, self.weights)})

    def embed(
        self,
        prompts: Sequence[str] | ViewPrompts,
        cameras: Cameras | None = None,
        image: Images | None = None,
    ) -> Condition:
        """As every prior's; with cameras the wanted condition, not the negative, prefers views near them.

        Raises:
            ValueError: Cameras are given, but the set has none.
        """
        condition = super().embed(prompts, image=image)
        if cameras is None:
            return condition
        if self.views is None:
            raise ValueError("This ImageSetPrior has no views: construct it with cameras=, one an image.")
        cosine = (_from_origin(cameras).to(self.views) @ self.views.T).clamp(-1, 1)
        log_near = -(torch.rad2deg(cosine.acos()) ** 2) / (2 * self.view_width_deg**2)
        weights = torch.softmax(condition.tensors["weights"].log() + log_near, dim=1)
        return Condition({"weights": weights}, condition.negative, condition.perpendicular)

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """v of the exact denoiser."""
        return _exact_v(self.schedule, x_t, t, condition, self.means.to(x_t), x_t.new_zeros(len(self.means)))


def posterior(
    x_t: Float[Tensor, "b c h w"],
    alpha: Float[Tensor, " b"],
    sigma: Float[Tensor, " b"],
    means: Float[Tensor, "k _c _h _w"],
    stds: Float[Tensor, " k"],
    weights: Float[Tensor, "b k"],
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """E[x_0 | x_t] and E[eps | x_t] for a mixture of N(means_k, stds_k^2 I): the formulae on top."""
    alpha, sigma = alpha[:, None], sigma[:, None]
    V = (alpha**2 * stds**2 + sigma**2).clamp(min=torch.finfo(x_t.dtype).tiny)  # b k
    offset = x_t[:, None] - alpha[:, :, None, None, None] * means  # b k c h w
    pixels = offset[0, 0].numel()
    V_r = V.clamp(min=1e-12)  # without noise the nearest mean wins; 1 / tiny would be infinite
    log_r = weights.log() - offset.square().flatten(2).sum(2) / (2 * V_r) - pixels / 2 * V_r.log()
    r = torch.softmax(log_r, dim=1)
    nearest = torch.einsum("bk,bkchw->bchw", r, means.expand_as(offset))
    x_0 = nearest + torch.einsum("bk,bkchw->bchw", r * alpha * stds**2 / V, offset)
    return x_0, torch.einsum("bk,bkchw->bchw", r * sigma / V, offset)


def _exact_v(
    schedule: NoiseSchedule,
    x_t: Latents,
    t: Times,
    condition: Condition,
    means: Float[Tensor, "k _c _h _w"],
    stds: Float[Tensor, " k"],
) -> Latents:
    """v of the exact denoiser: unlike eps and x_0, it is finite and accurate at both ends of time."""
    alpha, sigma = schedule.alpha_sigma(t)
    x_0, eps = posterior(x_t, alpha, sigma, means, stds, condition.tensors["weights"].to(x_t))
    return target("v", x_0, eps, per_sample(alpha, x_t), per_sample(sigma, x_t))


def _describe(prior: Prior, schedule: NoiseSchedule | None, resolution: int = 64) -> None:
    """What every analytic prior declares."""
    prior.schedule, prior.kind = schedule or NoiseSchedule.cosine(), "v"
    prior.latent_channels, prior.factor, prior.resolution = 3, 1, resolution


def _check_stds(stds: Sequence[float]) -> None:
    if min(stds) < 0:
        raise ValueError(f"Standard deviations cannot be negative, got {list(stds)}.")


def _from_origin(cameras: Cameras) -> Float[Tensor, "b 3"]:
    """Unit vectors from the origin to the cameras."""
    return F.normalize(cameras.world_from_camera[:, :3, 3], dim=1)


def _chosen(
    captions: Sequence[str], texts: Sequence[str], weights: Float[Tensor, " k"]
) -> Float[Tensor, "b k"]:
    """For each text the weights of the captions that have all of its words, made to sum to 1.

    Words of views count only where some caption has one.
    """
    words = [_words(caption) for caption in captions]
    known = set().union(*words)
    silent = _words(" ".join(VIEW_WORDS.values())) - known
    rows = []
    for text in texts:
        asked = _words(text) - silent
        if asked - known:
            unknown = ", ".join(sorted(asked - known))
            raise UserError(f"This prior does not know: {unknown}. It knows: {', '.join(sorted(known))}.")
        row = weights * torch.tensor([asked <= caption for caption in words], device=weights.device)
        if not row.any():
            raise UserError(
                f"No caption of this prior has all words of {text!r}. Its captions: {list(captions)}."
            )
        rows.append(row / row.sum())
    return torch.stack(rows)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))
