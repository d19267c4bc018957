"""Neighbouring normals of a mesh should agree."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer, soft_unit
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule


class NormalConsistency(MeshRegularizer):
    """mean over edges of |n_i| |n_j| - n_i . n_j = 1 - cos, without splinters of triangles.

    Args:
        weight: Number or schedule.
        normals: "vertices": of the ends of each edge (as in threestudio); "faces": of its two faces
            (as in Magic3D and nvdiffrec), which costs a sort.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 1.0, normals: str = "vertices") -> None:
        super().__init__(weight)
        if normals not in ("vertices", "faces"):
            raise ValueError(f"'{normals}' are not normals of a mesh: 'vertices' or 'faces'.")
        self.normals = normals

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        a, b, c = (mesh.vertices.index_select(0, corner) for corner in mesh.faces.long().unbind(1))
        areas = torch.linalg.cross(b - a, c - a)
        if self.normals == "faces":
            pairs, vectors = faces_at_edges(mesh.faces.long()), areas
        else:  # both faces at an edge count it once
            pairs, corners = mesh.faces.long()[:, [0, 1, 1, 2, 2, 0]].view(-1, 2), mesh.faces.long().T
            vectors = sum(torch.zeros_like(mesh.vertices).index_add(0, corner, areas) for corner in corners)
        if len(pairs) == 0:
            return mesh.vertices.new_zeros(())
        normal = soft_unit(vectors)
        length = (normal.square().sum(-1) + 1e-12).sqrt()
        left, right = pairs.unbind(1)
        cosine = (normal.index_select(0, left) * normal.index_select(0, right)).sum(-1)
        return (length.index_select(0, left) * length.index_select(0, right) - cosine).mean()


@torch.no_grad()
def faces_at_edges(faces: Int[Tensor, "f 3"]) -> Int[Tensor, "e 2"]:
    """The two faces at each edge that has two."""
    ends = faces[:, [0, 1, 1, 2, 2, 0]].view(-1, 2).sort(dim=1).values
    key, order = (ends[:, 0] * (int(faces.max()) + 1) + ends[:, 1]).sort()
    same = (key[1:] == key[:-1]).nonzero()[:, 0]
    return torch.stack([order[same], order[same + 1]], dim=1) // 3
