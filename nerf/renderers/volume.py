"""Volume rendering (Max 1995; NeRF, Mildenhall et al. 2020, arXiv:2003.08934, Eq. 3).

    alpha_i = 1 - exp(-sigma_i d)      light that piece i of the ray, of length d and density sigma_i, takes
    T_i     = prod_{j < i} (1 - alpha_j)      light that arrives there
    w_i     = T_i alpha_i
    pixel   = sum_i w_i c_i + (1 - sum_i w_i) background

The weights of rays with samples are computed as one table by nerfacc's batched functions, which are plain
torch and run anywhere.
"""

import math

import torch
from jaxtyping import Float
from nerfacc import accumulate_along_rays, render_weight_from_density
from torch import Tensor

from nerf.background import Background
from nerf.fields.base import Field
from nerf.lights import Lighting
from nerf.renderers.base import Renderer, Rendering, WeightedSamples
from nerf.renderers.occupancy import OccupancyGrid
from nerf.renderers.sampling import Samples, sample
from suite.geometry.rays import Rays

RAYS_AT_ONCE = 65536  # without gradients, where whole turntables are rendered


class VolumeRenderer(Renderer):
    """Samples rays at equal steps where the occupancy grid is not empty, and composites them.

    Args:
        samples: Steps along the diagonal of the field's box: the resolution in depth.
        jitter: Shift each ray's samples by a random part of a step while training.
        occupancy: The grid of cells worth sampling.
    """

    def __init__(
        self, *, samples: int = 64, jitter: bool = True, occupancy: OccupancyGrid | None = None
    ) -> None:
        super().__init__()
        if samples < 1:
            raise ValueError(f"VolumeRenderer needs samples >= 1, got {samples}.")
        self.budget, self.jitter = samples, jitter
        self.occupancy = occupancy or OccupancyGrid()

    def update(self, field: Field, step: int, generator: torch.Generator) -> None:
        """Refresh the occupancy grid if its time has come."""
        if step % self.occupancy.every == 0:
            self.occupancy.update(field, self.step_length(field), generator)

    def step_length(self, field: Field) -> float:
        """Distance between samples."""
        return 2 * math.sqrt(3) * field.radius / self.budget

    def forward(
        self,
        field: Field,
        rays: Rays,
        *,
        background: Background | None = None,
        lighting: Lighting | None = None,
        normals: bool = False,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        b, h, w, _ = rays.directions.shape
        origins, directions = rays.origins.reshape(-1, 3), rays.directions.reshape(-1, 3)
        image = torch.arange(b, device=directions.device).repeat_interleave(h * w)
        offset = None
        if generator is not None and self.jitter:
            offset = torch.rand(b * h * w, generator=generator, device=generator.device).to(directions.device)
        pieces, samples = [], None
        at_once = b * h * w if torch.is_grad_enabled() else RAYS_AT_ONCE
        for rows in torch.arange(b * h * w, device=directions.device).split(at_once):
            u = None if offset is None else offset[rows]
            piece, samples = self._trace(
                field, origins[rows], directions[rows], u, image[rows], lighting, normals
            )
            pieces.append(piece)
        traced = torch.cat(pieces).view(b, h, w, -1).permute(0, 3, 1, 2)
        opacity, color, depth, normal = traced[:, :1], traced[:, 1:4], traced[:, 4:5], traced[:, 5:]
        behind = torch.ones_like(color)
        if background is not None:
            behind = background(rays.directions, generator).permute(0, 3, 1, 2)
        return Rendering(
            images=color + (1 - opacity) * behind,
            opacity=opacity,
            depth=depth / opacity.clamp_min(1e-6),
            background=behind,
            normals=normal if normals else None,
            samples=samples if len(pieces) == 1 else None,
        )

    def _trace(
        self,
        field: Field,
        origins: Float[Tensor, "r 3"],
        directions: Float[Tensor, "r 3"],
        offset: Float[Tensor, " r"] | None,
        image: Tensor,
        lighting: Lighting | None,
        normals: bool,
    ) -> tuple[Float[Tensor, "r c"], WeightedSamples]:
        """Opacity, colour, depth and perhaps normals of each ray, summed over its samples."""
        at = sample(
            origins,
            directions,
            radius=field.radius,
            budget=self.budget,
            occupied=self.occupancy.occupied,
            solid=self.occupancy.solid,
            offset=offset,
        )
        lit = lighting is not None and lighting.needs_normals
        found = field(at.points, normals=normals or lit)
        color = found.albedo
        if lighting is not None:
            color = lighting.shade(color, found.normals, at.points, image[at.ray])
        weights = composite_weights(found.density, at)
        columns = [torch.ones_like(weights)[:, None], color, at.distance[:, None]]
        values = torch.cat(columns + ([found.normals] if normals else []), dim=-1)
        summed = accumulate_along_rays(weights, values, at.ray, len(origins))
        shown = found.normals if normals else None
        return summed, WeightedSamples(at, weights, directions[at.ray], shown, len(origins), field.radius)


def composite_weights(density: Float[Tensor, " n"], at: Samples) -> Float[Tensor, " n"]:
    """w_i of each sample."""
    if len(at) == 0:
        return density
    table = at.padded(density)
    starts = torch.zeros_like(table)
    weights, _, _ = render_weight_from_density(starts, starts + at.step, table)
    return at.packed(weights)
