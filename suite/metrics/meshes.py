"""What a mesh is like: its size, whether it is closed, how its texture is spread. Vertices at one place are one.

texel density    texels along a unit of length: (texels of a face / its area)^(1/2); of all faces, the least, the
                 median by area, and the largest
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer_fragments import rasterize
from suite.geometry.remeshing import component_of_face, directed_edges, weld


@dataclass(frozen=True)
class TexelDensity:
    """How a texture is spread over a surface.

    Attributes:
        texels_min, texels_median, texels_max: Texels along a unit of length, see above.
        texture_unused: Share of the texture that shows no face.
    """

    texels_min: float
    texels_median: float
    texels_max: float
    texture_unused: float


@dataclass(frozen=True)
class MeshReport:
    """A mesh in numbers.

    Attributes:
        faces, vertices: As stored: seams of a texture count vertices twice.
        degenerate_faces: Faces without area.
        components: Connected parts.
        watertight: Closed, and oriented consistently.
        boundary_edges: Edges of one face.
        non_manifold_edges: Edges of more than two faces.
        flipped_edges: Edges that both of their two faces run through in the same direction: neighbours that disagree
            about what is outside.
        area: In squared units.
        volume: Inside, in cubed units; negative where faces look inwards; None where the mesh is not closed.
        texels: None without a texture.
    """

    faces: int
    vertices: int
    degenerate_faces: int
    components: int
    watertight: bool
    boundary_edges: int
    non_manifold_edges: int
    flipped_edges: int
    area: float
    volume: float | None
    texels: TexelDensity | None

    def measures(self) -> dict[str, float | int | bool]:
        """For a report: what is known, in one level."""
        found = asdict(self)
        found |= found.pop("texels") or {}
        known = {name: value for name, value in found.items() if value is not None}
        return {name: float(f"{x:.5g}") if isinstance(x, float) else x for name, x in known.items()}

    def line(self) -> str:
        """For people."""
        closed = "watertight" if self.watertight else f"open ({self.boundary_edges} boundary edges)"
        parts = [f"{self.faces} faces", f"{self.components} part{'s' * (self.components != 1)}", closed]
        if self.non_manifold_edges or self.flipped_edges:
            parts.append(f"{self.non_manifold_edges} non-manifold and {self.flipped_edges} flipped edges")
        parts.append(f"area {self.area:.3g}")
        if self.volume is not None:
            parts.append(f"volume {self.volume:.3g}")
        if self.texels is not None:
            low, middle, high = self.texels.texels_min, self.texels.texels_median, self.texels.texels_max
            parts.append(f"{low:.3g} / {middle:.3g} / {high:.3g} texels a unit (least / median / most)")
            parts.append(f"{self.texels.texture_unused:.0%} of the texture unused")
        return ", ".join(parts)


def mesh_report(mesh: Mesh) -> MeshReport:
    """The report of a mesh on any device."""
    mesh = mesh.to("cpu")
    positions, faces = mesh.vertices.detach().numpy(), mesh.faces.numpy().astype(np.int64)
    welded = weld(positions, faces)
    proper = (welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])
    boundary, crowded, flipped, closed = _edges(welded[proper])
    areas = _areas(mesh)
    labels = component_of_face(positions, faces)
    return MeshReport(
        faces=len(faces),
        vertices=len(positions),
        degenerate_faces=int((~proper | (areas.numpy() <= 0)).sum()),
        components=int(labels.max(initial=-1)) + 1,
        watertight=closed,
        boundary_edges=boundary,
        non_manifold_edges=crowded,
        flipped_edges=flipped,
        area=float(areas.sum()),
        volume=mesh.volume if closed else None,
        texels=None if mesh.texture is None or len(faces) == 0 else texel_density(mesh),
    )


def _edges(welded: np.ndarray) -> tuple[int, int, int, bool]:
    """Edges of one face, of more than two, of two that disagree; and whether each is run through as often in one
    direction as in the other."""
    edges = directed_edges(welded)
    if len(edges) == 0:
        return 0, 0, 0, False
    low, high = np.sort(edges, axis=1).T
    _, edge = np.unique(low * (int(high.max()) + 1) + high, return_inverse=True)
    count = np.bincount(edge)
    balance = np.bincount(edge, weights=np.where(edges[:, 0] < edges[:, 1], 1, -1))
    flipped = (count == 2) & (balance != 0)
    return int((count == 1).sum()), int((count > 2).sum()), int(flipped.sum()), not balance.any()


def _areas(mesh: Mesh) -> Float[Tensor, " f"]:
    """In float64: the squares of a tiny mesh's sides vanish in float32."""
    a, b, c = mesh.vertices.detach().double()[mesh.faces].unbind(1)
    return 0.5 * torch.linalg.cross(b - a, c - a).norm(dim=-1)


def texel_density(mesh: Mesh) -> TexelDensity:
    """How the texture of a mesh is spread. Faces without area have no say."""
    _, h, w = mesh.texture.shape
    uv = mesh.uv.detach().double()
    u, v = ((uv[mesh.faces][:, k] - uv[mesh.faces][:, 0]) for k in (1, 2))
    texels = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).abs() * w * h
    areas = _areas(mesh)
    density, areas = (texels / areas).sqrt()[areas > 0], areas[areas > 0]
    order = density.argsort()
    middle = order[torch.searchsorted(areas[order].cumsum(0), areas.sum() / 2).clamp_max(len(order) - 1)]
    flat = torch.cat([2 * mesh.uv.detach() - 1, torch.zeros(len(uv), 1), torch.ones(len(uv), 1)], dim=1)
    unused = rasterize(flat[None].float(), mesh.faces, h, w).face_id < 0
    return TexelDensity(
        float(density.min()), float(density[middle]), float(density.max()), float(unused.float().mean())
    )
