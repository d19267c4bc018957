"""Mesh files. Axes: the suite's world has +Z up and +X front.

    .glb .gltf             fixed by the standard, +Y up and +Z front: turned when written and when read
    .obj .ply .stl .off    no standard: written as they are, read as they are unless `axes` says otherwise

Colours: GLB and OBJ keep a texture; PLY holds vertex colours, to which a texture is turned.
"""

import io
import logging
from pathlib import Path

import numpy as np
import torch

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.geometry.transforms import WORLD_FROM_GLTF, Z_UP_FROM_Y_UP
from suite.geometry.trimesh_bridge import from_trimesh
from suite.io.glb import glb_bytes, png_bytes, with_exact_colors
from suite.io.mesh_checks import sound
from suite.io.paths import existing_file
from suite.io.surface_maps import SurfaceMaps
from suite.io.weights import write_atomically

log = logging.getLogger(__name__)
READABLE = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
AXES = {"world": torch.eye(4), "y_up": Z_UP_FROM_Y_UP, "gltf": WORLD_FROM_GLTF}


def load_mesh(path: str | Path, *, axes: str = "auto", color_edge: float = 1 / 64) -> Mesh:
    """Any of .glb, .gltf, .obj, .ply, .stl, .off as one Mesh, with colours or texture.

    Args:
        axes: What the file's axes are: "world" (+Z up, +X front, as the suite's), "gltf" (+Y up, +Z front),
            "y_up" (+Y up, +X stays), or "auto": "gltf" for glTF files, else "world".
        color_edge: A scene of several textures becomes vertex colours; its textured parts are first
            subdivided to edges of this times the longest side. See `Mesh.from_trimesh`.

    Polygons become triangles; faces without area or with corners that are not finite are left out.

    Raises:
        UserError: No such file (MissingFile), a format or content that cannot be read, or no usable faces.
    """
    if axes not in ("auto", *AXES):
        raise ValueError(f"load_mesh has axes 'auto', 'world', 'gltf' or 'y_up', not {axes!r}.")
    path = existing_file(path, "mesh")
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise UserError(f"Meshes are read from {', '.join(READABLE)}, not {path.name!r}.")
    is_gltf = suffix in (".glb", ".gltf")
    try:
        scene = _read(path, is_gltf)
        mesh = from_trimesh(scene, color_edge=color_edge, linear_colors=is_gltf)
    except Exception as error:  # trimesh's readers raise whatever they stumble over
        raise UserError(f"{path} cannot be read as a mesh: {_why(error)}") from error
    mesh = sound(mesh, str(path))
    _warn_of_lost_textures(path)
    return mesh.transformed(AXES[axes if axes != "auto" else "gltf" if is_gltf else "world"])


def _read(path: Path, is_gltf: bool):
    import trimesh

    data = path.read_bytes()
    if is_gltf:
        data = with_exact_colors(data)
    resolver = trimesh.resolvers.FilePathResolver(str(path))  # finds .mtl, .bin and images beside it
    kind = path.suffix.lower()[1:]
    return trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=resolver, process=False)


def _why(error: Exception) -> str:
    """What a reader stumbled over, in words, and what to do."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, KeyError):
        said = f"it names {said}, which is not there"
    return f"{said}. Open it in the program that made it and export it again, best as .glb."


def _warn_of_lost_textures(path: Path) -> None:
    """trimesh is silent about images that an OBJ names and that are not there."""
    if path.suffix.lower() != ".obj":
        return
    text = path.read_text(errors="replace")
    libraries = [line.split(None, 1)[1].strip() for line in text.splitlines() if line.startswith("mtllib ")]
    for library in (path.parent / name for name in libraries):
        if not library.is_file():
            log.warning("%s names the materials %s, which are not there: no colours.", path, library.name)
            continue
        for line in library.read_text(errors="replace").splitlines():
            words = line.strip().split(None, 1)
            if len(words) == 2 and words[0].lower() == "map_kd":
                name = words[1].strip().replace("\\", "/")
                if not (library.parent / name).is_file():
                    log.warning("%s names the texture %s, which is not there.", library, name)


def save_mesh(path: str | Path, mesh: Mesh, maps: SurfaceMaps | None = None) -> None:
    """Write .glb, .ply or .obj (with a .mtl and .png files of the same name beside it), by the suffix.

    Each file is there whole or not at all. Axes and colours: see the module.

    Args:
        maps: Textures beside the colour, for a mesh with a texture; PLY has no place for them.

    Raises:
        ValueError: Another suffix, no faces, or vertices that are not finite.
    """
    path = Path(path)
    writers = {".glb": _save_glb, ".ply": _save_ply, ".obj": _save_obj}
    if path.suffix.lower() not in writers:
        raise ValueError(f"Meshes are written as {', '.join(writers)}, not {path.name!r}.")
    if len(mesh.faces) == 0:
        raise ValueError(f"The mesh for {path.name} has no faces.")
    if not bool(torch.isfinite(mesh.vertices).all()):
        raise ValueError(f"The mesh for {path.name} has vertices that are not finite (NaN or infinity).")
    writers[path.suffix.lower()](path, mesh, maps or SurfaceMaps())


def _save_glb(path: Path, mesh: Mesh, maps: SurfaceMaps) -> None:
    write_atomically(path, glb_bytes(mesh, maps))


def _save_ply(path: Path, mesh: Mesh, _: SurfaceMaps) -> None:
    mesh = mesh if mesh.texture is None else mesh.with_vertex_colors()
    normals = mesh.normals is not None
    write_atomically(path, mesh.to_trimesh().export(file_type="ply", vertex_normal=normals))


def _save_obj(path: Path, mesh: Mesh, maps: SurfaceMaps) -> None:
    lines = ["# +Z up, +X front"]
    rows = mesh.vertices.detach().cpu().numpy()
    if mesh.texture is None and mesh.vertex_colors is not None:  # "v x y z r g b", as most programs read it
        rows = np.concatenate([rows, mesh.vertex_colors.detach().cpu().numpy()], axis=1)
    corner = "{0}"
    if mesh.texture is not None:
        _save_material(path, mesh.texture, maps)
        lines += [f"mtllib {path.stem}.mtl", "usemtl surface"]
    lines += _rows("v", rows)
    if mesh.texture is not None:
        lines += _rows("vt", mesh.uv.detach().cpu().numpy())
        corner += "/{0}"
    if mesh.normals is not None:
        lines += _rows("vn", mesh.normals.detach().cpu().numpy())
        corner += "/{0}" if mesh.texture is not None else "//{0}"
    face = f"f {corner} {corner.replace('0', '1')} {corner.replace('0', '2')}"
    lines += [face.format(*row) for row in (mesh.faces.cpu() + 1).tolist()]
    write_atomically(path, "\n".join(lines) + "\n")


def _save_material(path: Path, texture: torch.Tensor, maps: SurfaceMaps) -> None:
    """The .mtl beside an OBJ, with the PBR extension's map_Pr, map_Pm and norm where there are maps."""
    pictures = {"map_Kd": ("", texture)}
    if maps.metallic_roughness is not None:
        rough, metal = (maps.metallic_roughness[k].expand(3, -1, -1) for k in (1, 2))
        pictures |= {"map_Pr": ("_roughness", rough), "map_Pm": ("_metallic", metal)}
    if maps.normal is not None:
        pictures["norm"] = ("_normal", maps.normal)
    lines = ["newmtl surface", "Kd 1 1 1", "Ks 0 0 0"]
    for key, (name, picture) in pictures.items():
        write_atomically(path.with_name(f"{path.stem}{name}.png"), png_bytes(picture))
        lines.append(f"{key} {path.stem}{name}.png")
    write_atomically(path.with_suffix(".mtl"), "\n".join(lines) + "\n")


def _rows(key: str, rows: np.ndarray) -> list[str]:
    template = key + " %.7g" * rows.shape[1]
    return [template % tuple(row) for row in rows.tolist()]
