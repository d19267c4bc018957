"""Fields whose surface is known in closed form."""

import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Density, Field


class KnownField(Field):
    """density = exp(log_density(x)); red where x > 0, blue elsewhere, or what `logits` says."""

    def __init__(self, log_density: Callable, radius: float = 0.6, logits: Callable | None = None) -> None:
        super().__init__(radius, Density(activation="exp", blob="none"), "analytic", 0.02)
        self.log_density, self.logits = log_density, logits

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        x = unit * self.radius
        color = torch.stack([x[:, 0], -1 + 0 * x[:, 0], -x[:, 0]], dim=-1).sign() * 12
        if self.logits is not None:
            color = self.logits(x)
        return torch.cat([(self.log_density(x) + math.log(self.radius))[:, None], color], dim=-1)


LEVEL = 20.0


def sharp(distance: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """log of a density that is LEVEL at distance 0, 400 further inside, and next to nothing outside."""
    return math.log(LEVEL) + (-distance / 0.02).clamp(-12, 3)


@pytest.fixture
def known_field() -> type[KnownField]:
    return KnownField


@pytest.fixture
def ball() -> KnownField:
    """Radius .4."""
    return KnownField(lambda x: sharp(x.norm(dim=-1) - 0.4))


@pytest.fixture
def torus() -> KnownField:
    """Rings of .33 and .12 about the z axis."""
    return KnownField(lambda x: sharp(torch.hypot(torch.hypot(x[:, 0], x[:, 1]) - 0.33, x[:, 2]) - 0.12))
