"""How close a shape is to the true one.

Unit: the longest side of the true mesh's bounding box. `compare_meshes` divides by it, so 0.08 means 8 % of
the object's size whatever its scale. Distances are lengths, not squares. With P and T points on the predicted
and the true surface, uniform in area, and d(x, Y) = min_y |x - y|:

    Chamfer distance   = ( mean_{p in P} d(p, T) + mean_{t in T} d(t, P) ) / 2
    F-score            = 2 precision recall / (precision + recall) at distance `threshold`, with
                         precision = share of P with d(p, T) < threshold, recall = share of T with d(t, P) < it
    normal consistency = ( mean_p |n_p . n_nearest t| + mean_t |n_t . n_nearest p| ) / 2
    volume IoU         = |inside both| / |inside either|                         (suite.metrics.volumes)

Sampling has a floor: two samplings of one surface are about 0.5 sqrt(area / count) apart, .007 for a cube of
side 1 and 30,000 points.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from torch import Tensor

from suite.geometry.mesh import Mesh
from suite.geometry.transforms import rotation_z
from suite.metrics.volumes import volume_iou

Points = Float[Tensor, "n 3"]


@dataclass(frozen=True)
class SurfaceSamples:
    """Points on a surface, uniform in area, and the normals of their faces."""

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]


@dataclass(frozen=True)
class Alignment:
    """p_truth = scale * R_z(azimuth_deg) p_predicted + offset.

    Attributes:
        matrix: The same as a `4 4` matrix, `truth_from_predicted`.
        chamfer: Chamfer distance that was reached, in the truth's own unit, on the points used to align.
    """

    scale: float
    azimuth_deg: float
    offset: tuple[float, float, float]
    matrix: Float[Tensor, "4 4"]
    chamfer: float


@dataclass(frozen=True)
class GeometryMeasures:
    """What `compare_meshes` finds; lengths in units of the truth's longest side."""

    chamfer: float
    f_score: float
    volume_iou: float
    normal_consistency: float
    alignment: Alignment | None


def sample_surface(mesh: Mesh, count: int, generator: torch.Generator) -> SurfaceSamples:
    """`count` points, uniform in area. The same generator state gives the same points.

    Raises:
        ValueError: `count` < 1, or a mesh without area.
    """
    if count < 1:
        raise ValueError(f"sample_surface needs count >= 1, got {count}.")
    areas = mesh.face_areas().detach().cpu().double()
    total = areas.cumsum(0)
    if len(areas) == 0 or not float(total[-1]) > 0:
        raise ValueError("The mesh has no area to sample.")
    u = torch.rand(3, count, dtype=torch.float64, generator=generator, device=generator.device).cpu()
    face = torch.searchsorted(total, u[0] * total[-1], right=True).clamp_max(len(areas) - 1)
    root = u[1].sqrt()
    weights = torch.stack([1 - root, root * (1 - u[2]), root * u[2]], dim=-1)[..., None]
    corners = mesh.triangles().detach().cpu()[face].double()
    return SurfaceSamples((corners * weights).sum(1).float(), mesh.face_normals().detach().cpu()[face])


def nearest(points: Points, targets: Float[Tensor, "m 3"]) -> tuple[Float[Tensor, " n"], Tensor]:
    """Distance to the nearest target of each point, and its index."""
    distance, index = cKDTree(targets.double().numpy()).query(points.double().numpy())
    return torch.from_numpy(distance).float(), torch.from_numpy(index)


def chamfer_distance(predicted: Points, truth: Float[Tensor, "m 3"]) -> float:
    """Mean of the two directed mean distances between point sets; not squared."""
    there, back = nearest(predicted, truth)[0], nearest(truth, predicted)[0]
    return 0.5 * float(there.double().mean() + back.double().mean())


def f_score(predicted: Points, truth: Float[Tensor, "m 3"], threshold: float = 0.05) -> float:
    """Harmonic mean of precision and recall at `threshold` (One-2-3-45 uses .05 in a unit box)."""
    if not threshold > 0:
        raise ValueError(f"f_score needs threshold > 0, got {threshold}.")
    precision = float((nearest(predicted, truth)[0] < threshold).double().mean())
    recall = float((nearest(truth, predicted)[0] < threshold).double().mean())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def normal_consistency(predicted: SurfaceSamples, truth: SurfaceSamples) -> float:
    """Mean |cosine| between the normals of nearest points, both ways; 1 is perfect, .5 is chance."""
    _, there = nearest(predicted.points, truth.points)
    _, back = nearest(truth.points, predicted.points)
    one = (predicted.normals * truth.normals[there]).sum(-1).abs().double().mean()
    two = (truth.normals * predicted.normals[back]).sum(-1).abs().double().mean()
    return 0.5 * float(one + two)


def align(
    predicted: Mesh,
    truth: Mesh,
    *,
    scale: bool = True,
    offset: bool = True,
    azimuth: bool = True,
    count: int = 2000,
    generator: torch.Generator | None = None,
) -> Alignment:
    """The scale, shift and turn about +Z that bring a mesh closest to the truth in Chamfer distance.

    Scale and offset start where the centroids and the root-mean-square radii of the surfaces agree; the
    azimuth is searched in 36 steps; the two best are refined together (Nelder-Mead). What is switched off stays
    1 or 0. Takes about half a second.

    Args:
        count: Points on each surface; the search uses 600 of them.
        generator: For the points; by default always the same ones.
    """
    generator = generator or torch.Generator().manual_seed(0)
    p = sample_surface(predicted, count, generator).points.double().numpy()
    t = sample_surface(truth, count, generator).points.double().numpy()
    center_p = p.mean(0) if offset else np.zeros(3)
    center_t = t.mean(0) if offset else np.zeros(3)
    size_p, size_t = (float(np.sqrt(((x - c) ** 2).sum(1).mean())) for x, c in ((p, center_p), (t, center_t)))
    ratio = size_t / size_p if scale else 1.0
    p, t = p - center_p, t - center_t
    # unknowns: log scale, azimuth in radians, shift; about the centroids, in units of the truth's size
    rough, cost = (_Cost(p[:n], t[:n], ratio, size_t) for n in (600, count))
    free = np.array([scale, azimuth, offset, offset, offset])
    angles = np.deg2rad(np.arange(36) * 10.0) if azimuth else np.zeros(1)
    starts = sorted((np.array([0, angle, 0, 0, 0]) for angle in angles), key=rough)[:2]
    best = min((_refine(cost, start, free) for start in starts), key=cost)
    factor = ratio * math.exp(best[0])
    matrix = rotation_z(torch.tensor(math.degrees(best[1]), dtype=torch.float64))
    matrix[:3, :3] *= factor
    shift = torch.from_numpy(center_t + best[2:] * size_t) - matrix[:3, :3] @ torch.from_numpy(center_p)
    matrix[:3, 3] = shift
    degrees = math.degrees(math.atan2(math.sin(best[1]), math.cos(best[1])))
    return Alignment(factor, degrees, tuple(shift.tolist()), matrix.float(), cost(best) * size_t)


class _Cost:
    """Chamfer distance, in units of `size`, after scaling p by `ratio` exp(x_0), turning it by x_1 about +Z and
    shifting it by x_2..4 times `size`. Distances back are measured in p's own frame, so no tree is rebuilt."""

    def __init__(self, p: Float[ndarray, "n 3"], t: Float[ndarray, "m 3"], ratio: float, size: float) -> None:
        self.p, self.t, self.ratio, self.size = p, t, ratio, size
        self.tree_p, self.tree_t = cKDTree(p), cKDTree(t)

    def __call__(self, x: Float[ndarray, "5"]) -> float:
        factor, shift = self.ratio * math.exp(x[0]), x[2:] * self.size
        cos, sin = math.cos(x[1]), math.sin(x[1])
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        there, _ = self.tree_t.query(factor * self.p @ rotation.T + shift)
        back, _ = self.tree_p.query((self.t - shift) @ rotation / factor)
        return 0.5 * float(there.mean() + factor * back.mean()) / self.size


def _refine(cost: _Cost, start: Float[ndarray, "5"], free: Bool[ndarray, "5"]) -> Float[ndarray, "5"]:
    """Nelder-Mead over the free unknowns from `start`."""
    if not free.any():
        return start
    steps = np.array([0.05, math.radians(5), 0.05, 0.05, 0.05])[free]

    def full(z: ndarray) -> ndarray:
        x = start.copy()
        x[free] += z
        return x

    simplex = np.concatenate([np.zeros((1, len(steps))), np.diag(steps)])
    options = {"initial_simplex": simplex, "maxfev": 120, "xatol": 1e-4, "fatol": 1e-5}
    found = minimize(lambda z: cost(full(z)), np.zeros(len(steps)), method="Nelder-Mead", options=options)
    return full(found.x)


def compare_meshes(
    predicted: Mesh,
    truth: Mesh,
    *,
    aligned: bool = True,
    count: int = 30_000,
    threshold: float = 0.05,
    resolution: int = 64,
    generator: torch.Generator | None = None,
) -> GeometryMeasures:
    """All measures, in units of the truth's longest side.

    Args:
        aligned: First `align` scale, offset and azimuth. False compares the meshes where they are.
        count: Points on each surface.
        threshold: Of the F-score, in units of the truth's longest side.
        resolution: Voxels along the longest side for the IoU.
        generator: For the points; by default always the same ones.
    """
    generator = generator or torch.Generator().manual_seed(0)
    alignment = align(predicted, truth, generator=generator) if aligned else None
    if alignment is not None:
        predicted = predicted.to("cpu").transformed(alignment.matrix)
    low, high = truth.bounds
    unit = torch.eye(4) / float((high - low).max())
    unit[3, 3] = 1
    predicted, truth = predicted.to("cpu").transformed(unit), truth.to("cpu").transformed(unit)
    p, t = (sample_surface(mesh, count, generator) for mesh in (predicted, truth))
    return GeometryMeasures(
        chamfer=chamfer_distance(p.points, t.points),
        f_score=f_score(p.points, t.points, threshold),
        volume_iou=volume_iou(predicted, truth, resolution=resolution),
        normal_consistency=normal_consistency(p, t),
        alignment=alignment,
    )
