"""Real objects beside the procedural ones: a folder of captioned meshes.

    load_objects("objects")     any folder of GLB, glTF, OBJ or PLY files with their textures, or one that
                                `suite prepare_objects` made (.npz, colours already at the vertices)

A caption is the file's name ("teddy_bear.obj" is "teddy bear") unless `captions.csv` beside the files, with
the columns `file,caption`, says another. Further columns are kept: id, category, licence, creator, source,
front (yes or no).
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.io.meshes import AXES, READABLE
from suite.io.weights import write_atomically
from suite.toyworld.baking import bake
from suite.toyworld.materials import Part, read_parts, transformed

CAPTIONS = "captions.csv"
SUFFIXES = (".npz", *READABLE)
COLUMNS = ("file", "caption", "id", "category", "licence", "creator", "source", "front")


@dataclass(frozen=True)
class RealObject:
    """A captioned mesh: colours at the vertices, normals, +X front, +Z up, centred, longest side 1.

    Args:
        id: Short name for files and tables.
        caption: One noun phrase, without an article.
        mesh: With `vertex_colors` and `normals`.
        licence, creator, category, source: What is known of its origin; empty if nothing is.
        front: Whether its front and back can be told apart.
    """

    id: str
    caption: str
    mesh: Mesh
    licence: str = ""
    creator: str = ""
    category: str = ""
    source: str = ""
    front: bool = True


def load_objects(
    folder: str | Path, *, axes: str = "auto", max_edge: float | int = 0.03, only: str | None = None
) -> list[RealObject]:
    """The objects of a folder, sorted by file name.

    Args:
        folder: Where the meshes lie (not in subfolders).
        axes: What the files' axes are, as in `suite.io.meshes.load_mesh`: "world" (+Z up, +X front), "gltf"
            (+Y up, +Z front), "y_up" (+Y up, +X stays), or "auto": "gltf" for glTF files, else "world".
        max_edge: Longest edge of textured triangles after splitting, the longest side of the object being 1.
        only: The caption of the one that is wanted; the others' meshes are not read.

    Raises:
        UserError: No such folder, no meshes in it, a mesh that cannot be read, captions that do not fit.
    """
    if axes not in ("auto", *AXES):
        raise ValueError(f"load_objects has axes 'auto', 'world', 'gltf' or 'y_up', not {axes!r}.")
    folder, rows = _listed(folder)
    return [
        _object(folder / name, row, axes, float(max_edge))
        for name, row in rows.items()
        if only in (None, _caption(name, row))
    ]


def captions_in(folder: str | Path) -> tuple[str, ...]:
    """The captions of a folder of meshes, sorted by file name, without reading the meshes.

    Raises:
        UserError: As `load_objects`.
    """
    return tuple(_caption(name, row) for name, row in _listed(folder)[1].items())


def save_object(path: str | Path, mesh: Mesh) -> None:
    """A mesh with vertex colours as .npz: colours as bytes, normals in half precision, uncompressed."""
    if mesh.vertex_colors is None:
        raise ValueError("save_object needs a mesh with vertex colours; call with_vertex_colors() first.")
    buffer = io.BytesIO()
    np.savez(
        buffer,
        vertices=mesh.vertices.numpy().astype(np.float32),
        faces=mesh.faces.numpy().astype(np.int32),
        normals=mesh.vertex_normals().numpy().astype(np.float16),
        colors=(mesh.vertex_colors.clamp(0, 1) * 255).round().numpy().astype(np.uint8),
    )
    write_atomically(path, buffer.getvalue())


def read_object(path: str | Path) -> Mesh:
    """The mesh that `save_object` wrote."""
    try:
        with np.load(path) as arrays:
            values = {
                name: torch.from_numpy(arrays[name]) for name in ("vertices", "faces", "normals", "colors")
            }
    except Exception as error:
        raise UserError(f"{path} is not an object that suite prepare_objects wrote: {error}") from error
    colors, normals = values["colors"].float() / 255, values["normals"].float()
    return Mesh(values["vertices"], values["faces"].long(), vertex_colors=colors, normals=normals)


def write_captions(folder: str | Path, objects: Sequence[RealObject]) -> None:
    """`captions.csv` for objects saved as `<id>.npz`."""
    rows = [
        (
            f"{o.id}.npz",
            o.caption,
            o.id,
            o.category,
            o.licence,
            o.creator,
            o.source,
            "yes" if o.front else "no",
        )
        for o in objects
    ]
    write_atomically(Path(folder) / CAPTIONS, table(COLUMNS, rows))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def mesh_of(part: Part) -> Mesh:
    """A baked part as a mesh."""
    return Mesh(
        torch.from_numpy(part.vertices).float(),
        torch.from_numpy(np.ascontiguousarray(part.faces)).long(),
        vertex_colors=torch.from_numpy(part.colors).float(),
        normals=torch.from_numpy(part.normals).float(),
    )


def slug(caption: str) -> str:
    """A caption as a file name: "rubik's cube" is "rubiks_cube"."""
    return re.sub(r"[^a-z0-9]+", "_", caption.lower().replace("'", "")).strip("_")


def _listed(folder: str | Path) -> tuple[Path, dict[str, dict[str, str]]]:
    """(the folder, file -> its row of captions.csv or nothing, sorted by file)."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder} with meshes; `suite prepare_objects` makes one.")
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{folder} has no meshes; it should hold files ending in {', '.join(SUFFIXES)}.")
    rows = _captions(folder, files)
    return folder, {name: rows.get(name, {}) for name in files}


def _captions(folder: Path, files: list[str]) -> dict[str, dict[str, str]]:
    """file -> its row of captions.csv, checked."""
    path = folder / CAPTIONS
    rows = {}
    if path.is_file():
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"file", "caption"} <= set(reader.fieldnames or ()):
                raise UserError(
                    f"{path} needs the columns file,caption; it has {','.join(reader.fieldnames or ())}."
                )
            rows = {row["file"]: row for row in reader}
    for name in rows:
        if name not in files:
            raise UserError(
                f"{path} captions {name}, but {folder} has no such mesh: remove the line or add the file."
            )
    seen: dict[str, str] = {}
    for name in files:
        caption = _caption(name, rows.get(name, {}))
        if not caption:
            raise UserError(
                f"{folder / name} has no caption: name it in {CAPTIONS}, or give the file a name in words."
            )
        if caption in seen:
            both = f"{seen[caption]} and {name} in {folder} are both captioned {caption!r}"
            raise UserError(f"{both}: tell them apart in {CAPTIONS}.")
        seen[caption] = name
    return rows


def _caption(name: str, row: dict[str, str]) -> str:
    return (row.get("caption") or "").strip() or re.sub(r"[_\W]+", " ", Path(name).stem).strip().lower()


def _object(path: Path, row: dict[str, str], axes: str, max_edge: float) -> RealObject:
    if path.suffix.lower() == ".npz":
        mesh = read_object(path)
    else:
        standard = "gltf" if path.suffix.lower() in (".glb", ".gltf") else "world"
        world_from_file = AXES[standard if axes == "auto" else axes][:3, :3].double().numpy()
        mesh = mesh_of(bake(transformed(read_parts(path), world_from_file), max_edge=max_edge))
    known = {key: (row.get(key) or "").strip() for key in ("licence", "creator", "category", "source")}
    identifier = (row.get("id") or "").strip() or path.stem
    return RealObject(identifier, _caption(path.name, row), mesh, front=row.get("front") != "no", **known)
