"""Which density is the surface? The one whose mesh covers the pixels that the volume covers.

A volume has no surface; its pictures have silhouettes, where the opacity passes 1/2. Of the levels tried, the
one is taken whose mesh, rasterized, agrees best with those silhouettes:

    level* = argmax  mean over cameras  |mesh mask AND volume mask| / |mesh mask OR volume mask|
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf.meshing.isosurface import isosurface
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, rasterize


class NoSurface(ValueError):
    """A field from which no mesh can be made: it is empty, or thin fog."""


def surface_cameras(radius: float | int, *, count: int = 8, size: int = 96) -> Cameras:
    """Views from all around, above and below, that show the whole box [-radius, radius]^3."""
    azimuth = 360.0 * torch.arange(count) / count + 22.5
    elevation = torch.tensor([0.0, 40.0, -25.0, 75.0]).repeat(count)[:count]
    return Cameras.orbit(azimuth, elevation, 4.0 * radius, 50.0, height=size, width=size)


def best_level(
    density: Float[Tensor, "x y z"],
    masks: Bool[Tensor, "b h w"],
    cameras: Cameras,
    radius: float | int,
    *,
    smallest: float | int | None = None,
) -> float:
    """The level whose mesh matches the masks: first on a coarse geometric scale, then around the best.

    Args:
        density: As `isosurface` takes it.
        masks: What the volume covers, seen by `cameras`.
        smallest: The lowest level tried; by default a path right through the box would just be opaque.

    Raises:
        NoSurface: The masks are empty, or no density reaches the lowest level.
    """
    low, high = smallest or math.log(2) / (2 * radius), 0.98 * float(density.max())
    if not masks.any() or low >= high:
        raise NoSurface(
            f"The field has no surface: its largest density is {float(density.max()):.3g}, and "
            f"{100 * float(masks.float().mean()):.2g} % of the pixels are more than half opaque. It is empty or "
            "fog: train it for longer, or with a stronger guidance scale or a larger density gain."
        )
    scores: dict[float, float] = {}
    exponents = torch.linspace(math.log(low), math.log(high), 9).tolist()
    for _ in range(4):  # 9 levels, then halved spacing around the best three times
        for exponent in exponents:
            if exponent not in scores:
                mesh = isosurface(density, math.exp(exponent), radius)
                scores[exponent] = silhouette_iou(mesh, masks, cameras)
        best = max(scores, key=scores.__getitem__)
        tried = sorted(scores)
        k = tried.index(best)
        exponents = [(best + other) / 2 for other in tried[max(0, k - 1) : k] + tried[k + 1 : k + 2]]
    return math.exp(best)


def silhouette_iou(mesh: Mesh, masks: Bool[Tensor, "b h w"], cameras: Cameras) -> float:
    """Mean over the cameras of intersection over union of the mesh's masks and the given ones."""
    if len(mesh.faces) == 0:
        return 0.0
    clip = clip_positions(mesh.vertices, cameras)
    covered = rasterize(clip, mesh.faces, cameras.height, cameras.width).face_id >= 0
    both, either = (covered & masks).sum((1, 2)), (covered | masks).sum((1, 2))
    return float((both / either.clamp_min(1)).mean())
