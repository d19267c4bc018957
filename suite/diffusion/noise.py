"""How a picture is drowned in noise, and what a network's answer says about the picture.

    x_t = alpha_t x_0 + sigma_t eps,        eps ~ N(0, I)

    x_t    what the network sees              alpha, sigma   the schedule; SNR = alpha^2 / sigma^2
    x_0    the clean picture (or latent)      t in (0, 1]    0 is clean, 1 is noise
    eps    the noise                          v              alpha eps - sigma x_0  (arXiv:2202.00512, App. D)
                                              flow           eps - x_0              (arXiv:2209.03003)

Nothing below assumes alpha^2 + sigma^2 = 1, so that variance-preserving schedules and straight flows share
every formula. alpha and sigma are float32, or float64 where t is; never half, whose integers above 2048
(bfloat16: 256) have gaps.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor

from suite.diffusion.betas import betas_of, zero_terminal_snr
from suite.types import Times

Kind = Literal["epsilon", "v", "x_0", "flow"]
Spacing = Literal["leading", "trailing", "linspace"]


def noise_like(
    x: Shaped[Tensor, "*shape"], generator: torch.Generator | Sequence[torch.Generator]
) -> Shaped[Tensor, "*shape"]:
    """Standard normal noise, drawn where the generator lives: the same numbers whatever the device of `x`.

    Several generators, one a sample, draw each sample its own: the same numbers whatever the batch.
    """
    if not isinstance(generator, torch.Generator):
        return torch.cat([noise_like(x[i : i + 1], own) for i, own in enumerate(generator)])
    noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
    return noise.to(x.device)


def per_sample(scale: Float[Tensor, " b"], like: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """`scale` with trailing axes of one, to multiply `like`."""
    return scale.reshape(-1, *[1] * (like.dim() - 1))


# ------------------------------------------------------------------------------------------------ predictions


@dataclass(frozen=True)
class Prediction:
    """What a network said about `x_t`, readable as eps, x_0, v or flow whatever its own kind.

    Args:
        x_t: What it was shown.
        alpha, sigma: The noise level; broadcastable to `x_t`.
        raw: Its answer.
        kind: What the answer is. An "epsilon" answer says nothing of x_0 where alpha is 0, nor "x_0" of eps
            where sigma is 0 (the result is not finite there); "v" and "flow" serve everywhere.
    """

    x_t: Float[Tensor, "b *chw"]
    alpha: Float[Tensor, "..."]
    sigma: Float[Tensor, "..."]
    raw: Float[Tensor, "b *chw"]
    kind: Kind

    def __post_init__(self) -> None:
        for name in ("x_t", "alpha", "sigma", "raw"):
            value = getattr(self, name)
            if value.dtype in (torch.float16, torch.bfloat16):
                object.__setattr__(self, name, value.float())

    @property
    def x_0(self) -> Float[Tensor, "b *chw"]:
        """The clean picture."""
        x_t, alpha, sigma, raw = self.x_t, self.alpha, self.sigma, self.raw
        match self.kind:
            case "x_0":
                return raw
            case "epsilon":
                return (x_t - sigma * raw) / alpha
            case "v":
                return (alpha * x_t - sigma * raw) / (alpha**2 + sigma**2)
            case "flow":
                return (x_t - sigma * raw) / (alpha + sigma)

    @property
    def eps(self) -> Float[Tensor, "b *chw"]:
        """The noise."""
        x_t, alpha, sigma, raw = self.x_t, self.alpha, self.sigma, self.raw
        match self.kind:
            case "x_0":
                return (x_t - alpha * raw) / sigma
            case "epsilon":
                return raw
            case "v":
                return (sigma * x_t + alpha * raw) / (alpha**2 + sigma**2)
            case "flow":
                return (x_t + alpha * raw) / (alpha + sigma)

    @property
    def v(self) -> Float[Tensor, "b *chw"]:
        """alpha eps - sigma x_0."""
        return self.raw if self.kind == "v" else target("v", self.x_0, self.eps, self.alpha, self.sigma)

    @property
    def flow(self) -> Float[Tensor, "b *chw"]:
        """eps - x_0."""
        return self.raw if self.kind == "flow" else target("flow", self.x_0, self.eps, self.alpha, self.sigma)


def target(
    kind: Kind,
    x_0: Float[Tensor, "*bchw"],
    eps: Float[Tensor, "*bchw"],
    alpha: Float[Tensor, "..."],
    sigma: Float[Tensor, "..."],
) -> Float[Tensor, "*bchw"]:
    """What a network of this kind should answer: the target of training."""
    match kind:
        case "epsilon":
            return eps
        case "x_0":
            return x_0
        case "v":
            return alpha * eps - sigma * x_0
        case "flow":
            return eps - x_0


# -------------------------------------------------------------------------------------------------- schedules


class NoiseSchedule(ABC):
    """alpha and sigma as functions of t in (0, 1], and the times at which a sampler visits them."""

    final: tuple[float, float] = (1.0, 0.0)
    """(alpha, sigma) at which sampling ends."""

    @abstractmethod
    def _alpha_sigma(self, t: Times) -> tuple[Times, Times]: ...

    @abstractmethod
    def model_time(self, t: Times) -> Num[Tensor, " b"]:
        """What the network is fed for t."""

    @abstractmethod
    def times(self, steps: int, spacing: Spacing | None = None) -> Float[Tensor, " steps"]:
        """The times at which a sampler of so many steps asks the network: descending, float64, on the CPU."""

    def alpha_sigma(self, t: Times) -> tuple[Times, Times]:
        """alpha and sigma at t, in t's precision.

        Raises:
            ValueError: t is in half precision.
        """
        if t.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"Times need float32 or float64, got {t.dtype}. Draw them in float32.")
        return self._alpha_sigma(t)

    def log_snr(self, t: Times) -> Times:
        """log(alpha^2 / sigma^2); -inf where alpha is 0."""
        alpha, sigma = self.alpha_sigma(t)
        return 2 * (alpha.log() - sigma.log())

    def add_noise(
        self, x_0: Float[Tensor, "b *chw"], eps: Float[Tensor, "b *chw"], t: Times
    ) -> Float[Tensor, "b *chw"]:
        """x_t = alpha x_0 + sigma eps."""
        alpha, sigma = self.alpha_sigma(t)
        return per_sample(alpha, x_0) * x_0 + per_sample(sigma, x_0) * eps

    @staticmethod
    def flow(shift: float = 1.0, *, time_scale: float = 1000.0) -> "FlowSchedule":
        """The straight path of rectified flow; see FlowSchedule."""
        return FlowSchedule(shift=shift, time_scale=time_scale)

    @staticmethod
    def cosine() -> "CosineSchedule":
        """alpha = cos(pi t / 2), sigma = sin(pi t / 2); see CosineSchedule."""
        return CosineSchedule()

    @staticmethod
    def from_scheduler_config(config: Mapping[str, Any]) -> "NoiseSchedule":
        """The schedule that a diffusers `scheduler_config.json` describes, whichever class wrote it.

        Only the configuration is read: the scheduler classes' own `add_noise` follow two conventions.

        Raises:
            ValueError: A kind of schedule that is not known here.
        """
        name = str(config.get("_class_name", ""))
        if name.startswith("FlowMatch"):
            if config.get("use_dynamic_shifting"):
                raise ValueError(
                    f"{name} shifts its noise with the image size, which is not supported. "
                    "Choose one shift: NoiseSchedule.flow(shift=3.0)."
                )
            time_scale = float(config.get("num_train_timesteps", 1000))
            return FlowSchedule(shift=float(config.get("shift", 1.0)), time_scale=time_scale)
        betas = betas_of(config)
        if config.get("rescale_betas_zero_snr"):
            betas = zero_terminal_snr(betas)
        return DiscreteSchedule(
            betas,
            spacing=config.get("timestep_spacing", "leading"),
            steps_offset=int(config.get("steps_offset", 0)),
            set_alpha_to_one=bool(config.get("set_alpha_to_one", True)),
        )


class DiscreteSchedule(NoiseSchedule):
    """The table of a DDPM (arXiv:2006.11239): alpha_k^2 = prod_{i <= k} (1 - beta_i), k = floor(t T).

    Args:
        betas: The T variances; 1000 in every published model.
        spacing: How a sampler's steps lie in the table: "leading", "trailing" or "linspace" (Lin et al.,
            arXiv:2305.08891, Table 2).
        steps_offset: Added to the steps of "leading"; 1 in Stable Diffusion.
        set_alpha_to_one: Whether the last step goes to alpha = 1 or to the table's first entry.
    """

    def __init__(
        self,
        betas: Float[Tensor, " T"],
        *,
        spacing: str = "leading",
        steps_offset: int = 0,
        set_alpha_to_one: bool = True,
    ) -> None:
        if spacing not in ("leading", "trailing", "linspace"):
            raise ValueError(f"timestep_spacing {spacing!r} is not one of: leading, trailing, linspace.")
        alphas_cumprod = torch.cumprod(1 - betas.double(), dim=0)
        self.alphas, self.sigmas = alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()
        self.spacing, self.steps_offset = spacing, steps_offset
        if not set_alpha_to_one:
            self.final = (float(self.alphas[0]), float(self.sigmas[0]))

    def __len__(self) -> int:
        return len(self.alphas)

    def model_time(self, t: Times) -> Num[Tensor, " b"]:
        """The integer step floor(t T), clipped to 0..T-1."""
        # k / T * T can land 6e-5 below k in float32 near k = 1000; 1e-3 of a step brings it back.
        return (t * len(self) + 1e-3).floor().long().clamp(0, len(self) - 1)

    def _alpha_sigma(self, t: Times) -> tuple[Times, Times]:
        k = self.model_time(t)
        return self.alphas.to(t.dtype).to(t.device)[k], self.sigmas.to(t.dtype).to(t.device)[k]

    def timesteps(self, steps: int, spacing: Spacing | None = None) -> list[int]:
        """The integer steps that diffusers' DDIMScheduler visits, descending.

        Raises:
            ValueError: More steps than the table has.
        """
        T, spacing = len(self), spacing or self.spacing
        if not 1 <= steps <= T:
            raise ValueError(f"A sampler of this prior takes 1 to {T} steps, got {steps}.")
        if spacing == "leading":
            ks = [i * (T // steps) + self.steps_offset for i in range(steps)][::-1]
        elif spacing == "trailing":
            ks = [round(T - i * T / steps) - 1 for i in range(steps)]
        else:
            ks = [round(i * (T - 1) / max(steps - 1, 1)) for i in range(steps)][::-1]
        if ks[0] >= T:
            raise ValueError(f"{steps} steps of spacing 'leading' pass the table's end; use at most {T - 1}.")
        return ks

    def times(self, steps: int, spacing: Spacing | None = None) -> Float[Tensor, " steps"]:
        """The middle of each visited step, so that rounding cannot leave it."""
        return (torch.tensor(self.timesteps(steps, spacing), dtype=torch.float64) + 0.5) / len(self)


class FlowSchedule(NoiseSchedule):
    """Rectified flow: sigma = shift t / (1 + (shift - 1) t), alpha = 1 - sigma (arXiv:2403.03206, Eq. 23).

    Args:
        shift: More than 1 spends more steps at high noise; 3 in Stable Diffusion 3.
        time_scale: The network is fed time_scale * sigma; 1000 in Stable Diffusion 3, 1 in Qwen-Image.
    """

    def __init__(self, *, shift: float = 1.0, time_scale: float = 1000.0) -> None:
        if shift <= 0:
            raise ValueError(f"A flow's shift must be positive, got {shift}. 1 is no shift.")
        self.shift, self.time_scale = shift, time_scale

    def _sigma(self, t: Times) -> Times:
        return self.shift * t / (1 + (self.shift - 1) * t)

    def _alpha_sigma(self, t: Times) -> tuple[Times, Times]:
        sigma = self._sigma(t)
        return 1 - sigma, sigma

    def model_time(self, t: Times) -> Num[Tensor, " b"]:
        """time_scale * sigma."""
        return self.time_scale * self._sigma(t)

    def times(self, steps: int, spacing: Spacing | None = None) -> Float[Tensor, " steps"]:
        """Even from 1 to sigma(1/1000), as diffusers does; "trailing": even from 1 to 1 / steps."""
        last = {"linspace": float(self._sigma(torch.tensor([1e-3], dtype=torch.float64)))}
        return _even_times(steps, spacing or "linspace", **last)


class CosineSchedule(NoiseSchedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2): continuous, from clean to pure noise."""

    def _alpha_sigma(self, t: Times) -> tuple[Times, Times]:
        return torch.sin(math.pi / 2 * (1 - t)), torch.sin(math.pi / 2 * t)  # the first is exactly 0 at t = 1

    def model_time(self, t: Times) -> Num[Tensor, " b"]:
        """t itself."""
        return t

    def times(self, steps: int, spacing: Spacing | None = None) -> Float[Tensor, " steps"]:
        """Even from 1 to 1 / steps; the last step goes to 0."""
        return _even_times(steps, spacing or "trailing")


def _even_times(steps: int, spacing: str, **last: float) -> Float[Tensor, " steps"]:
    """Even from 1 to the spacing's last time."""
    if steps < 1:
        raise ValueError(f"A sampler takes at least 1 step, got {steps}.")
    last = {"trailing": 1 / steps, **last}
    if spacing not in last:
        raise ValueError(f"Spacing {spacing!r} is not possible with this schedule; use {' or '.join(last)}.")
    return torch.linspace(1, last[spacing], steps, dtype=torch.float64)
