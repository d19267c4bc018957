"""The colour of a field on its surface, at vertices or baked into a texture.

What a picture shows at the surface is not the colour at one place but a mean over the layer that light
reaches, so that is what the mesh gets: the field volume-rendered on the short way through the surface,

    color = sum_i w_i c_i / sum_i w_i,    w_i as in nerf.renderers.volume, along the normal, inwards
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.meshing.views import device_of
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import interpolate, rasterize

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


def unwrapped(mesh: Mesh, size: int, *, padding: int = 3) -> Mesh:
    """The mesh cut into flat charts by xatlas, with uv, smooth normals across the cuts and a black texture.

    Args:
        size: Side of the texture for which the charts are packed.
        padding: Texels between charts.
    """
    import xatlas

    charts, packing = xatlas.ChartOptions(), xatlas.PackOptions()
    charts.max_iterations = 1  # more rounds make a tenth fewer charts in twice the time
    packing.resolution, packing.padding = size, padding
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.numpy(), mesh.faces.numpy().astype(np.uint32))
    atlas.generate(chart_options=charts, pack_options=packing)
    source, faces, uv = atlas[0]
    source = torch.from_numpy(source.astype(np.int64))
    return Mesh(
        mesh.vertices[source],
        torch.from_numpy(faces.astype(np.int64)),
        normals=mesh.vertex_normals()[source],
        uv=torch.from_numpy(uv.astype(np.float32)),
        texture=torch.zeros(3, size, size),
    )


def baked(mesh: Mesh, field: Field, step: float | int) -> Mesh:
    """The unwrapped mesh with the field's colours in its texture.

    Each texel inside a chart gets the colour of its place on the surface; the others repeat their nearest
    such texel, so that neither filtering nor mipmaps bring in a foreign colour.
    """
    from scipy.ndimage import distance_transform_edt

    _, h, w = mesh.texture.shape
    flat = torch.cat([2 * mesh.uv - 1, torch.zeros(len(mesh.uv), 1), torch.ones(len(mesh.uv), 1)], dim=1)
    fragments = rasterize(flat[None], mesh.faces, h, w)
    inside = fragments.face_id[0] >= 0
    if not inside.any():
        raise ValueError(f"No texel of a {w} x {h} texture lies inside a chart: bake a larger texture.")
    attributes = torch.cat([mesh.vertices, mesh.vertex_normals()], dim=1)
    points, normals = interpolate(attributes, fragments, mesh.faces)[0][inside].split(3, dim=-1)
    normals = torch.nn.functional.normalize(normals, dim=-1)
    texture = torch.zeros(h, w, 3)
    texture[inside] = surface_albedo(field, points, normals, step)
    nearest = distance_transform_edt(~inside.numpy(), return_distances=False, return_indices=True)
    rows, columns = torch.from_numpy(nearest.astype(np.int64))
    return replace(mesh, texture=texture[rows, columns].permute(2, 0, 1).contiguous())
