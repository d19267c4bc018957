"""Few sign changes between neighbours on the grid (nvdiffrec, Munkberg et al. 2021, arXiv:2111.12503)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer
from nerf.surfaces.base import Surface
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class SignChanges(MeshRegularizer):
    """L_sign: mean over grid edges (a, b) of unlike signs of H(sigmoid(s_a), [s_b > 0]) + the same of (b, a).

    No crumbs and no holes inside (Eq. 2; FlexiCubes has it too). s is in cells.

    Args:
        weight: Number or schedule.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 0.01) -> None:
        super().__init__(weight)

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        if not isinstance(surface, Surface):
            raise ValueError(
                f"SignChanges looks at the grid of a surface, {type(surface).__name__} has none: leave out "
                "mesh_regularizer=sign_changes, or take surface=dmtet."
            )
        values, ends = surface.closed_values(), []
        for axis in range(3):
            a, b = values[(slice(None),) * axis + (slice(None, -1),)], values.narrow(axis, 1, len(values) - 1)
            unlike = (a < 0) != (b < 0)
            ends.append(torch.stack([a[unlike], b[unlike]]))
        s = torch.cat(ends, dim=1)
        outside = (s.detach() >= 0).to(s)
        return 2 * nn.functional.binary_cross_entropy_with_logits(s, outside.flip(0))
