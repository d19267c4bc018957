"""Low-rank changes of attention's four projections (arXiv:2106.09685), as AnimateDiff uses them twice.

    W' = W + s B A            A: rank x in, B: out x rank, zero at first; s: the strength

    domain adapter    on the spatial attentions of the U-Net: what the frames of a set of videos look like
    MotionLoRA        on the attentions of the motion modules: one kind of motion; where these know places (places.py),
                      on what is multiplied there too, since attention over the frames of one place cannot say where

There is no division by the rank (nor peft's alpha): s is all, and a file trained with s is saved as s B.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.errors import UserError
from suite.rng import generator

PROJECTION = re.compile(r"\.(attn[12]\.to_(q|k|v|out\.0)|placed\.(words|numbers|places))$")
Hook = Callable[[nn.Module, tuple, Tensor], Tensor]


class LoRA(nn.Module):
    """Pairs of thin matrices, each beside a linear layer of a host network.

    Args:
        pairs: The layer's name in the host (the U-Net, or the motion modules) -> (A, B).
        name: Where it came from, for messages.

    Raises:
        UserError: There are no pairs.
    """

    def __init__(self, pairs: dict[str, tuple[Tensor, Tensor]], *, name: str = "this LoRA") -> None:
        super().__init__()
        if not pairs:
            raise UserError(f"{name} changes no layer.")
        self.name, self.targets = name, tuple(pairs)
        self.down = nn.ParameterList([nn.Parameter(down) for down, _ in pairs.values()])
        self.up = nn.ParameterList([nn.Parameter(up) for _, up in pairs.values()])

    @property
    def of_motion(self) -> bool:
        """Whether it changes motion modules (a MotionLoRA) and not image layers (a domain adapter)."""
        return "motion_modules" in self.targets[0]

    @property
    def rank(self) -> int:
        """Rows of A."""
        return len(self.down[0])

    def pairs(self, strength: float = 1.0) -> dict[str, tuple[Tensor, Tensor]]:
        """The layer's name -> (A, strength B)."""
        return {
            name: (down.detach(), strength * up.detach())
            for name, down, up in zip(self.targets, self.down, self.up)
        }

    def check_fit(self, host: nn.Module | None) -> None:
        """Refuse a network whose layers it does not change.

        Args:
            host: The U-Net for a domain adapter, the motion modules for a MotionLoRA.

        Raises:
            UserError: Says which layers it is made for.
        """
        kind = "a MotionLoRA, of motion modules" if self.of_motion else "a domain adapter, of a U-Net"
        if host is None:
            raise UserError(
                f"{self.name} is {kind}, and there are none: type motion=file motion.path=FILE too."
            )
        for target, down, up in zip(self.targets, self.down, self.up):
            layer = _layer(host, target)
            if layer is None:
                raise UserError(f"{self.name} is {kind} with a layer {target}, which this one lacks.")
            ours, theirs = (layer.out_features, layer.in_features), (up.shape[0], down.shape[1])
            if ours != theirs:
                raise UserError(
                    f"{self.name} is {kind} with {theirs[1]} channels at {target}; here are {ours[1]}. It belongs "
                    "to another model."
                )

    def hooks(self, host: nn.Module, strength: float) -> list[tuple[nn.Module, Hook]]:
        """Each linear layer of the host that it changes, with what to hook on it."""
        if strength == 0:
            return []
        pairs = zip(self.targets, self.down, self.up)
        return [(host.get_submodule(target), _Beside(down, up, strength)) for target, down, up in pairs]

    @torch.no_grad()
    def merge(self, host: nn.Module, strength: float | int = 1.0) -> None:
        """Add it to the host's own weights for good, W += s B A: the same answers without the detour.

        Raises:
            UserError: It does not fit.
        """
        self.check_fit(host)
        for target, down, up in zip(self.targets, self.down, self.up):
            weight = host.get_submodule(target).weight
            weight += strength * (up.float() @ down.float()).to(weight)


def fresh_lora(host: nn.Module, *, rank: int, seed: int = 0, name: str = "the LoRA in training") -> LoRA:
    """A LoRA on every projection of every attention of a network, and on what it is told of places, that does nothing
    yet.

    Raises:
        UserError: rank is not positive.
    """
    if rank < 1:
        raise UserError(f"rank must be positive, got {rank}.")
    draws, pairs = generator(seed, 0, "lora"), {}
    for target, layer in host.named_modules():
        if isinstance(layer, nn.Linear) and PROJECTION.search(target):
            down = torch.randn(rank, layer.in_features, generator=draws) / rank
            pairs[target] = (down, torch.zeros(layer.out_features, rank))
    return LoRA(pairs, name=name)


class _Beside:
    """y + s B A x, in the LoRA's own precision: what is hooked on a linear layer."""

    def __init__(self, down: Tensor, up: Tensor, strength: float) -> None:
        self.down, self.up, self.strength = down, up, strength

    def __call__(self, _: nn.Module, args: tuple, y: Tensor) -> Tensor:
        x = args[0].to(self.down.dtype)
        return y + (self.strength * F.linear(F.linear(x, self.down), self.up)).to(y.dtype)


def _layer(host: nn.Module, name: str) -> nn.Linear | None:
    try:
        layer = host.get_submodule(name)
    except AttributeError:
        return None
    return layer if isinstance(layer, nn.Linear) else None
