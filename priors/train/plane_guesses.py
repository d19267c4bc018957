"""Planes of symmetry that a volume's network is told while it learns: right ones and wrong ones, and which they are."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from priors.symmetry import Planes
from priors.train.base import mean_of
from suite.toyworld.view_pairs import Viewpoints

UNTOLD = 0.1  # share of things of which no plane of symmetry is told
LEAST_SURE = 0.35  # how likely a told one is right at least
JITTER_DEG, WRONG_DEG, ACROSS_DEG = (
    2.0,
    15.0,
    12.0,
)  # how far from the true plane right, wrong and crossing ones lie
ACROSS = 0.4  # share of the wrong ones that cross the true one
RIGHT_DEG = 10.0  # what is nearer to the true plane is right
PLANES = 0.01  # weight of the surprise at which planes are right


def true_planes(viewpoints: Sequence[Viewpoints], turned: Bool[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Azimuths of things' planes relative to their first cameras, of mirror images where turned; nan without one."""
    azimuth = torch.tensor([seen.plane_deg - seen.azimuth_deg[0] for seen in viewpoints])
    return torch.where(turned, -azimuth, azimuth)


def told_planes(
    viewpoints: Sequence[Viewpoints], turned: Bool[Tensor, " b"], generator: torch.Generator
) -> Planes:
    """Planes that are right as often as they are said to be; of some things none.

    A wrong one is any, or crosses the true one where a box that stands on that has its other plane of symmetry.
    """
    azimuth = true_planes(viewpoints, turned)
    told, sure, right, across, turn = torch.rand((5, len(azimuth)), generator=generator)
    jitter = torch.randn(azimuth.shape, generator=generator)
    sure = LEAST_SURE + (1 - LEAST_SURE) * sure
    wrong = torch.where(across < ACROSS, 90 + ACROSS_DEG * jitter, WRONG_DEG + (180 - 2 * WRONG_DEG) * turn)
    azimuth = azimuth + torch.where(right < sure, JITTER_DEG * jitter, wrong)
    known = azimuth.isfinite() & (told > UNTOLD)
    return Planes(azimuth.nan_to_num(0.0), sure * known)


def right_planes(
    planes: Planes, viewpoints: Sequence[Viewpoints], turned: Bool[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """1 for planes that are right, 0 for wrong ones, nan where nobody knows: none is told, or the thing has none."""
    away = (planes.azimuth_deg - true_planes(viewpoints, turned) + 90) % 180 - 90
    known = away.isfinite() & (planes.sure > 0)
    return torch.where(known, (away.abs() < RIGHT_DEG).float(), torch.nan)


def plane_surprise(fits: Float[Tensor, " b"], right: Float[Tensor, " b"]) -> Tensor:
    """Cross-entropy of what a network says of planes, where that is known; 0 of none."""
    known = right.isfinite()
    unlike = F.binary_cross_entropy_with_logits(fits, right.nan_to_num(0.0), reduction="none")
    return mean_of(unlike, known)
