"""Each vertex of a mesh should lie in the middle of its neighbours.

    uniform     L v_i = mean_j v_j - v_i
    cotangent   L v_i = sum_j w_ij (v_j - v_i) / sum_j |w_ij|,  w_ij = cot a_ij + cot b_ij

a_ij and b_ij are the angles opposite the edge. Half the cotangent sum is minus the derivative of the area by
the vertex (Pinkall and Polthier 1993): it has no part along a flat surface, however that is cut into triangles,
where the uniform one also evens out the triangles.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.regularizers.mesh_base import MeshRegularizer
from suite.geometry.mesh import Mesh
from suite.schedules import Schedule

STEEPEST = 20.0  # cotangents are cut here (2.9 degrees): those of splinters of triangles are without bounds


class Laplacian(MeshRegularizer):
    """mean over vertices of |L v|^2, in squared mean lengths of the edges.

    Args:
        weight: Number or schedule.
        kind: "uniform" or "cotangent"; the cotangents are taken without gradient.
    """

    def __init__(self, *, weight: float | int | list | Schedule = 1.0, kind: str = "uniform") -> None:
        super().__init__(weight)
        if kind not in ("uniform", "cotangent"):
            raise ValueError(f"'{kind}' is not a kind of Laplacian: 'uniform' or 'cotangent'.")
        self.kind = kind

    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        total, weight = weighted_differences(mesh, self.kind)
        used = weight > 0
        a, b, c = mesh.triangles().detach().unbind(1)
        edge = torch.stack([b - a, c - b, a - c]).norm(dim=-1).mean().clamp_min(1e-12)
        return (total[used] / weight[used, None] / edge).square().sum(-1).mean()


def weighted_differences(mesh: Mesh, kind: str) -> tuple[Float[Tensor, "v 3"], Float[Tensor, " v"]]:
    """(sum_j w_ij (v_j - v_i), sum_j |w_ij|) of every vertex of a closed mesh."""
    i, j, k = mesh.faces.long().unbind(1)
    v = mesh.vertices
    total, weight = torch.zeros_like(v), v.new_zeros(len(v))
    for p, q, opposite in ((i, j, k), (j, k, i), (k, i, j)):
        difference = v.index_select(0, q) - v.index_select(0, p)
        if kind == "uniform":  # both faces at an edge give one half
            w = torch.full_like(difference[:, 0], 0.5)
        else:
            w = _cotangent(v.detach()[p], v.detach()[q], v.detach()[opposite])
        total = total.index_add(0, p, w[:, None] * difference).index_add(0, q, -w[:, None] * difference)
        weight = weight.index_add(0, p, w.abs()).index_add(0, q, w.abs())
    return total, weight


def _cotangent(
    p: Float[Tensor, "f 3"], q: Float[Tensor, "f 3"], at: Float[Tensor, "f 3"]
) -> Float[Tensor, " f"]:
    """Of the angle between p and q, seen from `at`."""
    a, b = p - at, q - at
    sine = torch.linalg.cross(a, b).norm(dim=-1)
    cosine = (a * b).sum(-1)
    return (cosine / sine.clamp_min(1e-30)).clamp(-STEEPEST, STEEPEST)
