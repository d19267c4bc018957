"""Textures of a material beside its colour, packed as glTF 2.0 packs them.

metallic_roughness   green: roughness, blue: metallic; linear numbers
normal               (n + 1) / 2 with n = (along the tangent, along the bitangent, along the normal); +y is up in the
                     picture (glTF, OpenGL)
tangent              the direction in which u grows; bitangent = w cross(normal, tangent), w = -1 where uv is mirrored
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.mesh import Mesh


@dataclass(frozen=True)
class SurfaceMaps:
    """Textures at the uv of a mesh; None where there is none.

    Attributes:
        metallic_roughness: See above; red is 1.
        normal: In the tangent space of `tangents(mesh)`.
    """

    metallic_roughness: Float[Tensor, "3 h w"] | None = None
    normal: Float[Tensor, "3 k l"] | None = None


def tangents(mesh: Mesh) -> Float[Tensor, "v 4"]:
    """A unit tangent, at right angles to the normal, and w for each vertex of a mesh with uv.

    The area-weighted mean over the faces around a vertex; any tangent where uv do not tell one.
    """
    corners, uv = mesh.triangles().detach(), mesh.uv.detach()[mesh.faces]
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    (du_1, dv_1), (du_2, dv_2) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    turning = torch.where(du_1 * dv_2 - du_2 * dv_1 < 0, -1.0, 1.0)[:, None]
    along_u = turning * (edge_1 * dv_2[:, None] - edge_2 * dv_1[:, None])
    along_v = turning * (edge_2 * du_1[:, None] - edge_1 * du_2[:, None])
    normals = mesh.vertex_normals().detach()
    tangent, bitangent = (_at_vertices(x, mesh) for x in (along_u, along_v))
    tangent = tangent - (tangent * normals).sum(-1, keepdim=True) * normals
    length = tangent.norm(dim=-1, keepdim=True)
    # where there is none: at right angles to the normal and to the axis that is least along it
    axis = torch.eye(3).to(normals)[normals.abs().argmin(-1)]
    other = torch.nn.functional.normalize(torch.linalg.cross(normals, axis), dim=-1)
    unit = torch.where(length > 1e-20, tangent / length.clamp_min(1e-30), other)
    w = torch.where((torch.linalg.cross(normals, unit) * bitangent).sum(-1) < 0, -1.0, 1.0)
    return torch.cat([unit, w[:, None]], dim=-1)


def _at_vertices(values: Float[Tensor, "f 3"], mesh: Mesh) -> Float[Tensor, "v 3"]:
    """Area-weighted sums of directions over the faces around each vertex."""
    spread = torch.nn.functional.normalize(values, dim=-1, eps=1e-30) * mesh.face_areas().detach()[:, None]
    total = torch.zeros_like(mesh.vertices).detach()
    return total.index_add(0, mesh.faces.reshape(-1).long(), spread.repeat_interleave(3, 0))
