"""From a density field to signed distances: where a coarse volume becomes a surface (Magic3D's second stage).

The surface is where the density passes a level. With a renderer the level is found as for meshes, so that
the silhouettes agree (`nerf.meshing.level`); otherwise it is stated. Two kinds of distance:

    "distance"   to the mesh of that surface, by Open3D: true everywhere, without hollows and crumbs
    "ratio"      cell * (level - density) / (level + density): right in sign and near the surface only, cheap
"""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.meshing.cleaning import without_degenerate_faces, without_small_parts
from nerf.meshing.isosurface import isosurface, sample_density
from nerf.meshing.level import NoSurface, best_level, surface_cameras
from nerf.meshing.views import field_views
from nerf.renderers.base import Renderer
from nerf.surfaces.shapes import GridDistance, MeshDistance, grid_points

log = logging.getLogger(__name__)
KINDS = ("distance", "ratio")


@dataclass(frozen=True)
class FieldSurface:
    """Signed distances that stand for a density field.

    Attributes:
        distance: At resolution + 1 points an axis over [-radius, radius]^3, axes x, y, z; world units, negative
            inside.
        level: Density of the surface, per unit of length.
        radius: Of the field.
    """

    distance: Float[Tensor, "n n n"]
    level: float
    radius: float

    def shape(self) -> GridDistance:
        """The distances at any place: an `init` for surfaces of any resolution."""
        return GridDistance(values=self.distance, radius=self.radius)


@torch.no_grad()
def surface_of_field(
    field: Field,
    resolution: int = 64,
    *,
    level: float | int | None = None,
    renderer: Renderer | None = None,
    kind: str = "distance",
    smallest_part: float | int = 0.01,
    detail: int = 128,
) -> FieldSurface:
    """Signed distances of a density field.

    Args:
        resolution: Cells along an axis; even.
        level: Density, per unit of length, that counts as surface; None finds it, by `renderer`.
        renderer: Shows the field; its occupancy grid, if it has one, says where nothing is.
        kind: "distance" or "ratio", see above.
        smallest_part: For "distance": connected parts with less than this share of the area are dropped.
        detail: For "distance": cells along an axis, if more than `resolution`, of the mesh that distances are to: in
            coarser ones thin walls have holes, through which hollows count as outside.

    Raises:
        NoSurface: No density reaches the level.
    """
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is not a kind of distance: 'distance' or 'ratio'.")
    if resolution < 8 or resolution % 2:
        raise ValueError(f"surface_of_field needs an even resolution >= 8, got {resolution}.")
    if level is None and renderer is None:
        raise ValueError(
            "surface_of_field needs a level, or the renderer that shows the field to find it by."
        )
    if level is not None and not level > 0:
        raise ValueError(f"surface_of_field needs level > 0 or None, got {level}.")
    occupancy = getattr(renderer, "occupancy", None)
    cells = resolution if kind == "ratio" else max(resolution, detail + detail % 2)
    density = sample_density(field, cells, None if occupancy is None else occupancy.occupied)
    level = float(level or _level(field, renderer, density[::2, ::2, ::2]))  # as the mesh extractor finds it
    if not (density > level).any():
        raise NoSurface(
            f"No density reaches level={level:.4g}; the largest is {float(density.max()):.4g}. State a lower level."
        )
    if kind == "ratio":
        distance = 2 * field.radius / resolution * (level - density) / (level + density)
    else:
        fill = max(1, cells // 64)
        mesh = without_degenerate_faces(isosurface(density, level, field.radius, fill=fill))
        mesh = without_small_parts(mesh, smallest_part)
        distance = MeshDistance(mesh=mesh, union=False)(grid_points(resolution, field.radius))
    log.info("Signed distances of the field at density %.3g.", level)
    return FieldSurface(distance, level, field.radius)


def _level(field: Field, renderer: Renderer, density: Float[Tensor, "n n n"]) -> float:
    """The density whose mesh covers what the volume covers."""
    cameras = surface_cameras(field.radius)
    masks = field_views(field, renderer, cameras, normals=False).masks[:, 0] > 0.5
    return best_level(density, masks, cameras, field.radius)
