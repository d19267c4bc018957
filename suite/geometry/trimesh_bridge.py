"""Meshes to and from trimesh, with their colours. Use `Mesh.to_trimesh` and `Mesh.from_trimesh`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.mesh import Mesh, sample_texture

# what suite.io.glb calls glTF's COLOR_0; followed by 8 or 16 for whole numbers, which trimesh reads raw
LINEAR_COLORS = "_linear_color"


def srgb_from_linear(linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """IEC 61966-2-1. glTF stores vertex colours and colour factors linearly, everything else is sRGB."""
    curve = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def linear_from_srgb(srgb: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Inverse of `srgb_from_linear`."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_trimesh(mesh: Mesh) -> Any:
    """A `trimesh.Trimesh` with the same vertices in the same order, textured or with vertex colours."""
    import trimesh
    from PIL import Image

    def bytes_of(x: Tensor) -> np.ndarray:
        return (x.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    visual = None
    if mesh.texture is not None:
        image = Image.fromarray(bytes_of(mesh.texture.permute(1, 2, 0)))
        visual = trimesh.visual.TextureVisuals(uv=mesh.uv.detach().cpu().numpy(), image=image)
    elif mesh.vertex_colors is not None:
        visual = trimesh.visual.ColorVisuals(vertex_colors=bytes_of(mesh.vertex_colors))
    return trimesh.Trimesh(
        vertices=mesh.vertices.detach().cpu().double().numpy(),
        faces=mesh.faces.cpu().numpy(),
        vertex_normals=None if mesh.normals is None else mesh.normals.detach().cpu().numpy(),
        visual=visual,
        process=False,
    )


def from_trimesh(geometry: Any, *, color_edge: float = 1 / 64, linear_colors: bool = False) -> Mesh:
    """See `Mesh.from_trimesh`. `linear_colors`: colours and factors are linear (glTF), not sRGB.

    Where a texture has transparent texels (leaves cut out of a card), faces that lie in them are removed.

    Raises:
        ValueError: There is not one triangle.
    """
    import trimesh

    if isinstance(geometry, trimesh.Scene):
        nodes = [geometry.graph[name] for name in geometry.graph.nodes_geometry]
    else:
        nodes = [(np.eye(4), None)]
    textures: dict[bytes, Texture] = {}
    meshes = []
    for matrix, name in nodes:  # Scene.dump would lose the normals
        part = geometry if name is None else geometry.geometry[name]
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            world_from_part = torch.tensor(np.asarray(matrix), dtype=torch.float32)
            meshes.append(_part(part, textures, linear_colors).transformed(world_from_part))
    if not meshes:
        raise ValueError("There are no faces in it (a point cloud or an empty scene?).")
    one_texture = len(textures) == 1 and all(m.texture is not None for m in meshes)
    if not textures or (one_texture and next(iter(textures.values())).alpha is None):
        return Mesh.cat(meshes) if len(meshes) > 1 else meshes[0]
    corners = torch.cat([m.bounds for m in meshes])
    max_edge = color_edge * float((corners.amax(0) - corners.amin(0)).max())
    alphas = {id(texture.rgb): texture.alpha for texture in textures.values()}
    baked = [_baked(m, alphas.get(id(m.texture)), max_edge) for m in meshes]
    return Mesh.cat([m for m in baked if len(m.faces)] or baked)


@dataclass(frozen=True)
class Texture:
    """A decoded image; `alpha` only if it has holes (alpha below 1/2)."""

    rgb: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "1 h w"] | None


def _part(part: Any, textures: dict[bytes, Texture], linear: bool) -> Mesh:
    """One trimesh geometry. Equal images are decoded once into `textures` and shared."""
    given = part._cache.cache.get("vertex_normals")  # those of the file; computed ones are not there yet
    mesh = Mesh(
        torch.tensor(np.asarray(part.vertices), dtype=torch.float32),
        torch.tensor(np.asarray(part.faces), dtype=torch.int64),
        normals=None if given is None else torch.tensor(np.asarray(given), dtype=torch.float32),
    )
    if part.visual.kind == "texture":
        mesh = _with_material(mesh, part.visual, textures, linear)
    elif part.visual.kind is not None:
        colors = torch.tensor(np.asarray(part.visual.vertex_colors)[:, :3], dtype=torch.float32) / 255
        mesh = replace(mesh, vertex_colors=srgb_from_linear(colors) if linear else colors)
    return mesh if mesh.texture is not None else _with_linear_colors(mesh, part.vertex_attributes)


def _with_linear_colors(mesh: Mesh, attributes: Any) -> Mesh:
    """glTF's vertex colours times the colour of the material."""
    for suffix, scale in {"": 1.0, "8": 255.0, "16": 65535.0}.items():
        values = attributes.get(LINEAR_COLORS + suffix)
        if values is not None and len(values) == len(mesh.vertices):
            colors = torch.tensor(np.asarray(values)[:, :3].astype(np.float32)) / scale
            if mesh.vertex_colors is not None:
                colors = colors * linear_from_srgb(mesh.vertex_colors)
            return replace(mesh, vertex_colors=srgb_from_linear(colors.clamp(0, 1)))
    return mesh


def _with_material(mesh: Mesh, visual: Any, textures: dict[bytes, Texture], linear: bool) -> Mesh:
    material = visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = getattr(material, "baseColorFactor", None)  # an OBJ's Kd is not multiplied into its texture
    if image is None and factor is None:
        factor = getattr(material, "diffuse", None)
    rgb = np.full(3, 255) if factor is None else np.asarray(factor)[:3]
    tint = torch.tensor(rgb, dtype=torch.float32) / 255
    if image is None or visual.uv is None or len(visual.uv) != len(mesh.vertices):
        color = srgb_from_linear(tint) if linear else tint
        return replace(mesh, vertex_colors=color.expand(len(mesh.vertices), 3).contiguous())
    image = image.convert("RGBA")
    key = repr((image.size, rgb.tolist())).encode() + image.tobytes()
    if key not in textures:
        rgba = torch.tensor(np.asarray(image), dtype=torch.float32).permute(2, 0, 1) / 255
        color = rgba[:3].contiguous()
        if bool((tint < 1).any()):
            color = srgb_from_linear(linear_from_srgb(color) * tint[:, None, None])
        textures[key] = Texture(color, rgba[3:] if bool((rgba[3] < 0.5).any()) else None)
    uv = torch.tensor(np.asarray(visual.uv)[:, :2], dtype=torch.float32)
    return replace(mesh, uv=uv, texture=textures[key].rgb)


def _baked(mesh: Mesh, alpha: Tensor | None, max_edge: float) -> Mesh:
    """Vertex colours in place of a texture, at triangles small enough to hold it; holes cut out."""
    if mesh.texture is None:
        return mesh.with_vertex_colors()
    fine = mesh.subdivided(max_edge)
    if alpha is not None:
        center = fine.uv[fine.faces].mean(dim=1)
        fine = fine.with_faces(sample_texture(alpha.expand(3, -1, -1), center)[:, 0] >= 0.5)
    return fine.with_vertex_colors()
