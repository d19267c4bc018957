"""From a trained field to a mesh that other programs open: density on a grid, level by silhouettes, marching
cubes, cleaning, smoothing, decimation, colour.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from nerf.fields.base import Field
from nerf.meshing.cleaning import smoothed, without_degenerate_faces, without_small_parts
from nerf.meshing.coloring import baked, with_colored_vertices
from nerf.meshing.isosurface import isosurface, sample_density
from nerf.meshing.level import NoSurface, best_level, silhouette_iou, surface_cameras
from nerf.meshing.unwrapping import NoRoom, unwrapped
from nerf.meshing.views import field_views
from nerf.renderers.base import Renderer
from suite.geometry.mesh import Mesh
from suite.io.surface_maps import SurfaceMaps
from suite.metrics.meshes import mesh_report

log = logging.getLogger(__name__)
UNWRAPPED_FACES = 10_000  # xatlas takes 1 s for 8,000 faces and 14 s for 50,000


@dataclass(frozen=True)
class Extraction:
    """A mesh and how it was found.

    Attributes:
        mesh: Coloured, in the field's coordinates.
        level: Density of the surface, per unit of length.
        silhouette_iou: How well the mesh's masks match the volume's, in [0, 1].
        removed_area: Share of the area that was dropped as small parts.
    """

    mesh: Mesh
    level: float
    silhouette_iou: float
    removed_area: float

    def measures(self) -> dict[str, float | int | bool]:
        """What a report says of it."""
        return mesh_report(self.mesh).measures() | {
            "surface_level": round(self.level, 4),
            "silhouette_iou": round(self.silhouette_iou, 4),
        }


class MeshExtractor:
    """How a mesh is made of a field.

    Args:
        resolution: Cells along each axis of the field's box; even.
        level: Density, per unit of length, that counts as surface; null finds the one whose mesh covers the
            pixels that the volume covers.
        smallest_part: Connected parts with less than this share of the area are dropped.
        smoothing: Rounds of Taubin smoothing.
        faces: Triangles at most; a textured mesh has at most 10,000.
        texture: Side of the baked texture in pixels; 0 gives colours at the vertices instead.
    """

    def __init__(
        self,
        *,
        resolution: int = 128,
        level: float | int | None = None,
        smallest_part: float | int = 0.01,
        smoothing: int = 2,
        faces: int = 20_000,
        texture: int = 512,
    ) -> None:
        if resolution < 8 or resolution % 2 or faces < 100:
            raise ValueError(
                "MeshExtractor needs an even resolution >= 8 and faces >= 100, "
                f"got resolution={resolution}, faces={faces}."
            )
        if level is not None and not level > 0:
            raise ValueError(f"MeshExtractor needs level > 0 or null, got {level}.")
        if not 0 <= smallest_part < 1 or smoothing < 0:
            raise ValueError(
                "MeshExtractor needs 0 <= smallest_part < 1 and smoothing >= 0, "
                f"got {smallest_part=}, {smoothing=}."
            )
        if texture and not 64 <= texture <= 8192:
            raise ValueError(f"MeshExtractor needs texture = 0 or from 64 to 8192, got {texture}.")
        self.resolution, self.level, self.smallest_part = resolution, level, smallest_part
        self.smoothing, self.faces, self.texture = smoothing, faces, texture

    @torch.no_grad()
    def __call__(self, field: Field, renderer: Renderer) -> Extraction:
        """The field's surface as `renderer` shows it.

        Raises:
            NoSurface: The field is empty or fog.
        """
        radius = field.radius
        cameras = surface_cameras(radius)
        masks = field_views(field, renderer, cameras, normals=False).masks[:, 0] > 0.5
        occupancy = getattr(renderer, "occupancy", None)
        density = sample_density(field, self.resolution, None if occupancy is None else occupancy.occupied)
        level = self.level or best_level(density[::2, ::2, ::2], masks, cameras, radius)
        raw = isosurface(density, level, radius, fill=max(1, self.resolution // 64))
        if len(raw.faces) == 0:
            raise NoSurface(
                f"No density reaches level={level:.4g}; the largest is {float(density.max()):.4g}. "
                "Type a lower level, or null to have it found."
            )
        clean = without_small_parts(without_degenerate_faces(raw), self.smallest_part)
        mesh = without_degenerate_faces(smoothed(clean, self.smoothing))
        mesh = mesh.decimated(min(self.faces, UNWRAPPED_FACES) if self.texture else self.faces)
        agreement = silhouette_iou(mesh, masks, cameras)
        step = 2 * radius / self.resolution
        mesh = self._colored(mesh, field, step)
        log.info(
            "Mesh of %d faces at density %.3g; its masks agree with the volume's to %.1f %%.",
            len(mesh.faces), level, 100 * agreement,
        )  # fmt: skip
        removed = 1 - float(clean.face_areas().sum() / raw.face_areas().sum())
        return Extraction(mesh, float(level), agreement, removed)

    def _colored(self, mesh: Mesh, field: Field, step: float) -> Mesh:
        if self.texture:
            try:
                return baked(unwrapped(mesh, self.texture), field, step)
            except NoRoom as error:
                log.warning("%s The colours are kept at the vertices.", error)
        return with_colored_vertices(mesh, field, step)


def export_field(
    field: Field, renderer: Renderer, folder: str | Path, extractor: MeshExtractor | None = None
) -> Extraction:
    """Extracts the field's mesh, by default with a texture, and writes it as `export` does."""
    found = (extractor or MeshExtractor())(field, renderer)
    export(found.mesh, folder)
    return found


def export(mesh: Mesh, folder: str | Path, name: str = "mesh", maps: SurfaceMaps | None = None) -> list[Path]:
    """Writes name.glb, name.obj (with its material and textures) and name.ply (vertex colours) to `folder`."""
    from suite.io.meshes import save_mesh

    paths = [Path(folder) / f"{name}{suffix}" for suffix in (".glb", ".obj", ".ply")]
    for path in paths:
        save_mesh(path, mesh, maps)
    return paths
