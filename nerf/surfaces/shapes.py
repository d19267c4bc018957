"""What a surface starts as: signed distances to known shapes, negative inside."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.encodings import GridLevels, interpolate
from suite.geometry.mesh import Mesh

log = logging.getLogger(__name__)
RAYS = 5  # that vote on what is inside; a single one may run along an edge


class Shape(ABC):
    """A signed distance in world units: negative inside, differentiable in the points."""

    @abstractmethod
    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        """Signed distance at places of the world."""


class Sphere(Shape):
    """|x| - r.

    Args:
        radius: r.
    """

    def __init__(self, *, radius: float | int = 0.4) -> None:
        if not radius > 0:
            raise ValueError(f"Sphere needs radius > 0, got {radius}.")
        self.radius = float(radius)

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        return _length(points) - self.radius


class Ellipsoid(Shape):
    """k (k - 1) / l with k = |x / r| and l = |x / r^2|: zero on the ellipsoid, where its slope is 1.

    Elsewhere it is not quite the distance, which has no closed form; with equal radii it is.

    Args:
        radii: Half axes along x, y, z.
    """

    def __init__(self, *, radii: Sequence[float | int] = (0.4, 0.3, 0.3)) -> None:
        if len(radii) != 3 or not all(r > 0 for r in radii):
            raise ValueError(f"Ellipsoid needs three radii > 0, got {list(radii)}.")
        self.radii = tuple(float(r) for r in radii)

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        radii = points.new_tensor(self.radii)
        k, l2 = _length(points / radii), _length(points / radii**2)
        return torch.where(l2 < 1e-5, -min(self.radii), k * (k - 1) / l2.clamp_min(1e-5))


class MeshDistance(Shape):
    """Distance to a mesh, by Open3D.

    Args:
        mesh: A closed mesh, or its file (read as `suite.io.meshes.load_mesh` does).
        union: Parts of the mesh may overlap: inside is what is inside any. False: what an odd number of
            surfaces encloses, so that a part inside another one is a cavity.
        fit: Before, the mesh is centred and scaled to this longest side; null leaves it as it is.
    """

    def __init__(
        self, *, mesh: Mesh | str | Path, union: bool = True, fit: float | int | None = None
    ) -> None:
        if not isinstance(mesh, Mesh):
            from suite.io.meshes import load_mesh

            mesh = load_mesh(mesh)
        if len(mesh.faces) == 0 or not mesh.vertices.isfinite().all():
            raise ValueError(
                "MeshDistance needs a mesh with faces and finite vertices, got "
                f"{len(mesh.faces)} faces and {int((~mesh.vertices.isfinite()).any(-1).sum())} vertices with NaN."
            )
        if not mesh.is_watertight:
            log.warning(
                "The mesh is not closed: what is inside is decided by a vote of %d rays and may be wrong. "
                "Close its holes first, for example in Blender with 3D Print > Make Manifold.",
                RAYS,
            )
        self.mesh = mesh if fit is None else mesh.normalized(fit)
        self._scenes = [_scene(part) for part in (self.mesh.components() if union else [self.mesh])]

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        nearest, sign = _nearest(self._scenes, points.detach().reshape(-1, 3))
        away = points - nearest.view(points.shape).to(points)
        return _length(away) * sign.view(points.shape[:-1]).to(points)


class GridDistance(Shape):
    """Values on a grid, interpolated; outside of the box those of its border.

    Args:
        values: Signed distances at equal steps over [-radius, radius]^3, axes x, y, z, corners included.
        radius: Of the box.
    """

    def __init__(self, *, values: Float[Tensor, "n n n"], radius: float | int = 0.6) -> None:
        if not radius > 0:
            raise ValueError(f"GridDistance needs radius > 0, got {radius}.")
        self.values, self.radius = values, float(radius)

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        return sample_grid(self.values.to(points), points, self.radius)


def sample_grid(
    values: Float[Tensor, "n n n"], points: Float[Tensor, "*n 3"], radius: float | int
) -> Float[Tensor, " *n"]:
    """Trilinear interpolation on a grid over [-radius, radius]^3, axes x, y, z; differentiable in both."""
    unit = (points.reshape(-1, 3).flip(-1) / radius + 1) / 2  # `interpolate` has the first axis fastest
    backend = "auto" if values.dtype == torch.float32 else "torch"
    found = interpolate(unit, values.reshape(-1, 1), GridLevels.dense(len(values)), backend)
    return found.view(points.shape[:-1])


def grid_points(resolution: int, radius: float | int) -> Float[Tensor, "n n n 3"]:
    """Vertices of resolution^3 cells over [-radius, radius]^3, axes x, y, z."""
    axis = torch.linspace(-radius, radius, resolution + 1)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def _length(x: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
    """|x|, with derivative 0 at 0."""
    square = x.square().sum(-1)
    return torch.where(square > 0, square.clamp_min(1e-30).sqrt(), 0.0)


def _scene(mesh: Mesh):
    """Open3D's search structure."""
    from suite.io.pointclouds import import_open3d

    open3d = import_open3d()
    scene = open3d.t.geometry.RaycastingScene(nthreads=torch.get_num_threads())
    vertices, faces = mesh.vertices.detach().cpu().float().numpy(), mesh.faces.cpu().int().numpy()
    scene.add_triangles(vertices, faces.astype("uint32"))
    return scene


def _nearest(scenes: list, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """(place of the union's surface nearest to each point, -1 inside and 1 outside)."""
    from suite.io.pointclouds import import_open3d

    query = import_open3d().core.Tensor.from_numpy(points.cpu().float().numpy())
    threads = torch.get_num_threads()
    best, nearest = torch.full((len(points),), torch.inf), torch.zeros(len(points), 3)
    for scene in scenes:
        found = scene.compute_signed_distance(query, nthreads=threads, nsamples=RAYS)
        signed = torch.from_numpy(found.numpy())
        place = scene.compute_closest_points(query, nthreads=threads)["points"]
        closer = signed < best
        best = torch.where(closer, signed, best)
        nearest = torch.where(closer[:, None], torch.from_numpy(place.numpy()), nearest)
    return nearest, torch.where(best < 0, -1.0, 1.0)
