"""Which cells of a field's box hold something, so that no network is asked about empty space.

Every so often each cell is probed at a random place in it; the cell remembers

    d <- max(decay * d, density(x))

and is occupied where d times the renderer's step exceeds the threshold (or d exceeds the mean of d, if that
is less), and next to such a cell, so that surfaces can move. nerfacc's estimator keeps its grid in the same
way (Li et al. 2023, arXiv:2305.04966), but draws from the global generator, which cannot be resumed.

It also knows where the scene is solid: the least density of the last two probes of a cell and its neighbours.
A ray that has passed enough of it sees nothing more, and need not be sampled further.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nerf.fields.base import Field


class OccupancyGrid(nn.Module):
    """Occupied cells of the box [-radius, radius]^3 of a field, updated during training.

    Args:
        resolution: Cells along an axis.
        every: Steps between updates.
        threshold: A cell whose density takes less than this share of the light in one step is empty.
        decay: How fast densities that were seen are forgotten, per update.
    """

    def __init__(
        self,
        *,
        resolution: int = 32,
        every: int = 16,
        threshold: float | int = 0.01,
        decay: float | int = 0.8,
    ) -> None:
        super().__init__()
        if resolution < 1 or every < 1:
            raise ValueError(
                f"OccupancyGrid needs resolution >= 1 and every >= 1, got {resolution=}, {every=}."
            )
        if not 0 < threshold < 1 or not 0 <= decay < 1:
            raise ValueError(
                f"OccupancyGrid needs 0 < threshold < 1 and 0 <= decay < 1, got {threshold=}, {decay=}."
            )
        self.every, self.threshold, self.decay = every, float(threshold), float(decay)
        self.density: Float[Tensor, "z y x"]
        self.occupied: Bool[Tensor, "z y x"]
        self.register_buffer("density", torch.zeros(resolution, resolution, resolution))
        self.solid: Float[Tensor, "z y x"]
        self.last: Float[Tensor, "z y x"]
        self.register_buffer("occupied", torch.ones(resolution, resolution, resolution, dtype=torch.bool))
        self.register_buffer("solid", torch.zeros(resolution, resolution, resolution))
        self.register_buffer("last", torch.zeros(resolution, resolution, resolution))

    @torch.no_grad()
    def update(self, field: Field, step_length: float, generator: torch.Generator) -> None:
        """Probe every cell once."""
        n, device = len(self.density), self.density.device
        z, y, x = torch.meshgrid(*[torch.arange(n, device=device)] * 3, indexing="ij")
        inside = torch.rand(n, n, n, 3, generator=generator, device=generator.device).to(device)
        unit = (torch.stack([x, y, z], dim=-1) + inside) * (2 / n) - 1
        probed = field.density(unit * field.radius)
        self.density.copy_(torch.maximum(self.density * self.decay, probed))
        least = torch.clamp_max(self.density.mean(), self.threshold / step_length)
        self.occupied.copy_(_highest_around((self.density > least).float()) > 0)
        self.solid.copy_(-_highest_around(-torch.minimum(probed, self.last)))
        self.last.copy_(probed)

    @property
    def fraction(self) -> float:
        """Share of the cells that are occupied."""
        return float(self.occupied.float().mean())


def _highest_around(values: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    """The highest value among a cell and its 26 neighbours."""
    return nn.functional.max_pool3d(values[None, None], kernel_size=3, stride=1, padding=1)[0, 0]
