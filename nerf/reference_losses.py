"""The picture that is given, as a loss: from its camera the scene must look like it (RealFusion, Zero-1-to-3).

    rgb      mean |C - (m C* + (1 - m) B)|^2          C the rendering on its background B, C* the picture, m its mask
    mask     mean |a - m|^2                           a the rendering's opacity
    depth    1 - corr(d, d*)   over the mask          scale and shift of d* are not known
    normal   mean (1 - <n, n*>) over the mask

The picture is laid on the *rendered* background, so that background and object are not played off against each other.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from nerf.renderers.base import Rendering
from priors.reference import Reference
from suite.schedules import Schedule, as_schedule

Scheduled = float | int | list | Schedule
NAMES = ("rgb", "mask", "depth", "normal")


class ReferenceLosses:
    """How much each term counts; depth and normal only where they are known.

    The pull of score distillation is a sum over latents, so weights are large.

    Args:
        rgb, mask, depth, normal: Numbers or schedules.
        size: Side of the rendering that is compared, in pixels; null is the picture's own.
    """

    def __init__(
        self,
        *,
        rgb: Scheduled = 5000.0,
        mask: Scheduled = 500.0,
        depth: Scheduled = 50.0,
        normal: Scheduled = 50.0,
        size: int | None = None,
    ) -> None:
        self.weights = {name: as_schedule(w) for name, w in zip(NAMES, (rgb, mask, depth, normal))}
        if size is not None and size < 8:
            raise ValueError(f"ReferenceLosses needs size >= 8, got {size}.")
        self.size = size

    def wants_normals(self, reference: Reference, progress: float) -> bool:
        """Whether the rendering must have normals."""
        return reference.normals is not None and self.weights["normal"](progress) > 0

    def __call__(
        self, rendering: Rendering, reference: Reference, progress: float
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms by name; the reference is of the rendering's size."""
        mask = reference.mask
        found = {
            "rgb": rgb_loss(rendering, reference),
            "mask": (rendering.opacity - mask).square().mean(),
        }
        if reference.depth is not None:
            found["depth"] = depth_loss(rendering.depth, reference.depth, mask)
        if self.wants_normals(reference, progress):
            rotation = reference.camera.camera_from_world[0, :3, :3]
            normals = torch.einsum("ij,bjhw->bihw", rotation, rendering.normals)
            found["normal"] = normal_loss(normals, reference.normals, mask)
        return {name: self.weights[name](progress) * value for name, value in found.items()}


def rgb_loss(rendering: Rendering, reference: Reference) -> Float[Tensor, ""]:
    """The mean squared error of colours; the picture's white is exchanged for the rendered background."""
    wanted = reference.image - (1 - reference.mask) * (1 - rendering.background)
    return (rendering.images - wanted).square().mean()


def depth_loss(
    depth: Float[Tensor, "b 1 h w"], wanted: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """1 - Pearson's correlation over the mask, in [0, 2]: blind to scale and shift."""
    weight = mask / mask.sum().clamp(min=1e-6)
    a, b = (x - (weight * x).sum() for x in (depth, wanted))
    covariance, *variances = ((weight * x * y).sum() for x, y in ((a, b), (a, a), (b, b)))
    return 1 - covariance / (variances[0] * variances[1] + 1e-12).sqrt()


def normal_loss(
    normals: Float[Tensor, "b 3 h w"], wanted: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Mean of 1 - cosine over the mask."""
    cosine = (F.normalize(normals, dim=1, eps=1e-6) * wanted).sum(dim=1, keepdim=True)
    return (mask * (1 - cosine)).sum() / mask.sum().clamp(min=1e-6)
