"""The material of a surface as a function of place: metallic, roughness and fine relief, beside the colour.

A field stores four numbers at each place: the first two are the logits of metallic and roughness, the third is
a height, whose slope along the surface bends the normal (bump mapping, Blinn 1978):

    n' = n - (grad h - (grad h . n) n),    normalised;    h = bump tanh(raw)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.fields.base import Field
from nerf.fields.dense_grid import DenseGridField
from nerf.materials.ggx import LEAST_ROUGHNESS
from nerf.materials.lighting import EnvironmentLight, Material
from suite.schedules import Schedule


class Pbr(nn.Module):
    """Metallic-roughness material, as glTF has it, and the light that it is seen in.

    Args:
        field: Holds the numbers; its density plays no part. By default grids of 16, 32 and 64 vertices.
        light: What shines on it.
        metallic, roughness: What it starts as, everywhere; strictly between 0 and 1.
        bump: Largest height of the relief, in world units; 0 leaves normals as they are.
    """

    def __init__(
        self,
        *,
        field: Field | None = None,
        light: EnvironmentLight | None = None,
        metallic: float | int = 0.05,
        roughness: float | int = 0.6,
        bump: float | int = 0.01,
    ) -> None:
        super().__init__()
        if not 0 < metallic < 1 or not 0 < roughness < 1 or not bump >= 0:
            raise ValueError(
                f"Pbr needs metallic and roughness in (0, 1) and bump >= 0, got {metallic}, {roughness}, {bump}."
            )
        self.field = field or DenseGridField(resolutions=[16, 32, 64])
        self.light = light or EnvironmentLight()
        start = torch.logit(torch.tensor([float(metallic), float(roughness)], dtype=torch.float64))
        self.register_buffer("start", start.float(), persistent=False)
        self.bump = float(bump)

    def forward(
        self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], albedo: Float[Tensor, "n 3"]
    ) -> Material:
        """The material of places on a surface that looks along the unit `normals` and has this colour."""
        raw = self.field.raw(points / self.field.radius)
        metallic, roughness = torch.sigmoid(raw[:, :2] + self.start.to(raw)).unbind(-1)
        roughness = LEAST_ROUGHNESS + (1 - LEAST_ROUGHNESS) * roughness
        return Material(albedo, metallic, roughness, self.bent(points, normals))

    def height(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """h, in world units."""
        return self.bump * torch.tanh(self.field.raw(points / self.field.radius)[:, 2])

    def bent(self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The normals with the relief's slope, by central differences."""
        if self.bump == 0:
            return normals
        step = self.field.normal_step * self.field.radius
        offsets = step * torch.eye(3, dtype=points.dtype, device=points.device)
        around = torch.stack([points[:, None] + offsets, points[:, None] - offsets])
        ahead, behind = self.height(around.reshape(-1, 3)).reshape(2, -1, 3)
        slope = (ahead - behind) / (2 * step)
        along = slope - (slope * normals).sum(-1, keepdim=True) * normals
        return nn.functional.normalize(normals - along, dim=-1)

    def set_progress(self, progress: float) -> None:
        """Tell the field how far the run is, in [0, 1]."""
        self.field.set_progress(progress)

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        """Groups for the optimizer."""
        return self.field.parameter_groups(decay)
