"""What the trainings of denoisers share: options that must fit, the optimizer and its rate, the moving average."""

from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from suite.errors import UserError
from suite.optimizers import MuonWithAdamW, matrices_and_others
from suite.schedules import Piecewise
from suite.task import Optimization

CODEC_BATCH = 1 << 30  # the number of the batch that the codec is fitted on, which no training step reaches


class Training(Protocol):
    """What learns, and the average that is kept of it."""

    learning: nn.ModuleDict

    def update_average(self, step: int) -> None:
        """Move the average towards what was learnt."""


class TrainDenoiser(Optimization):
    """Steps on `self.training` at the rate `self.lr`: up in the first 500 steps, down to nothing in the last fifth."""

    training: Training
    lr: float

    def parameter_groups(self) -> list[dict]:
        warm, fall = min(500 / self.steps, 0.1), 0.8
        rate = Piecewise(points=[[0.0, 0.0], [warm, self.lr], [fall, self.lr], [1.0, 0.0]])
        return [{"params": part, "lr": rate} for part in matrices_and_others(self.training.learning)]

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Muon for matrices, which learns in fewer steps than the AdamW of Stable Diffusion, and that for the rest."""
        return MuonWithAdamW(*matrices_and_others(self.training.learning), lr=0.0)

    def after_step(self, step: int) -> None:
        self.training.update_average(step)


def check_sizes(*, size: int, lr: float, noisy: float, **counts: int) -> None:
    """Refuse counts below 1, rates and powers not above 0, and pictures that codec and levels do not divide.

    Raises:
        UserError: Says which.
    """
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"{name} must be positive, got {value}.")
    for name, value in (("lr", lr), ("noisy", noisy)):
        if value <= 0:
            raise UserError(f"{name} must be positive, got {value:g}.")
    if size % 16:
        raise UserError(f"size must be a multiple of 16, got {size}. Use 64 or 128.")


def mean_of(x: Float[Tensor, " b"], which: Bool[Tensor, " b"]) -> Tensor:
    """The mean of some numbers; 0 of none."""
    return (x * which).sum() / which.sum().clamp_min(1)
