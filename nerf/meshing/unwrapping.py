"""A flat picture for a surface: charts with uv, and which place of the surface each texel of the picture is."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import Fragments, interpolate, rasterize

log = logging.getLogger(__name__)
MOST_FACES = 60_000  # xatlas takes 1 s for 8,000 faces, 14 s for 50,000 and minutes for more
LEAST_CELL = 6  # texels along a pair of triangles


class NoRoom(ValueError):
    """A texture that is too small for the charts of a mesh."""


@dataclass(frozen=True)
class Texels:
    """The texels of a picture that show a place of the surface.

    Attributes:
        inside: Which.
        points, normals: Of the surface there, row by row.
    """

    inside: Bool[Tensor, "h w"]
    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    fragments: Fragments

    def picture(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "c _ _"]:
        """One value a texel as a picture. What lies in no chart repeats its nearest texel that does, so that
        neither filtering nor mipmaps bring in a foreign colour."""
        from scipy.ndimage import distance_transform_edt

        drawn = values.new_zeros(*self.inside.shape, values.shape[1])
        drawn[self.inside] = values
        nearest = distance_transform_edt(~self.inside.numpy(), return_distances=False, return_indices=True)
        rows, columns = torch.from_numpy(nearest.astype(np.int64))
        return drawn[rows, columns].permute(2, 0, 1).contiguous()


def texels(mesh: Mesh) -> Texels:
    """Where the texels of an unwrapped mesh's texture lie on its surface.

    Raises:
        NoRoom: None does.
    """
    _, h, w = mesh.texture.shape
    flat = torch.cat([2 * mesh.uv - 1, torch.zeros(len(mesh.uv), 1), torch.ones(len(mesh.uv), 1)], dim=1)
    fragments = rasterize(flat[None], mesh.faces, h, w)
    inside = fragments.face_id[0] >= 0
    if not inside.any():
        raise NoRoom(f"No texel of a {w} x {h} texture lies inside a chart: bake a larger texture.")
    attributes = torch.cat([mesh.vertices, mesh.vertex_normals()], dim=1)
    points, normals = interpolate(attributes, fragments, mesh.faces)[0][inside].split(3, dim=-1)
    return Texels(inside, points, torch.nn.functional.normalize(normals, dim=-1), fragments)


def unwrapped(mesh: Mesh, size: int, *, padding: int = 3) -> Mesh:
    """The mesh cut into flat charts by xatlas, with uv, smooth normals across the cuts and a black texture.

    Where xatlas fails, or there are more than MOST_FACES faces, every face becomes a chart of its own.

    Args:
        size: Side of the texture for which the charts are packed.
        padding: Texels between charts.

    Raises:
        NoRoom: The texture has no room for a chart a face.
    """
    if len(mesh.faces) <= MOST_FACES:
        try:
            found = _by_xatlas(mesh, size, padding)
            if bool(found.uv.isfinite().all()) and len(found.faces) == len(mesh.faces):
                return found
            why = "it left faces out"
        except Exception as error:  # a compiled library, which raises what it likes
            why = str(error)
        log.warning("xatlas cannot unwrap this mesh (%s): every face becomes a chart of its own.", why)
    else:
        log.info("%d faces are too many for xatlas: every face becomes a chart of its own.", len(mesh.faces))
    return face_by_face(mesh, size)


def _by_xatlas(mesh: Mesh, size: int, padding: int) -> Mesh:
    import xatlas

    charts, packing = xatlas.ChartOptions(), xatlas.PackOptions()
    charts.max_iterations = 1  # more rounds make a tenth fewer charts in twice the time
    packing.resolution, packing.padding = size, padding
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.numpy(), mesh.faces.numpy().astype(np.uint32))
    atlas.generate(chart_options=charts, pack_options=packing)
    source, faces, uv = atlas[0]
    source = torch.from_numpy(source.astype(np.int64))
    return Mesh(
        mesh.vertices[source],
        torch.from_numpy(faces.astype(np.int64)),
        normals=mesh.vertex_normals()[source],
        uv=torch.from_numpy(uv.astype(np.float32)),
        texture=torch.zeros(3, size, size),
    )


def face_by_face(mesh: Mesh, size: int) -> Mesh:
    """Two faces in each square cell of the texture, at least two texels apart, longest edges facing.

    Raises:
        NoRoom: A cell would have less than LEAST_CELL texels a side.
    """
    count = len(mesh.faces)
    columns = int(np.ceil(np.sqrt(np.ceil(count / 2))))
    cell = size // columns
    if cell < LEAST_CELL:
        raise NoRoom(
            f"A texture of {size} x {size} has no room for {count} faces: type texture={columns * LEAST_CELL} or "
            "more, fewer faces, or texture=0 for colours at the vertices."
        )
    a, b, c = mesh.triangles().unbind(1)
    opposite = torch.stack([(b - c).norm(dim=-1), (c - a).norm(dim=-1), (a - b).norm(dim=-1)], dim=-1)
    order = (
        opposite.argmax(1)[:, None] + torch.arange(3)
    ) % 3  # the corner across the longest edge goes first
    corners = mesh.faces.gather(1, order).reshape(-1)
    low, high = 0.5, cell - 0.5
    shapes = torch.tensor([[[low, low], [high - 2, low], [low, high - 2]],
                           [[high, high], [low + 2, high], [high, low + 2]]])  # fmt: skip
    number = torch.arange(count)
    at = torch.stack([number // 2 % columns, number // 2 // columns], dim=-1) * cell
    uv = (shapes[number % 2] + at[:, None]).reshape(-1, 2) / size
    return replace(
        Mesh(mesh.vertices[corners], torch.arange(3 * count).view(-1, 3)),
        normals=mesh.vertex_normals()[corners],
        uv=uv,
        texture=torch.zeros(3, size, size),
    )
