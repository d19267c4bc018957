"""Density and colour stored at the vertices of a regular grid: no network, the fewest operations a sample.

Voxels know nothing of their neighbours. Under score distillation give them a sum of grids from coarse to
fine, whose coarse ones move many places at once, or the regularizer `TotalVariation`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.encodings import GridLevels, interpolate
from nerf.fields.base import Density, Field


class DenseGridField(Field):
    """A sum of dense grids, interpolated trilinearly before the activations.

    Args:
        radius: The field covers [-radius, radius]^3.
        resolutions: Vertices along an axis of each grid, as [64] or [16, 32, 64].
        density: How the raw density is activated, and the ball it starts from.
        normals: "analytic", or "finite_difference" over `normal_step` times the radius to either side.
        backend: See `nerf.encodings.interpolate`.
        lr: Learning rate of the density.
        color_lr: Colours learn at this multiple of it.
    """

    def __init__(
        self,
        *,
        radius: float | int = 0.6,
        resolutions: Sequence[int] = (64,),
        density: Density | None = None,
        normals: str = "finite_difference",
        normal_step: float | int = 0.03,
        backend: str = "auto",
        lr: float | int = 0.05,
        color_lr: float | int = 1.0,
    ) -> None:
        super().__init__(radius=radius, density=density, normals=normals, normal_step=normal_step, lr=lr)
        if not resolutions or min(resolutions) < 2:
            raise ValueError(f"DenseGridField needs resolutions of 2 or more, got {list(resolutions)}.")
        if color_lr <= 0:
            raise ValueError(f"DenseGridField needs color_lr > 0, got {color_lr}.")
        self.grid, self.backend, self.color_lr = GridLevels.dense(*resolutions), backend, float(color_lr)
        self.table = nn.Parameter(torch.zeros(self.grid.offsets[-1], 4))

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        values = interpolate((unit + 1) / 2, self.table, self.grid, self.backend)
        values = values.unflatten(-1, (len(self.grid.cells), 4)).sum(1)
        # a table learns at one rate: colours are stored in smaller units, so that a step moves them further
        return values * values.new_tensor([1.0, self.color_lr, self.color_lr, self.color_lr])

    def volumes(self) -> list[Float[Tensor, "_ _ _ 4"]]:
        """The grids (axes z, y, x, value), for regularizers that look at neighbours."""
        sides = [cells + 1 for cells in self.grid.cells]
        parts = self.table.split(list(self.grid.rows))
        return [part.view(side, side, side, 4) for part, side in zip(parts, sides, strict=True)]
