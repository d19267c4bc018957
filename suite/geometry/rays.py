"""Rays through pixel centres, and where they cross the box of a field."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Rays:
    """One ray a pixel. `directions` have length 1, so a distance along a ray is a distance in the world."""

    origins: Float[Tensor, "b h w 3"]
    directions: Float[Tensor, "b h w 3"]

    def at(self, distance: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w 3"]:
        """The points at `distance` along each ray."""
        return self.origins + distance[..., None] * self.directions


def intersect_box(
    origins: Float[Tensor, "*n 3"], directions: Float[Tensor, "*n 3"], radius: float | int
) -> tuple[Float[Tensor, " *n"], Float[Tensor, " *n"]]:
    """Where rays enter and leave the box [-radius, radius]^3 (slab test).

    Returns:
        near, far: Distances with 0 <= near <= far. A ray that misses, or whose box lies behind it, has
        far == near, so it holds no samples.
    """
    if radius <= 0:
        raise ValueError(f"intersect_box needs radius > 0, got {radius}.")
    # A ray along an axis never crosses the other slabs: 1e-12 keeps 0 * inf = NaN away.
    tiny = torch.where(directions < 0, -1e-12, 1e-12).to(directions.dtype)
    inverse = 1.0 / torch.where(directions.abs() < 1e-12, tiny, directions)
    low, high = (-radius - origins) * inverse, (radius - origins) * inverse
    near = torch.minimum(low, high).amax(-1).clamp_min(0.0)
    far = torch.maximum(low, high).amin(-1)
    return near, torch.maximum(near, far)
