"""Pictures of a mesh whose colour is a function of place, differentiable in both.

A triangle for each pixel, the colour of the place that it shows there, light, and silhouettes as wide as a pixel, which
carry the gradient that moves them. What a renderer is for fields, for a surface that is extracted in every step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerf.background import Background
from nerf.lights import Lighting
from nerf.materials.pbr import Pbr
from suite.geometry.antialiasing import antialias
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, interpolate, rasterize
from suite.types import Images, Masks

Colors = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]


@dataclass(frozen=True)
class SurfaceRendering:
    """Pictures of a surface.

    Attributes:
        images: Composited on the background.
        opacity: Coverage.
    """

    images: Images
    opacity: Masks


def render_surface(
    mesh: Mesh,
    colors: Colors,
    cameras: Cameras,
    *,
    background: Background,
    lighting: Lighting | None = None,
    material: Pbr | None = None,
    generator: torch.Generator | None = None,
) -> SurfaceRendering:
    """Pictures of a mesh.

    Args:
        mesh: Without faces, the pictures are background.
        colors: RGB in [0, 1] of places on it.
        lighting: A light for each camera; None shows the colours as they are.
        material: What the surface is made of beside its colour, and the environment that lights it; `lighting`
            plays no part then.
        generator: For backgrounds, and light, that are random while training.
    """
    height, width = cameras.height, cameras.width
    behind = background(cameras.rays().directions, generator)
    if len(mesh.faces) == 0:
        return SurfaceRendering(behind.movedim(-1, 1), behind.new_zeros(len(cameras), 1, height, width))
    clip = clip_positions(mesh.vertices, cameras)
    fragments = rasterize(clip, mesh.faces, height, width)
    seen = fragments.face_id >= 0
    normals = [mesh.vertex_normals()] if lighting or material else []
    values = interpolate(torch.cat([mesh.vertices, *normals], dim=1), fragments, mesh.faces)[seen]
    color = colors(values[:, :3])
    if normals:
        places, outward = values[:, :3], torch.nn.functional.normalize(values[:, 3:], dim=-1)
        image = seen.nonzero()[:, 0]
        if material:
            color = _lit(material, places, outward, color, cameras.position.to(places), image, generator)
        else:
            color = lighting.shade(color, outward, places, image)
    samples = color.new_zeros(*seen.shape, 4)
    samples[seen] = torch.cat([color, torch.ones_like(color[:, :1])], dim=1)
    samples = antialias(samples, fragments, clip, mesh.faces)
    color, opacity = samples.split([3, 1], dim=-1)
    images = color + (1 - opacity) * behind
    return SurfaceRendering(images.movedim(-1, 1), opacity.movedim(-1, 1))


def _lit(
    material: Pbr,
    places: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    albedo: Float[Tensor, "n 3"],
    eye: Float[Tensor, "b 3"],
    image: Int[Tensor, " n"],
    generator: torch.Generator | None,
) -> Float[Tensor, "n 3"]:
    """Places of the pictures `image` under the material's light."""
    towards_eye = torch.nn.functional.normalize(eye[image] - places, dim=-1)
    turns = material.light.draw_turns(len(eye), generator)
    turn = None if turns is None else turns.to(places)[image]
    made_of = material(places, normals, albedo)
    return material.light.shade(made_of, towards_eye, turn=turn, generator=generator)
