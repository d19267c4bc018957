"""Pictures of a mesh with its baked maps, lit from all around: what a glTF viewer shows of the file."""

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.materials.lighting import EnvironmentLight, Material
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, interpolate, rasterize
from suite.geometry.textures import mip_map, sample
from suite.io.surface_maps import SurfaceMaps, tangents
from suite.viz import Render, Views

SUPERSAMPLE = 2


def baked_views(
    mesh: Mesh, maps: SurfaceMaps, light: EnvironmentLight, *, background: float | int = 1.0
) -> Render:
    """A function of cameras that draws a textured mesh on a grey level.

    Where there is no map of metallic and roughness, the surface is a rough dielectric.
    """
    attributes = torch.cat([mesh.vertices, mesh.vertex_normals(), mesh.uv, tangents(mesh)], dim=1)

    @torch.no_grad()
    def render(cameras: Cameras) -> Views:
        fine = cameras.resized(cameras.height * SUPERSAMPLE, cameras.width * SUPERSAMPLE)
        fragments = rasterize(clip_positions(mesh.vertices, fine), mesh.faces, fine.height, fine.width)
        seen = fragments.face_id >= 0
        values = interpolate(attributes, fragments, mesh.faces)[seen]
        material = baked_material(mesh, maps, values[:, 3:])
        towards_eye = fine.position[seen.nonzero()[:, 0]] - values[:, :3]
        color = light.shade(material, torch.nn.functional.normalize(towards_eye, dim=-1)).clamp(0, 1)
        samples = color.new_zeros(*seen.shape, 8)
        depth = fragments.depth[seen][:, None]
        samples[seen] = torch.cat([color, torch.ones_like(depth), depth, material.normals], dim=-1)
        pixels = torch.nn.functional.avg_pool2d(samples.movedim(-1, 1), SUPERSAMPLE)
        color, mask, depth, normal = pixels.split([3, 1, 1, 3], dim=1)
        normal = torch.nn.functional.normalize(normal, dim=1)
        return Views(color + (1 - mask) * background, mask, depth / mask.clamp_min(1e-6), normal)

    return render


def baked_material(mesh: Mesh, maps: SurfaceMaps, values: Float[Tensor, "n 9"]) -> Material:
    """The material where a surface has these interpolated normals (3), uv (2) and tangents (4)."""
    normal, uv, tangent, w = values.split([3, 2, 3, 1], dim=-1)
    normal, tangent = (torch.nn.functional.normalize(x, dim=-1) for x in (normal, tangent))
    albedo = sample(mip_map(mesh.texture, levels=1), uv).clamp(0, 1)
    metallic, roughness = torch.zeros(len(uv)), torch.ones(len(uv))
    if maps.metallic_roughness is not None:
        _, roughness, metallic = sample(mip_map(maps.metallic_roughness, levels=1), uv).unbind(-1)
    if maps.normal is not None:
        x, y, z = (2 * sample(mip_map(maps.normal, levels=1), uv) - 1).split(1, dim=-1)
        bitangent = w.sign() * torch.linalg.cross(normal, tangent)
        normal = torch.nn.functional.normalize(x * tangent + y * bitangent + z * normal, dim=-1)
    return Material(albedo, metallic, roughness, normal)
