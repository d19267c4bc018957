"""Triangle meshes as torch tensors. trimesh is reached from here only (`to_trimesh`, `from_trimesh`).

Texture: uv (0, 0) is the texture's lower left corner and (1, 1) its upper right (OBJ, trimesh);
the first row of the image is its top. Coordinates outside [0, 1] repeat the texture.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from suite.geometry import remeshing
from suite.geometry.textures import mip_map, sample
from suite.geometry.transforms import transform_points


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh. Faces run counter-clockwise seen from outside. Colours are RGB in [0, 1]."""

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    vertex_colors: Float[Tensor, "v 3"] | None = None
    normals: Float[Tensor, "v 3"] | None = None
    uv: Float[Tensor, "v 2"] | None = None
    texture: Float[Tensor, "3 h w"] | None = None

    def __post_init__(self) -> None:
        if len(self.faces) and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < len(self.vertices):
            raise ValueError(
                f"A face names vertex {int(self.faces.max())} or {int(self.faces.min())}, "
                f"but the mesh has vertices 0 to {len(self.vertices) - 1}."
            )
        if (self.uv is None) != (self.texture is None):
            raise ValueError("A textured mesh needs both uv and texture; give both or neither.")

    # ---- measures

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Lower and upper corner of the bounding box of the vertices that faces use."""
        used = self.vertices[self.faces.reshape(-1)]
        if len(used) == 0:
            raise ValueError("A mesh without faces has no bounds.")
        return torch.stack([used.amin(0), used.amax(0)])

    def triangles(self) -> Float[Tensor, "f 3 3"]:
        """Corner positions of each face."""
        return self.vertices[self.faces]

    def _area_vectors(self) -> Float[Tensor, "f 3"]:
        a, b, c = self.triangles().unbind(1)
        return 0.5 * torch.linalg.cross(b - a, c - a)

    def face_areas(self) -> Float[Tensor, " f"]:
        """Area of each face."""
        return self._area_vectors().norm(dim=-1)

    def face_normals(self) -> Float[Tensor, "f 3"]:
        """Unit normals of the faces; 0 for a face without area."""
        return torch.nn.functional.normalize(self._area_vectors(), dim=-1, eps=1e-20)

    def vertex_normals(self) -> Float[Tensor, "v 3"]:
        """`normals` if the mesh has them, else the area-weighted mean of the faces around each vertex."""
        if self.normals is not None:
            return self.normals
        area = self._area_vectors()[:, None].expand(-1, 3, -1).reshape(-1, 3)
        total = torch.zeros_like(self.vertices).index_add(0, self.faces.reshape(-1).long(), area)
        return torch.nn.functional.normalize(total, dim=-1, eps=1e-20)

    @property
    def volume(self) -> float:
        """Signed volume inside (positive for outward faces); meaningful for a watertight mesh."""
        a, b, c = self.triangles().double().unbind(1)
        return float((a * torch.linalg.cross(b, c)).sum() / 6)

    @property
    def is_watertight(self) -> bool:
        """Whether the surface is closed and consistently oriented; vertices at one place count as one."""
        return remeshing.is_watertight(*self._numpy())

    # ---- new meshes

    def to(self, device: torch.device | str) -> "Mesh":
        """The same mesh on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Mesh(**{name: None if x is None else x.to(device) for name, x in values.items()})

    def transformed(self, matrix: Float[Tensor, "4 4"]) -> "Mesh":
        """Every vertex moved by an affine matrix. A mirroring matrix also turns the faces around."""
        matrix = matrix.to(self.vertices)
        linear = matrix[:3, :3]
        faces = self.faces if torch.linalg.det(linear) > 0 else self.faces.flip(1)
        normals = self.normals
        if normals is not None:
            normals = torch.nn.functional.normalize(normals @ torch.linalg.inv(linear), dim=-1, eps=1e-20)
        return replace(self, vertices=transform_points(matrix, self.vertices), faces=faces, normals=normals)

    def normalized(self, longest_side: float | int = 1.0) -> "Mesh":
        """Bounding box centred at the origin, its longest side `longest_side`."""
        low, high = self.bounds
        side = float((high - low).max())
        if not side > 0:
            raise ValueError("A mesh whose bounding box has no size cannot be normalized.")
        return replace(self, vertices=(self.vertices - (low + high) / 2) * (longest_side / side))

    def with_faces(self, keep: Bool[Tensor, " f"]) -> "Mesh":
        """Only the chosen faces, without the vertices that no face uses any more."""
        used, faces = torch.unique(self.faces[keep], return_inverse=True)
        picked = {name: x[used] for name, x in self._per_vertex().items()}
        return Mesh(faces=faces.reshape(-1, 3), texture=self.texture, **picked)

    def components(self) -> list["Mesh"]:
        """The connected parts, most area first. Vertices at the same place connect."""
        label = torch.from_numpy(remeshing.component_of_face(*self._numpy())).to(self.faces.device)
        area = torch.zeros(int(label.max()) + 1 if len(label) else 0, device=self.vertices.device)
        area.index_add_(0, label, self.face_areas())
        return [self.with_faces(label == k) for k in area.argsort(descending=True, stable=True).tolist()]

    def largest_components(self, count: int = 1, min_area_fraction: float | int = 0.0) -> "Mesh":
        """At most `count` connected parts, those with at least `min_area_fraction` of the whole area.

        The largest part is always kept.
        """
        if count < 1:
            raise ValueError(f"largest_components needs count >= 1, got {count}.")
        parts, least = self.components()[:count], min_area_fraction * float(self.face_areas().sum())
        return Mesh.cat(parts[:1] + [part for part in parts[1:] if float(part.face_areas().sum()) >= least])

    @staticmethod
    def cat(meshes: list["Mesh"]) -> "Mesh":
        """One mesh of all parts. Unless all share one texture, they get vertex colours; grey without any."""
        if not meshes:
            raise ValueError("Mesh.cat needs at least one mesh.")
        shared = all(m.texture is not None and m.texture is meshes[0].texture for m in meshes)
        if not shared and any(m.texture is not None or m.vertex_colors is not None for m in meshes):
            meshes = [m.with_vertex_colors() for m in meshes]
        offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
        names = [n for n in meshes[0]._per_vertex() if all(n in m._per_vertex() for m in meshes)]
        joined = {n: torch.cat([getattr(m, n) for m in meshes]) for n in names}
        faces = torch.cat([m.faces + int(offset) for m, offset in zip(meshes, offsets, strict=True)])
        return Mesh(faces=faces, texture=meshes[0].texture if shared else None, **joined)

    def with_vertex_colors(self, fallback: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> "Mesh":
        """Colours at the vertices instead of a texture, which is sampled at each vertex's uv.

        Call `subdivided` first where the texture is finer than the triangles.
        """
        colors = self.vertex_colors
        if self.texture is not None:
            colors = sample_texture(self.texture, self.uv)
        elif colors is None:
            colors = self.vertices.new_tensor(fallback).expand(len(self.vertices), 3).contiguous()
        return replace(self, vertex_colors=colors, uv=None, texture=None)

    def subdivided(self, max_edge: float | int) -> "Mesh":
        """Edges halved until none is longer than `max_edge`; colours, normals and uv are interpolated."""
        if not max_edge > 0:
            raise ValueError(f"subdivided needs max_edge > 0, got {max_edge}.")
        named = self._per_vertex()
        stacked = torch.cat(list(named.values()), dim=1).detach().cpu().numpy()
        _, faces = self._numpy()
        stacked, faces = remeshing.split_long_edges(stacked, faces, float(max_edge))
        columns = torch.from_numpy(stacked).to(self.vertices).split([x.shape[1] for x in named.values()], 1)
        parts = {name: x.contiguous() for name, x in zip(named, columns, strict=True)}
        if self.normals is not None:
            parts["normals"] = torch.nn.functional.normalize(parts["normals"], dim=-1, eps=1e-20)
        return Mesh(faces=torch.from_numpy(faces).to(self.faces.device), texture=self.texture, **parts)

    def decimated(self, faces: int) -> "Mesh":
        """At most about `faces` faces. Colours come from the nearest old vertex; a texture becomes vertex
        colours first; stored normals are dropped. A mesh that is small enough is returned as it is."""
        if faces < 4:
            raise ValueError(f"decimated needs faces >= 4, got {faces}.")
        if len(self.faces) <= faces:
            return self
        from scipy.spatial import cKDTree

        old = self if self.texture is None else self.with_vertex_colors()
        positions, triangles = old._numpy()
        new_positions, new_triangles = remeshing.decimate(positions, triangles, faces)
        device, colors = self.vertices.device, None
        if old.vertex_colors is not None:
            nearest = torch.from_numpy(cKDTree(positions).query(new_positions)[1])
            colors = old.vertex_colors[nearest.to(device)]
        new = torch.from_numpy(new_positions).to(self.vertices)
        return Mesh(new, torch.from_numpy(new_triangles).to(device), vertex_colors=colors)

    # ---- trimesh

    def to_trimesh(self) -> Any:
        """A `trimesh.Trimesh` with the same vertices in the same order."""
        from suite.geometry.trimesh_bridge import to_trimesh

        return to_trimesh(self)

    @staticmethod
    def from_trimesh(geometry: Any, *, color_edge: float | int = 1 / 64) -> "Mesh":
        """A `trimesh.Trimesh` or `trimesh.Scene` as a Mesh.

        One textured geometry keeps its texture. A scene of several materials becomes vertex colours, its
        textured parts subdivided first to edges of `color_edge` times the scene's longest side.
        """
        from suite.geometry.trimesh_bridge import from_trimesh

        return from_trimesh(geometry, color_edge=float(color_edge))

    # ----

    def _per_vertex(self) -> dict[str, Tensor]:
        names = ("vertices", "vertex_colors", "normals", "uv")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _numpy(self) -> tuple[np.ndarray, np.ndarray]:
        return self.vertices.detach().cpu().numpy(), self.faces.cpu().numpy().astype(np.int64)


def sample_texture(texture: Float[Tensor, "3 h w"], uv: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 3"]:
    """Bilinear texture lookup with repetition; uv (0, 0) is the lower left corner."""
    return sample(mip_map(texture, levels=1), uv)
