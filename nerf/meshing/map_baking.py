"""Metallic, roughness and fine shape of a surface in textures (`suite.io.surface_maps`).

The normal map holds what decimation took away: from each texel's place a ray runs both ways along the normal to
the surface as it was, whose smooth normal there is written in the tangent space of the mesh that is kept, with
the relief of the material on top.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf.materials.pbr import Pbr
from nerf.meshing.unwrapping import Texels, texels
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import interpolate
from suite.io.pointclouds import import_open3d
from suite.io.surface_maps import SurfaceMaps, tangents

REACH = 0.03  # how far the surfaces may be apart, in longest sides of the mesh
POINTS_AT_ONCE = 2**16


@torch.no_grad()
def baked_maps(
    mesh: Mesh,
    *,
    material: Pbr | None = None,
    fine: Mesh | None = None,
    device: torch.device | str = "cpu",
) -> SurfaceMaps:
    """The maps of an unwrapped mesh on the CPU.

    Args:
        material: Gives metallic, roughness and relief, asked on `device`; None gives none.
        fine: The surface before decimation; None, or the mesh itself, adds nothing to the normals.
    """
    found = texels(mesh)
    normals = found.normals if fine is None else cast_normals(fine, found.points, found.normals)
    if material is None:
        return SurfaceMaps(normal=None if fine is None else normal_map(mesh, found, normals))
    shines, bent = [], []
    for at, n in zip(found.points.split(POINTS_AT_ONCE), normals.split(POINTS_AT_ONCE), strict=True):
        made_of = material(at.to(device), n.to(device), torch.zeros_like(at).to(device))
        shine = [torch.ones_like(made_of.metallic), made_of.roughness, made_of.metallic]
        shines.append(torch.stack(shine, dim=-1).cpu())
        bent.append(made_of.normals.cpu())
    has_normals = fine is not None or material.bump > 0
    return SurfaceMaps(
        metallic_roughness=found.picture(torch.cat(shines)),
        normal=normal_map(mesh, found, torch.cat(bent)) if has_normals else None,
    )


def normal_map(mesh: Mesh, found: Texels, normals: Float[Tensor, "n 3"]) -> Float[Tensor, "3 h w"]:
    """World normals at the texels, as a texture in the mesh's tangent space.

    A viewer adds x T + y w (N x T) + z N of the interpolated tangents and normals; so that sum is solved for x, y, z.
    """
    tangent = interpolate(tangents(mesh), found.fragments, mesh.faces)[0][found.inside]
    t = torch.nn.functional.normalize(tangent[:, :3], dim=-1)
    sign = torch.where(tangent[:, 3:] < 0, -1.0, 1.0)
    b = sign * torch.linalg.cross(found.normals, t)
    basis = torch.stack([t, b, found.normals], dim=-1)
    solvable = torch.linalg.det(basis).abs() > 0.05  # interpolated tangents may almost cancel
    local = torch.linalg.solve(torch.where(solvable[:, None, None], basis, torch.eye(3)), normals[..., None])[
        ..., 0
    ]
    flat = torch.tensor([0.0, 0.0, 1.0]).expand_as(local)
    local = torch.where(solvable[:, None] & (local[:, 2:] > 0.05), local, flat)
    return (found.picture(torch.nn.functional.normalize(local, dim=-1)) + 1) / 2


def cast_normals(
    fine: Mesh, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Smooth normals of `fine` where lines along `normals` through the points meet it; those given where they
    do not within REACH, or meet its other side."""
    open3d = import_open3d()
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(fine.vertices.numpy().astype(np.float32), fine.faces.numpy().astype(np.uint32))
    reach = REACH * float((fine.bounds[1] - fine.bounds[0]).max())
    smooth, result = fine.vertex_normals(), normals.clone()
    nearest = torch.full((len(points),), reach)
    for direction in (normals, -normals):
        # from just behind the place, so that a surface right there is met
        rays = torch.cat([points - 1e-3 * reach * direction, direction], dim=-1).contiguous()
        hits = scene.cast_rays(open3d.core.Tensor(rays.numpy()), nthreads=1)
        distance = torch.from_numpy(hits["t_hit"].numpy())
        uv = torch.from_numpy(hits["primitive_uvs"].numpy())
        face = torch.from_numpy(hits["primitive_ids"].numpy().astype(np.int64))
        closer = (distance < nearest).nonzero()[:, 0]
        weights = torch.cat([1 - uv.sum(-1, keepdim=True), uv], dim=-1)[closer]
        found = (smooth[fine.faces[face[closer]]] * weights[..., None]).sum(1)
        found = torch.nn.functional.normalize(found, dim=-1)
        outward = (found * normals[closer]).sum(-1) > 0.2
        result[closer[outward]], nearest[closer[outward]] = found[outward], distance[closer[outward]]
    return result
