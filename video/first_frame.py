"""How a clip begins from a still that is its first frame.

way        begins from                         first frame
replace    the still under noise, each frame   held: at every level it is put in its place, under its own noise
noise      the still under noise, each frame   made like the others: close to the still
concat     noise; the motion module sees the   held as well (PIA, arXiv:2312.13964; the place that is known is
           still beside the noise              marked as SparseCtrl does, arXiv:2311.16933)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import Condition
from suite.diffusion.samplers import Grid
from suite.errors import UserError
from video.generation import Generation
from video.motion.modules import Motion
from video.motion_prior import ClipLatents, with_still
from video.sampling import Known

WAYS = ("auto", "replace", "noise", "concat")
STRENGTH = {"replace": 0.9, "noise": 0.9, "concat": 1.0}


@dataclass(frozen=True)
class FirstFrame:
    """A way to begin from a still.

    Args:
        way: See above; never auto: `chosen_way` says what that means.
        strength: How much noise the frames begin with, above 0 up to 1; None is STRENGTH's of the way.
        affinity: concat: how alike the frames and the still are told to be, from the first on; the last number holds
            for the rest.

    Raises:
        UserError: An affinity is not in [0, 1], or there is none.
    """

    way: str
    strength: float | int | None = None
    affinity: tuple[float, ...] = (1.0, 0.0)

    def __post_init__(self) -> None:
        if not self.affinity or not all(0 <= a <= 1 for a in self.affinity):
            raise UserError(f"affinity is one or more numbers from 0 to 1, got {list(self.affinity)}.")

    def grid(self, make: Generation) -> Grid:
        """The levels on the way to data.

        Raises:
            UserError: strength is not in (0, 1].
        """
        return make.grid(STRENGTH[self.way] if self.strength is None else self.strength)

    def begin(
        self, make: Generation, still: Float[Tensor, "1 3 h w"], noise: ClipLatents, condition: Condition
    ) -> tuple[ClipLatents, Condition, Known | None]:
        """Where sampling starts, what it is told, and which frames are known."""
        frames = noise.shape[1]
        x_0 = make.encode(still).expand(-1, frames, -1, -1, -1)
        known = None if self.way == "noise" else Known(x_0, torch.arange(frames) == 0, noise)
        if self.way == "concat":
            told = [self.affinity[min(k, len(self.affinity) - 1)] for k in range(frames)]
            condition = with_still(condition, x_0[:, 0], torch.tensor([told], dtype=torch.float32))
        return make.start(self.grid(make), noise, x_0), condition, known


def chosen_way(way: str, motion: Motion | None) -> str:
    """The way that is meant.

    Raises:
        UserError: There is no such way, or not with this motion module.
    """
    if way not in WAYS:
        raise UserError(f"way={way!r} is not one of: {', '.join(WAYS)}.")
    sees = motion is not None and motion.sees_stills
    if way == "auto":
        return "concat" if sees else "replace"
    if way == "concat" and not sees:
        name = "no motion module at all" if motion is None else f"{motion.name}, which has none"
        raise UserError(
            "way=concat needs a motion module with an input for a still (PIA's, or one of suite train_motion "
            f"still=0.5); here is {name}. Type way=replace or way=noise, which all can do."
        )
    return way
