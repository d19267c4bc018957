"""The variances beta_1..beta_T of a DDPM as diffusers' scheduler configurations describe them; float64."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def betas_of(config: Mapping[str, Any]) -> Float[Tensor, " T"]:
    """The variances of a scheduler's configuration, in float64, with the defaults of diffusers."""
    if config.get("trained_betas") is not None:
        return torch.tensor(list(config["trained_betas"]), dtype=torch.float64)
    T, kind = int(config.get("num_train_timesteps", 1000)), config.get("beta_schedule", "linear")
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    match kind:
        case "linear":
            return torch.linspace(start, end, T, dtype=torch.float64)
        case "scaled_linear":
            return torch.linspace(start**0.5, end**0.5, T, dtype=torch.float64) ** 2
        case "squaredcos_cap_v2":  # Nichol and Dhariwal 2021, arXiv:2102.09672, Eq. 17, capped at 0.999
            t = torch.arange(T + 1, dtype=torch.float64) / T
            alpha_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
            return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    known = "linear, scaled_linear, squaredcos_cap_v2 (or trained_betas)"
    raise ValueError(f"beta_schedule {kind!r} is not one of: {known}.")


def zero_terminal_snr(betas: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Shift and stretch alpha so that the last is 0 and the first stays (arXiv:2305.08891, Algorithm 1)."""
    alpha = torch.cumprod(1 - betas, dim=0).sqrt()
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    alpha_bar = alpha**2
    return 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
