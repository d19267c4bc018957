"""Solids whose volume and area are known, random fields, and what a closed surface is."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from nerf.surfaces.shapes import grid_points
from suite.geometry.mesh import Mesh

BALL = 0.4
RING, TUBE = 0.33, 0.14
KNOWN = {  # name -> (volume, area)
    "ball": (4 / 3 * math.pi * BALL**3, 4 * math.pi * BALL**2),
    "torus": (2 * math.pi**2 * RING * TUBE**2, 4 * math.pi**2 * RING * TUBE),
}


def distance(name: str, resolution: int, radius: float = 0.6) -> Tensor:
    """Signed distances of a known solid on a grid."""
    p = grid_points(resolution, radius)
    if name == "ball":
        return p.norm(dim=-1) - BALL
    return torch.hypot(torch.hypot(p[..., 0], p[..., 1]) - RING, p[..., 2]) - TUBE


def random_field(seed: int, resolution: int = 20, smooth: float = 1.5) -> Tensor:
    """Noise, blurred over `smooth` cells; at the border outside."""
    noise = np.random.default_rng(seed).normal(size=(resolution + 1,) * 3)
    values = torch.from_numpy(gaussian_filter(noise, smooth) if smooth else noise).float()
    values = values / values.std()
    values[[0, -1]], values[:, [0, -1]], values[:, :, [0, -1]] = 0.5, 0.5, 0.5
    return values


def assert_closed_manifold(mesh: Mesh) -> None:
    """Each directed edge occurs once, and so does its reverse; no vertex is unused or at another's place."""
    faces = mesh.faces.numpy()
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    assert (edges[:, 0] != edges[:, 1]).all()
    forth = np.unique(edges, axis=0)
    assert len(forth) == len(edges)
    assert np.array_equal(forth, np.unique(edges[:, ::-1], axis=0))
    assert len(np.unique(faces)) == len(mesh.vertices)
    assert len(np.unique(mesh.vertices.detach().numpy(), axis=0)) == len(mesh.vertices)


def euler_characteristic(mesh: Mesh) -> int:
    """Vertices - edges + faces: 2 for a ball, 0 for a torus."""
    return len(mesh.vertices) - 3 * len(mesh.faces) // 2 + len(mesh.faces)


def area(mesh: Mesh) -> float:
    return float(mesh.face_areas().detach().double().sum())


def volume(mesh: Mesh) -> float:
    return Mesh(mesh.vertices.detach(), mesh.faces).volume
