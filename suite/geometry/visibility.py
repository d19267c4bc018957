"""What of a mesh can be seen from outside.

Models are built of parts that run through each other: a burger's patty goes on inside its bun. No picture shows
such inner surfaces, so a shape that is compared with them is blamed for what nobody can know.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, rasterize

EDGE, SLACK = 0.04, 0.01  # in longest sides: of the pieces that are kept or dropped, and of a depth test


def outer_surface(mesh: Mesh, *, views: int = 64, size: int = 192) -> Mesh:
    """The faces that some camera around the mesh sees; large ones are first cut into pieces of EDGE.

    Args:
        views: Cameras, equally dense on the sphere, from below too.
        size: Of their pictures in pixels.

    Raises:
        ValueError: A mesh without faces or without extent.
    """
    low, high = mesh.bounds
    side = float((high - low).max())
    if not side > 0:
        raise ValueError("A mesh whose bounding box has no size has no outside.")
    pieces = mesh.subdivided(EDGE * side)
    unit = torch.eye(4) / side
    unit[:3, 3], unit[3, 3] = -(low + high) / (2 * side), 1
    placed = pieces.transformed(unit)
    cameras = around(views, height=size, width=size)
    return pieces.with_faces(seen(placed, cameras))


def seen(mesh: Mesh, cameras: Cameras) -> Bool[Tensor, " f"]:
    """Whether the centre of each face is, to within SLACK, the nearest surface for some camera."""
    centers = mesh.triangles().mean(1)
    visible = torch.zeros(len(centers), dtype=torch.bool)
    for camera in (cameras[k] for k in range(len(cameras))):
        depth = rasterize(
            clip_positions(mesh.vertices, camera), mesh.faces, camera.height, camera.width
        ).depth
        pixels, distance = camera.project(centers)
        column, row = pixels[0].floor().long().unbind(-1)
        inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        nearest = depth[0, row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)]
        visible |= inside & ((nearest == 0) | (distance[0] < nearest + SLACK))  # 0: the pixel shows nothing
    return visible


def around(
    count: int,
    distance: float | int = 1.8,
    fov_deg: float | int = 40.0,
    *,
    elevation_deg: tuple[float, float] = (-90.0, 90.0),
    height: int = 64,
    width: int = 64,
) -> Cameras:
    """Cameras on a spiral around the origin, equally dense on the sphere between two elevations."""
    low, high = (math.sin(math.radians(end)) for end in elevation_deg)
    k = torch.arange(count)
    sine: Float[Tensor, " count"] = low + (high - low) * (k + 0.5) / count
    golden = 180 * (3 - math.sqrt(5))
    azimuth = (k * golden + 180) % 360 - 180
    elevation = torch.rad2deg(torch.asin(sine))
    return Cameras.orbit(azimuth, elevation, distance, fov_deg, height=height, width=width)
