"""Exact pictures of toyworld's surfaces: RGB, mask, depth and normals for any cameras, fast on a CPU.

The rasterizer's z-buffer, supersampled and averaged; solid patterns are evaluated per sample, so they are
crisp. Shading is Lambertian, in sRGB:  color * (ambient + diffuse * max(0, n . l)).
"""

from dataclasses import dataclass
from typing import no_type_check

import numba
import numpy as np
import torch

from suite.geometry.rasterizer_numba import zbuffer
from suite.toyworld.objects import Surface
from suite.toyworld.paints import PATTERNS

NEAR = 0.01  # what is nearer to the camera is not seen
STRIPE, LATTICE, DOT, CHECK = 0.17, 0.2, 0.07, 0.17  # periods and dot radius, in longest sides of the object


@dataclass(frozen=True)
class Lights:
    """One light for each of `b` pictures.

    Args:
        directions: `b 3`, unit, from the object towards the light, in the world.
        ambient, diffuse: `b`, weights of the two terms.
    """

    directions: np.ndarray
    ambient: np.ndarray
    diffuse: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """`b` pictures as float32 arrays, channels last.

    Args:
        images: `b h w 3`, RGB in [0, 1], on the background.
        masks: `b h w`, coverage in [0, 1].
        depth: `b h w`, distance along the viewing axis of what is seen (mean over covered samples), 0 where nothing is.
        normals: `b h w 3`, world, mean over covered samples, 0 where nothing is.
    """

    images: np.ndarray
    masks: np.ndarray
    depth: np.ndarray
    normals: np.ndarray


def headlights(
    world_from_camera: np.ndarray, tilt: np.ndarray | None = None, ambient: float | np.ndarray = 0.6
) -> Lights:
    """Lights near the cameras `b 4 4`, shifted by `tilt` (`b 3`, world); by default a little above them."""
    positions = world_from_camera[:, :3, 3] / np.linalg.norm(
        world_from_camera[:, :3, 3], axis=1, keepdims=True
    )
    directions = positions + (np.array([0.0, 0.0, 0.5]) if tilt is None else tilt)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    ambient = np.broadcast_to(np.asarray(ambient, np.float32), (len(positions),)).astype(np.float32)
    return Lights(directions.astype(np.float32), ambient, (1.05 - ambient).astype(np.float32))


def render(
    surface: Surface,
    world_from_camera: np.ndarray,
    fov_deg: np.ndarray,
    *,
    height: int = 64,
    width: int = 64,
    lights: Lights | None = None,
    background: np.ndarray | None = None,
    supersample: int = 2,
) -> Pictures:
    """Pictures of a surface from `b` cameras.

    Args:
        surface: What is seen.
        world_from_camera: `b 4 4`, OpenGL cameras, as in `suite.geometry.cameras`.
        fov_deg: `b`, vertical field of view.
        height, width: Size in pixels.
        lights: One for each picture; by default near the camera.
        background: `b 3` or `b h w 3` RGB; white by default.
        supersample: Samples along each side of a pixel.
    """
    world_from_camera = np.asarray(world_from_camera, np.float64)
    count = len(world_from_camera)
    lights = lights or headlights(world_from_camera)
    background = np.ones((count, 3), np.float32) if background is None else np.asarray(background, np.float32)
    if background.ndim == 2:
        background = np.broadcast_to(background[:, None, None], (count, height, width, 3))
    camera_from_world = np.linalg.inv(world_from_camera).astype(np.float32)
    focal = (0.5 * height * supersample / np.tan(np.deg2rad(np.asarray(fov_deg, np.float64)) / 2)).astype(
        np.float32
    )
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    rgb, mask, depth, normals = _render(
        surface.vertices, surface.faces, surface.normals, surface.colors, surface.patterned,
        PATTERNS.index(surface.pattern), np.asarray(surface.companion, np.float32), camera_from_world, focal,
        height, width, supersample, lights.directions, lights.ambient, lights.diffuse,
    )  # fmt: skip
    torch.set_num_threads(threads)  # numba's OpenMP has set torch's threads to its own number
    images = rgb + (1 - mask[..., None]) * background
    return Pictures(np.clip(images, 0, 1).astype(np.float32), mask, depth, normals)


@numba.njit(cache=True)
@no_type_check
def _in_pattern(pattern, q, n):
    """Whether a point q of the object, with normal n, shows the companion colour."""
    if pattern == 1:
        return (q[2] / STRIPE) % 1.0 > 0.58
    if pattern == 2:  # a square lattice of dots, projected along the axis that the surface faces most
        across = np.argmax(np.abs(n))
        u, v = q[(across + 1) % 3] / LATTICE, q[(across + 2) % 3] / LATTICE
        du, dv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
        return du * du + dv * dv < (DOT / LATTICE) ** 2
    if pattern == 3:
        return (
            np.floor(q[0] / CHECK + 0.5) + np.floor(q[1] / CHECK + 0.5) + np.floor(q[2] / CHECK)
        ) % 2.0 == 1.0
    return False


@numba.njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def _projected(vertices, pose, focal, rows, columns):
    """Vertices in homogeneous pixels `v 3`, and how far they are behind the near plane `v 2`."""
    pixels = np.empty((vertices.shape[0], 3))
    near_z = np.ones((vertices.shape[0], 2))
    for v in range(vertices.shape[0]):
        p = vertices[v]
        x = pose[0, 0] * p[0] + pose[0, 1] * p[1] + pose[0, 2] * p[2] + pose[0, 3]
        y = pose[1, 0] * p[0] + pose[1, 1] * p[1] + pose[1, 2] * p[2] + pose[1, 3]
        z = -(pose[2, 0] * p[0] + pose[2, 1] * p[1] + pose[2, 2] * p[2] + pose[2, 3])
        pixels[v, 0] = columns / 2 * z + focal * x
        pixels[v, 1] = rows / 2 * z - focal * y
        pixels[v, 2] = z
        near_z[v, 0] = z - NEAR
    return pixels, near_z


@numba.njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def _eye(pose):
    """Where a camera is that may be scaled: what grows is seen by one that shrinks."""
    eye = np.empty(3, np.float32)
    scale = pose[0, 0] * pose[0, 0] + pose[0, 1] * pose[0, 1] + pose[0, 2] * pose[0, 2]
    for d in range(3):
        eye[d] = -(pose[0, d] * pose[0, 3] + pose[1, d] * pose[1, 3] + pose[2, d] * pose[2, 3]) / scale
    return eye


@numba.njit(cache=True, fastmath=True, nogil=True)
@no_type_check
def _towards(n, q, eye):
    """Turns a normal n at q to unit length and to the eye: a surface seen from behind shows its other side."""
    length = max(np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]), np.float32(1e-6))
    facing = 0.0
    for d in range(3):
        facing += n[d] * (eye[d] - q[d])
    sign = 1.0 if facing >= 0 else -1.0
    for d in range(3):
        n[d] *= sign / length


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
@no_type_check
def _render(
    vertices, faces, normals, colors, patterned, pattern, companion, camera_from_world, focal,
    height, width, supersample, light, ambient, diffuse,
):  # fmt: skip
    count, rows, columns = camera_from_world.shape[0], height * supersample, width * supersample
    rgb = np.zeros((count, height, width, 3), np.float32)
    mask = np.zeros((count, height, width), np.float32)
    depth = np.zeros((count, height, width), np.float32)
    normal = np.zeros((count, height, width, 3), np.float32)
    share = np.float32(1.0 / (supersample * supersample))
    for i in numba.prange(count):
        eye = _eye(camera_from_world[i])
        pixels, near_z = _projected(vertices, camera_from_world[i], focal[i], rows, columns)
        face_id = np.full((rows, columns), -1, np.int64)
        weights = np.zeros((rows, columns, 3), np.float32)
        distance = np.zeros((rows, columns), np.float32)
        zbuffer(pixels, near_z, faces, rows, columns, face_id, weights, distance)
        for y in range(rows):
            for x in range(columns):
                f = face_id[y, x]
                if f < 0:
                    continue
                q = np.zeros(3, np.float32)
                n = np.zeros(3, np.float32)
                c = np.zeros(3, np.float32)
                for k in range(3):
                    v, w = faces[f, k], weights[y, x, k]
                    for d in range(3):
                        q[d] += w * vertices[v, d]
                        n[d] += w * normals[v, d]
                        c[d] += w * colors[v, d]
                if pattern > 0 and patterned[faces[f, 0]] and _in_pattern(pattern, q, n):
                    c[:] = companion
                _towards(n, q, eye)
                lit = 0.0
                for d in range(3):
                    lit += n[d] * light[i, d]
                brightness = ambient[i] + diffuse[i] * max(lit, 0.0)
                row, column = y // supersample, x // supersample
                for d in range(3):
                    rgb[i, row, column, d] += share * min(c[d] * brightness, 1.0)
                    normal[i, row, column, d] += share * n[d]
                mask[i, row, column] += share
                depth[i, row, column] += share * distance[y, x]
        for y in range(height):
            for x in range(width):
                if mask[i, y, x] > 0:
                    depth[i, y, x] /= mask[i, y, x]
                    for d in range(3):
                        normal[i, y, x, d] /= mask[i, y, x]
    return rgb, mask, depth, normal
