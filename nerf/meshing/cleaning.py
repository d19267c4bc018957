"""From the raw isosurface to a tidy one."""

import numpy as np
import torch
from scipy.sparse import coo_matrix, diags

from suite.geometry.mesh import Mesh
from suite.geometry.remeshing import component_of_face, directed_edges


def without_small_parts(mesh: Mesh, smallest_part: float | int) -> Mesh:
    """Without the connected parts that have less than this share of the whole area; the largest stays."""
    if not 0 <= smallest_part < 1:
        raise ValueError(f"without_small_parts needs 0 <= smallest_part < 1, got {smallest_part}.")
    if len(mesh.faces) == 0:
        return mesh
    label = torch.from_numpy(component_of_face(mesh.vertices.numpy(), mesh.faces.numpy()))
    areas = mesh.face_areas().double()
    total = torch.zeros(int(label.max()) + 1, dtype=torch.float64).index_add(0, label, areas)
    keep = total >= min(smallest_part * float(areas.sum()), float(total.max()))
    return mesh.with_faces(keep[label])


def without_degenerate_faces(mesh: Mesh) -> Mesh:
    """Without faces that name a corner twice or have no area."""
    a, b, c = mesh.faces.unbind(1)
    return mesh.with_faces((a != b) & (b != c) & (c != a) & (mesh.face_areas() > 0))


def smoothed(mesh: Mesh, rounds: int, *, shrink: float | int = 0.5, grow: float | int = -0.53) -> Mesh:
    """Taubin's smoothing (1995), which keeps the volume: each round moves vertices towards the mean of their
    neighbours by the share `shrink`, then back out by `grow`.

    Args:
        rounds: 0 returns the mesh as it is.
    """
    if rounds < 0:
        raise ValueError(f"smoothed needs rounds >= 0, got {rounds}.")
    if rounds == 0 or len(mesh.faces) == 0:
        return mesh
    edges = directed_edges(mesh.faces.numpy())
    n = len(mesh.vertices)
    links = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    links = ((links + links.T) > 0).astype(np.float64)
    neighbours = np.asarray(links.sum(axis=1)).reshape(-1)
    mean = diags(1 / np.maximum(neighbours, 1)) @ links
    points = mesh.vertices.double().numpy()
    for _ in range(rounds):
        for share in (shrink, grow):
            points = points + share * (mean @ points - points) * (neighbours > 0)[:, None]
    return Mesh(torch.from_numpy(points).float(), mesh.faces)
