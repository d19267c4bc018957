"""The end: a tidy, coloured mesh of a surface or of a signed distance field."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Density, Field
from nerf.meshing.cleaning import without_degenerate_faces, without_small_parts
from nerf.meshing.coloring import baked
from nerf.meshing.extraction import UNWRAPPED_FACES
from nerf.meshing.level import NoSurface
from nerf.meshing.unwrapping import NoRoom, unwrapped
from nerf.surfaces.base import Surface
from nerf.surfaces.sdf import SDFField
from suite.geometry.mesh import Mesh

log = logging.getLogger(__name__)
Albedo = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
LAYER = 1e-4  # of the radius: colours are asked for on the surface, not in a layer around it


class SurfaceExtractor:
    """How the mesh that is kept is made of a surface.

    Args:
        resolution: Cells along each axis where a signed distance field is asked; a `Surface` has its own.
        smallest_part: Connected parts with less than this share of the area are dropped.
        faces: Triangles at most; a textured mesh has at most 10,000.
        texture: Side of the baked texture in pixels; 0 gives colours at the vertices instead.
    """

    def __init__(
        self,
        *,
        resolution: int = 128,
        smallest_part: float | int = 0.01,
        faces: int = 20_000,
        texture: int = 512,
    ) -> None:
        if resolution < 4 or faces < 100 or not 0 <= smallest_part < 1:
            raise ValueError(
                "SurfaceExtractor needs resolution >= 4, faces >= 100 and 0 <= smallest_part < 1, got "
                f"{resolution=}, {faces=}, {smallest_part=}."
            )
        if texture and not 64 <= texture <= 8192:
            raise ValueError(f"SurfaceExtractor needs texture = 0 or from 64 to 8192, got {texture}.")
        self.resolution, self.smallest_part = resolution, float(smallest_part)
        self.faces, self.texture = faces, texture

    @torch.no_grad()
    def __call__(self, surface: Surface | SDFField) -> Mesh:
        """The mesh, on the CPU, coloured.

        Raises:
            NoSurface: Nothing is inside.
        """
        mesh = self.decimated(self.shape(surface))
        device = next(surface.parameters()).device
        return colored(mesh, surface.albedo, self.texture, device=device, radius=surface.radius)

    @torch.no_grad()
    def shape(self, surface: Surface | SDFField) -> Mesh:
        """All of the tidy surface, on the CPU, without colours.

        Raises:
            NoSurface: Nothing is inside.
        """
        if isinstance(surface, Surface):
            mesh = surface.final_shape().to("cpu")
        else:
            mesh = marching_cubes(surface.grid(self.resolution).cpu(), surface.radius)
        if len(mesh.faces) == 0:
            raise NoSurface("The surface is empty: no place has a signed distance below 0. Start it anew.")
        return without_small_parts(without_degenerate_faces(mesh), self.smallest_part)

    def decimated(self, mesh: Mesh) -> Mesh:
        """With as many faces as are kept."""
        return mesh.decimated(min(self.faces, UNWRAPPED_FACES) if self.texture else self.faces)


def colored(mesh: Mesh, albedo: Albedo, texture: int, *, device: torch.device, radius: float | int) -> Mesh:
    """The mesh with colours by place: baked into a texture of that side, or at the vertices where it is 0.

    Args:
        albedo: RGB in [0, 1] of places, asked on `device`.
        radius: All places lie in [-radius, radius]^3.
    """
    with torch.no_grad():
        if texture:
            try:
                return baked(unwrapped(mesh, texture), PlaceColors(albedo, device, radius), LAYER * radius)
            except NoRoom as error:
                log.warning("%s The colours are kept at the vertices.", error)
        return replace(mesh, vertex_colors=albedo(mesh.vertices.to(device)).cpu())


class PlaceColors(Field):
    """Colours by place in the form of a field, of the same density everywhere, for `nerf.meshing.coloring`."""

    def __init__(self, albedo: Albedo, device: torch.device, radius: float | int) -> None:
        super().__init__(radius, Density(blob="none"))
        self.albedo = albedo
        self.register_buffer("where", torch.zeros(1, device=device))

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        color = torch.logit(self.albedo(unit * self.radius), eps=1e-6)
        return torch.cat([torch.zeros_like(color[:, :1]), color], dim=-1)


def marching_cubes(values: Float[Tensor, "n n n"], radius: float | int) -> Mesh:
    """The surface on which signed distances are zero, by scikit-image; closed at the box, without gradients."""
    from skimage.measure import marching_cubes as lewiner

    s = np.pad(
        values.detach().cpu().numpy(), 1, constant_values=max(1e-6, float(values.detach().abs().max()))
    )
    if not (s < 0).any():
        return Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    found, faces, _, _ = lewiner(s, 0.0, gradient_direction="descent", allow_degenerate=False)
    step = 2 * radius / (len(values) - 1)
    vertices = (torch.from_numpy(np.ascontiguousarray(found)).float() - 1) * step - radius
    return Mesh(vertices.clamp(-radius, radius), torch.from_numpy(np.ascontiguousarray(faces)).long())
