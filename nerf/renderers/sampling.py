"""Where a ray is sampled: one rule, midpoints of equal steps, skipping what the occupancy grid calls empty.

    t_k = near + (k + u) step,   k = 0, 1, ...      u = 1/2, or uniform in [0, 1) for each ray

Sample k is kept iff t_k < far, the cell of the occupancy grid at t_k is occupied, and the samples before it
have not passed DARK of optical depth in what is surely solid. It stands for a piece of the ray of length
`step`. A ray has at most `budget` samples, as step = (diagonal of the box) / budget.
`sample_torch` says it in torch, for any device; on a CPU `nerf.renderers.sampling_numba` is 20 times faster.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry.rays import intersect_box

DARK = 8.0  # exp(-8) = 3e-4 of the light is left


@dataclass(frozen=True)
class Samples:
    """Kept samples of all rays, one after the other, ordered by ray and then by distance.

    Attributes:
        ray: Which ray each belongs to.
        row: Which of the rays that have samples, counted without gaps.
        slot: Which of the kept samples of its ray.
        distance: From the ray's origin.
        points: In the world.
        step: Length of ray that each stands for.
        rows, slots: Number of rays that have samples; the most samples that one has.
    """

    ray: Int[Tensor, " n"]
    row: Int[Tensor, " n"]
    slot: Int[Tensor, " n"]
    distance: Float[Tensor, " n"]
    points: Float[Tensor, "n 3"]
    step: float
    rows: int
    slots: int

    def __len__(self) -> int:
        return len(self.ray)

    def padded(self, values: Float[Tensor, " n"]) -> Float[Tensor, "rows slots"]:
        """The values as a table, a row for each ray that has samples, filled up with zeros."""
        table = values.new_zeros(self.rows * self.slots)
        return table.scatter(0, self._place, values).view(self.rows, self.slots)

    def packed(self, table: Float[Tensor, "rows slots"]) -> Float[Tensor, " n"]:
        """The inverse of `padded`."""
        return table.reshape(-1).gather(0, self._place)

    @property
    def _place(self) -> Int[Tensor, " n"]:
        return self.row * self.slots + self.slot


def sample(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    *,
    radius: float,
    budget: int,
    occupied: Bool[Tensor, "z y x"],
    solid: Float[Tensor, "z y x"] | None = None,
    offset: Float[Tensor, " r"] | None = None,
) -> Samples:
    """Samples of rays in the box [-radius, radius]^3.

    Args:
        budget: Steps along the diagonal of the box.
        occupied: A grid over the box.
        solid: Densities that the scene surely has, in the same cells; None is nowhere any.
        offset: The rule's u of each ray; None is 1/2.
    """
    step = 2 * math.sqrt(3) * radius / budget
    solid = torch.zeros(occupied.shape, device=occupied.device) if solid is None else solid
    near, far = intersect_box(origins, directions, radius)
    first = near + (0.5 if offset is None else offset) * step
    if origins.device.type == "cpu":
        from nerf.renderers.sampling_numba import sample_numba

        found = sample_numba(origins, directions, first, far, step, radius, occupied, solid)
    else:
        found = sample_torch(origins, directions, first, far, step, radius, occupied, solid)
    return _number(*found, step)


def sample_torch(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    first: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    step: float,
    radius: float,
    occupied: Bool[Tensor, "z y x"],
    solid: Float[Tensor, "z y x"],
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Ray, distance and place of the kept samples among first, first + step, ... < far."""
    count = int(((far - first).amax() / step).ceil().clamp_min(0)) if len(first) else 0
    distance = first[:, None] + torch.arange(count, device=first.device) * step
    ray, k = (distance < far[:, None]).nonzero(as_tuple=True)
    distance = distance[ray, k]
    points = origins[ray] + distance[:, None] * directions[ray]
    sizes = points.new_tensor(occupied.shape).flip(0)
    cell = ((points / radius + 1) * (0.5 * sizes)).long().clamp_min(0)
    x, y, z = torch.minimum(cell, sizes.long() - 1).unbind(-1)
    kept = occupied[z, y, x]
    ray, distance, points, passed = ray[kept], distance[kept], points[kept], solid[z, y, x][kept] * step
    # optical depth before each sample: a running sum over all rays, less its value where the ray begins
    before = (passed.double().cumsum(0) - passed).float()
    begins = torch.searchsorted(ray, torch.arange(len(first), device=ray.device))
    begins = begins[ray] if len(ray) else ray
    visible = before - before[begins] < DARK
    return ray[visible], distance[visible], points[visible]


def _number(
    ray: Int[Tensor, " n"], distance: Float[Tensor, " n"], points: Float[Tensor, "n 3"], step: float
) -> Samples:
    """Adds row and slot to samples that are ordered by ray."""
    if len(ray) == 0:
        return Samples(ray, ray, ray, distance, points, step, 0, 0)
    _, row, counts = torch.unique_consecutive(ray, return_inverse=True, return_counts=True)
    begins = counts.cumsum(0) - counts
    slot = torch.arange(len(ray), device=ray.device) - begins[row]
    return Samples(ray, row, slot, distance, points, step, len(counts), int(counts.max()))
