"""The colour of a field on its surface, at vertices or baked into a texture.

What a picture shows at the surface is not the colour at one place but a mean over the layer that light
reaches, so that is what the mesh gets: the field volume-rendered on the short way through the surface,

    color = sum_i w_i c_i / sum_i w_i,    w_i as in nerf.renderers.volume, along the normal, inwards
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.meshing.unwrapping import texels
from nerf.meshing.views import device_of
from suite.geometry.mesh import Mesh

OUTSIDE, INSIDE = 1.5, 6.5  # where the way begins and ends, in steps before and behind the surface
POINTS_AT_ONCE = 2**15


@torch.no_grad()
def surface_albedo(
    field: Field, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], step: float | int
) -> Float[Tensor, "n 3"]:
    """RGB in [0, 1] of the field as seen at `points` from where `normals` point, on the CPU.

    Args:
        normals: Unit vectors outwards.
        step: Distance between the places where the field is asked, about that between its details.
    """
    device = device_of(field)
    offsets = step * torch.arange(OUTSIDE, -INSIDE - 0.5, -1.0)
    colors = []
    for at, n in zip(points.split(POINTS_AT_ONCE), normals.split(POINTS_AT_ONCE), strict=True):
        places = (at[:, None] + offsets[:, None] * n[:, None]).clamp(-field.radius, field.radius)
        found = field(places.to(device))
        optical = found.density.float() * step
        passed = torch.exp(-(optical.cumsum(1) - optical))
        weights = passed * (1 - torch.exp(-optical)) + 1e-6  # 1e-6: where all is empty, the plain mean
        colors.append(((weights[..., None] * found.albedo).sum(1) / weights.sum(1, keepdim=True)).cpu())
    return torch.cat(colors) if colors else torch.zeros(0, 3)


def with_colored_vertices(mesh: Mesh, field: Field, step: float | int) -> Mesh:
    """The mesh with the field's colours at its vertices."""
    return replace(mesh, vertex_colors=surface_albedo(field, mesh.vertices, mesh.vertex_normals(), step))


def baked(mesh: Mesh, field: Field, step: float | int) -> Mesh:
    """The unwrapped mesh with the field's colours in its texture: each texel the colour of its place."""
    found = texels(mesh)
    return replace(mesh, texture=found.picture(surface_albedo(field, found.points, found.normals, step)))
