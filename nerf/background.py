"""What lies behind the object: a colour, random colours, or a small network of the viewing direction.

A random colour for each image tells the optimization apart from its background: what is transparent changes
colour from step to step. The network is tiny, so that it cannot paint the prompt (DreamFusion, appendix A.2).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nerf.encodings import spherical_harmonics
from nerf.fields.base import Multiple, mlp
from suite.rng import generator as make_generator
from suite.schedules import Schedule


class Background(nn.Module, ABC):
    """A colour for each viewing direction. What it learns, it learns at the rate `lr`."""

    lr = 0.001

    @abstractmethod
    def forward(
        self, directions: Float[Tensor, "b h w 3"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b h w 3"]:
        """RGB in [0, 1] behind each ray. Without a generator nothing is random."""

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        """Its parameters with their learning rate, `lr` times `decay`; [] if there are none."""
        parameters = list(self.parameters())
        return [{"params": parameters, "lr": Multiple(decay, self.lr)}] if parameters else []


class SolidBackground(Background):
    """One colour, or while training sometimes a random one for each image.

    Args:
        color: RGB in [0, 1].
        random: Probability that an image gets a random colour while training.
        tint: How colourful random colours are: 1 any colour, 0 greys. What no picture of the prior's world has
            behind it, the prior paints over with fog.
    """

    def __init__(
        self,
        *,
        color: Sequence[float | int] = (1.0, 1.0, 1.0),
        random: float | int = 0.0,
        tint: float | int = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= tint <= 1:
            raise ValueError(f"SolidBackground needs tint in [0, 1], got {tint}.")
        self.tint = float(tint)
        if len(color) != 3 or not all(0 <= c <= 1 for c in color):
            raise ValueError(f"SolidBackground needs color=[red, green, blue] in [0, 1], got {list(color)}.")
        self.random = _probability(random, "SolidBackground")
        self.register_buffer("color", torch.tensor([float(c) for c in color]), persistent=False)

    def forward(
        self, directions: Float[Tensor, "b h w 3"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b h w 3"]:
        if generator is None or self.random == 0:
            return self.color.expand(directions.shape)
        shown, is_random = _random_colors(directions, self.random, generator, self.tint)
        return torch.where(is_random[:, None, None, None], shown, self.color)


class NetworkBackground(Background):
    """Spherical harmonics of the direction through a network of two hidden layers.

    Args:
        hidden: Width of the hidden layers.
        random: Probability that an image gets a random colour instead while training.
        lr: Learning rate.
        seed: Of the initial weights.
    """

    def __init__(
        self, *, hidden: int = 16, random: float | int = 0.5, lr: float | int = 0.001, seed: int = 0
    ) -> None:
        super().__init__()
        if hidden < 1 or lr <= 0:
            raise ValueError(f"NetworkBackground needs hidden >= 1 and lr > 0, got {hidden=}, {lr=}.")
        self.lr = float(lr)
        self.random = _probability(random, "NetworkBackground")
        self.network = mlp([9, hidden, hidden, 3], make_generator(seed, 0, "background network"))

    def forward(
        self, directions: Float[Tensor, "b h w 3"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b h w 3"]:
        if generator is None or self.random == 0:
            return self._color(directions)
        shown, is_random = _random_colors(directions, self.random, generator)
        if is_random.all():
            return shown
        return torch.where(is_random[:, None, None, None], shown, self._color(directions))

    def _color(self, directions: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w 3"]:
        return torch.sigmoid(self.network(spherical_harmonics(directions)))


def _probability(value: float | int, name: str) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} needs random in [0, 1], got {value}.")
    return float(value)


def _random_colors(
    directions: Float[Tensor, "b h w 3"], probability: float, generator: torch.Generator, tint: float = 1.0
) -> tuple[Float[Tensor, "b h w 3"], Bool[Tensor, " b"]]:
    """A colour for each image, and whether it is to be used."""
    drawn = torch.rand(len(directions), 5, generator=generator, device=generator.device).to(directions.device)
    colors = torch.lerp(drawn[:, 4:], drawn[:, :3], tint)
    return colors[:, None, None].expand(directions.shape), drawn[:, 3] < probability
