"""The edges of a mesh, and vertices at one place made one: what silhouettes are found on."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from suite.geometry import antialiasing_torch


@dataclass(frozen=True)
class Edges:
    """The edges of a mesh.

    Attributes:
        ends: The corners of each, the smaller index first.
        of_face: The edge from each face's corner i to its corner i + 1.
    """

    ends: Int[Tensor, "e 2"]
    of_face: Int[Tensor, "f 3"]

    @staticmethod
    def of(faces: Int[Tensor, "f 3"]) -> "Edges":
        """They depend on the faces alone: make them once where those stay."""
        if faces.is_cuda:
            return Edges(*antialiasing_torch.edge_table(faces))
        from suite.geometry.antialiasing_numba import edge_table

        triangles = integers(faces)
        ends, of_face = np.empty((3 * len(faces), 2), np.int64), np.empty((len(faces), 3), np.int64)
        count = edge_table(triangles, ends, of_face)
        return Edges(torch.from_numpy(ends[:count]), torch.from_numpy(of_face))


def welded(
    vertices: Float[Tensor, "v 3"], clip: Float[Tensor, "b v 4"], faces: Int[Tensor, "f 3"]
) -> tuple[Float[Tensor, "b n 4"], Int[Tensor, "f 3"]]:
    """Clip positions and faces in which vertices at one place are one vertex, so that seams are no borders.

    The gradient of a place is shared by its vertices.
    """
    place, count = _places(vertices.detach())
    if count == len(vertices):
        return clip, faces
    share = 1 / torch.bincount(place, minlength=count).to(clip)
    joined = clip.new_zeros((len(clip), count, 4)).index_add(1, place, clip) * share[:, None]
    return joined, place[faces.long()]


def _places(vertices: Float[Tensor, "v 3"]) -> tuple[Int[Tensor, " v"], int]:
    if vertices.is_cuda:
        return antialiasing_torch.same_places(vertices)
    from suite.geometry.antialiasing_numba import same_places

    first = np.empty(len(vertices), np.int64)
    count = same_places(vertices.numpy(), first)
    number = np.cumsum(first == np.arange(len(first))) - 1
    return torch.from_numpy(number[first]), count


def integers(tensor: Tensor) -> np.ndarray:
    """For numba, which compiles for one type of integers."""
    return tensor.numpy().astype(np.int64, copy=False)
