"""Which voxels of a camera's frustum a closed surface fills: see `suite.geometry.frustum_volumes` for the grid.

A point is inside where the surface winds around it: along a ray, faces that the eye sees from outside count 1, those
seen from inside -1, and what lies between where their sum is not 0 is filled. Parts may overlap. A surface with holes
ends, on each ray, at its last crossing.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from suite.geometry.frustum_volumes import REACH

FINER = 2  # points a side of a voxel
FULL = FINER**3  # points in a voxel


def frustum_occupancy(
    vertices: Float[ndarray, "v 3"],
    faces: Int[ndarray, "f 3"],
    camera_from_world: Float[ndarray, "4 4"],
    fov_deg: float,
    distance: float,
    *,
    side: int = 32,
) -> UInt8[ndarray, "layers rows columns"]:
    """How many of the FULL points in each voxel are inside; `side` layers, rows and columns.

    Args:
        faces: Counter-clockwise from outside.
        camera_from_world: OpenGL, looking at the origin.
        fov_deg: Vertical field of view.
        distance: Of the camera from the origin, above REACH.
    """
    camera = camera_from_world.astype(np.float64)
    x, y, z = (vertices @ camera[:3, :3].T + camera[:3, 3]).T
    rows = FINER * side
    scale = 0.5 * rows / np.tan(np.deg2rad(fov_deg) / 2) / -z
    pixels = np.stack([0.5 * rows + scale * x, 0.5 * rows - scale * y, -z], axis=1)
    filled = np.zeros((side, side, side), np.uint8)
    _fill(pixels, np.asarray(faces, np.int32), distance - REACH, 2 * REACH / rows, filled)
    return filled


@numba.njit(cache=True, nogil=True)
@no_type_check
def _fill(pixels, faces, near, step, filled):
    """Adds 1 to a voxel for each of its points that is inside."""
    rows = FINER * filled.shape[0]
    enters = np.zeros((rows, rows, rows + 1), np.int8)  # how the winding number changes before each point
    last = np.zeros((rows, rows), np.int64)  # after this point there is nothing
    for f in range(faces.shape[0]):
        a, b, c = pixels[faces[f, 0]], pixels[faces[f, 1]], pixels[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-12 or min(a[2], b[2], c[2]) <= 0:
            continue
        sign = 1 if area < 0 else -1  # rows run downwards
        left = max(int(np.ceil(min(a[0], b[0], c[0]) - 0.5)), 0)
        right = min(int(np.floor(max(a[0], b[0], c[0]) - 0.5)), rows - 1)
        top = max(int(np.ceil(min(a[1], b[1], c[1]) - 0.5)), 0)
        bottom = min(int(np.floor(max(a[1], b[1], c[1]) - 0.5)), rows - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                p, q = x + 0.5, y + 0.5
                of_a = ((b[0] - p) * (c[1] - q) - (b[1] - q) * (c[0] - p)) / area
                of_b = ((c[0] - p) * (a[1] - q) - (c[1] - q) * (a[0] - p)) / area
                of_c = 1 - of_a - of_b
                if of_a < 0 or of_b < 0 or of_c < 0:
                    continue
                depth = 1 / (of_a / a[2] + of_b / b[2] + of_c / c[2])
                place = min(max(int(np.ceil((depth - near) / step - 0.5)), 0), rows)
                enters[y, x, place] += sign
                last[y, x] = max(last[y, x], place)
    for y in range(rows):
        for x in range(rows):
            winding = 0
            for k in range(last[y, x]):
                winding += enters[y, x, k]
                if winding != 0:
                    filled[k // FINER, y // FINER, x // FINER] += 1
