"""Mesh files taken apart by material: numpy parts with a colour at every vertex or a texture.

Colours are sRGB in [0, 1]. Axes and units are the file's own. Of OBJ files each material becomes a part, so that
edges of colour stay sharp whatever is done to the faces, and its transparency is seen.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from numpy import ndarray

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.geometry.remeshing import weld
from suite.io.meshes import load_mesh
from suite.io.paths import existing_file

GREY = 0.8  # where a file says nothing about colour
GLASS = np.array([0.80, 0.86, 0.90])  # what transparent materials fade to: vertices have no opacity
INVISIBLE = 0.02  # opacity up to which a material is left out


@dataclass(frozen=True)
class Part:
    """The faces of one material. With a texture (RGBA), `colors` is unused."""

    vertices: Float[ndarray, "v 3"]
    faces: Int[ndarray, "f 3"]
    normals: Float[ndarray, "v 3"]
    colors: Float[ndarray, "v 3"]
    uv: Float[ndarray, "v 2"] | None = None
    texture: Float[ndarray, "h w 4"] | None = None

    def with_faces(self, faces: Int[ndarray, "g 3"]) -> "Part":
        """Other faces of the same vertices; vertices that none uses are dropped."""
        used, index = np.unique(faces, return_inverse=True)
        per_vertex = ("vertices", "normals", "colors", "uv")
        kept = {name: getattr(self, name)[used] for name in per_vertex if getattr(self, name) is not None}
        return replace(self, faces=index.reshape(-1, 3), **kept)


def read_parts(path: str | Path, *, invisible: float = INVISIBLE) -> list[Part]:
    """The visible parts of a mesh file: OBJ, and whatever `suite.io.meshes.load_mesh` reads.

    Args:
        path: The file; textures and materials are found beside it.
        invisible: Materials of at most this opacity are left out (OBJ).
    Raises:
        UserError: There is no such file, it cannot be read, or nothing in it can be seen.
    """
    path = existing_file(path, "mesh")
    if path.suffix.lower() != ".obj":
        return [_part_of(load_mesh(path, axes="world"))]
    try:
        meshes = trimesh.load_scene(path, process=False).geometry.values()
    except Exception as error:  # trimesh's reader raises whatever it stumbles over
        raise UserError(f"{path} cannot be read as a mesh: {error}") from error
    meshes = [mesh for mesh in meshes if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    parts = [part for part in (_part(mesh, invisible) for mesh in meshes) if part is not None]
    if not parts:
        raise UserError(f"{path} has no visible faces.")
    return parts


def transformed(parts: list[Part], matrix: Float[ndarray, "3 3"]) -> list[Part]:
    """Vertices by `matrix`, normals by its inverse transpose; a mirroring matrix also turns the faces."""
    inverse, mirrors = np.linalg.inv(matrix), np.linalg.det(matrix) < 0
    return [
        replace(
            part,
            vertices=part.vertices @ matrix.T,
            normals=part.normals @ inverse,
            faces=part.faces[:, ::-1] if mirrors else part.faces,
        )
        for part in parts
    ]


def normalized(parts: list[Part]) -> list[Part]:
    """Bounding box of all parts centred at the origin, its longest side 1."""
    points = np.concatenate([part.vertices[part.faces.reshape(-1)] for part in parts])
    low, high = points.min(0), points.max(0)
    side = (high - low).max()
    if not side > 0:
        raise UserError("A mesh whose bounding box has no size cannot be normalized.")
    return [replace(part, vertices=(part.vertices - (low + high) / 2) / side) for part in parts]


def joined(parts: list[Part]) -> Part:
    """One part of all; textures are left behind."""
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Part(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + offset for part, offset in zip(parts, offsets)]),
        normals=np.concatenate([part.normals for part in parts]),
        colors=np.concatenate([part.colors for part in parts]),
    )


def wound_like(vertices: ndarray, faces: ndarray, normals: ndarray) -> Int[ndarray, "f 3"]:
    """The faces, turned where their winding contradicts the normals of their corners."""
    against = (_face_normals(vertices, faces) * normals[faces].sum(1)).sum(-1) < 0
    return np.where(against[:, None], faces[:, ::-1], faces)


def _face_normals(vertices: ndarray, faces: ndarray) -> Float[ndarray, "f 3"]:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def _part_of(mesh: Mesh) -> Part:
    texture = None
    if mesh.texture is not None:
        texture = np.ones((*mesh.texture.shape[1:], 4), np.float32)
        texture[..., :3] = mesh.texture.permute(1, 2, 0).numpy()
    colors = None if texture is not None else mesh.with_vertex_colors((GREY, GREY, GREY)).vertex_colors
    vertices = mesh.vertices.double().numpy()
    return Part(
        vertices,
        mesh.faces.numpy(),
        mesh.vertex_normals().double().numpy(),
        np.full_like(vertices, GREY) if colors is None else colors.double().numpy(),
        uv=None if texture is None else mesh.uv.double().numpy(),
        texture=texture,
    )


def _part(mesh: trimesh.Trimesh, invisible: float) -> Part | None:
    vertices, faces = np.asarray(mesh.vertices, float), _each_once(mesh)
    normals = _completed(vertices, faces, np.nan_to_num(np.asarray(mesh.vertex_normals, float)))
    plain = Part(vertices, wound_like(vertices, faces, normals), normals, np.full((len(vertices), 3), GREY))
    if isinstance(mesh.visual, trimesh.visual.ColorVisuals):
        if mesh.visual.kind is None:
            return plain
        return replace(plain, colors=np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0)
    color, opacity = _diffuse(mesh.visual.material)
    if opacity <= invisible:
        return None
    image, uv = mesh.visual.material.image, mesh.visual.uv
    if image is None or uv is None or len(uv) != len(vertices):
        return replace(plain, colors=np.tile(_faded(color, opacity), (len(vertices), 1)))
    texture = np.asarray(image.convert("RGBA"), np.float32) / 255.0
    texture[..., :3] = _faded(texture[..., :3], opacity)
    return replace(plain, uv=np.nan_to_num(np.asarray(uv, float)), texture=texture)


def _faded(rgb: Float[ndarray, "*n 3"], opacity: float) -> Float[ndarray, "*n 3"]:
    return opacity * rgb + (1 - opacity) * GLASS


def _diffuse(material: Any) -> tuple[Float[ndarray, "3"], float]:
    """Kd and opacity of an OBJ's material. A texture replaces Kd: many exporters leave it black then."""
    options = material.kwargs or {}
    color = np.resize(np.asarray(options.get("kd", np.asarray(material.diffuse)[:3] / 255.0), float), 3)
    opacity = np.ravel(np.asarray(options.get("d", 1.0), float))[-1]
    return np.clip(color, 0, 1), float(np.clip(opacity, 0, 1))


def _each_once(mesh: trimesh.Trimesh) -> Int[ndarray, "f 3"]:
    """The faces; where all are there in both windings and the file has no normals (they would cancel), one
    of each pair, wound outwards."""
    faces = np.asarray(mesh.faces)
    place = weld(np.round(np.asarray(mesh.vertices, float), 6), faces)
    once = np.unique(np.sort(place, axis=1), axis=0, return_index=True)[1]
    if len(once) > 0.6 * len(faces) or np.median(np.linalg.norm(mesh.vertex_normals, axis=-1)) > 1e-6:
        return faces
    single = trimesh.Trimesh(mesh.vertices, faces[once], process=False)
    trimesh.repair.fix_normals(single, multibody=True)
    return np.asarray(single.faces)


def _completed(vertices: ndarray, faces: ndarray, normals: ndarray) -> Float[ndarray, "v 3"]:
    """The file's normals; where it has none, the area-weighted mean over the faces around the vertex."""
    missing = np.linalg.norm(normals, axis=-1) < 1e-6
    if not missing.any():
        return normals
    mean = np.zeros_like(vertices)
    np.add.at(mean, faces, _face_normals(vertices, faces)[:, None])
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-20)
    return np.where(missing[:, None], mean, normals)
