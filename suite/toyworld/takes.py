"""A take: everything about one clip of toyworld, from which its frames and what is true of them follow.

Behind the thing there is a plain colour, infinitely far, or a backdrop: a sphere about the world with soft waves of
colour, from which one can tell whether the thing moves or the camera. Notation: a point of a surface at `p_world` is
seen at the pixel `x = w/2 + F X/Z, y = h/2 - F Y/Z`, with (X, Y, -Z) = camera_from_world p_world and
F = h / (2 tan(fov/2)); optical flow is where the same point of the surface is seen in the next frame, less the pixel.
"""

from dataclasses import dataclass

import numpy as np
import torch

from suite.geometry.rasterizer_fragments import rasterize
from suite.toyworld.objects import Surface
from suite.toyworld.render import Lights, render

BACKDROP_RADIUS = 4.0
NEAR, FAR = 0.01, 100.0
JOINT_DEPTH = 0.11  # how deep below the surface of a body (of height 1) a joint that is seen may lie


@dataclass(frozen=True)
class Backdrop:
    """Colours of the sphere: `base + sum_k tints_k sin(waves_k . p + shifts_k)`, for p of length 1.

    Args:
        base: `3`; tints: `k 3`; waves: `k 3`; shifts: `k`.
        cameras: `f 4 4`, world_from_camera; they stand still where only the thing moves.
    """

    base: np.ndarray
    tints: np.ndarray
    waves: np.ndarray
    shifts: np.ndarray
    cameras: np.ndarray

    def colors(self, points: np.ndarray) -> np.ndarray:
        """RGB `*n 3` in [0, 1] of points `*n 3` of the sphere."""
        angles = points / BACKDROP_RADIUS @ self.waves.T + self.shifts
        return np.clip(self.base + np.sin(angles) @ self.tints, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Truth:
    """What is known of every pixel of a clip of `f` frames (at pixel centres), and of its joints.

    Args:
        flow: `f-1 h w 2` float32, forward, in pixels, x to the right, y down; 0 on a plain background.
        visible: `f-1 h w` bool, whether what is seen is seen in the next frame too, away from edges of depth.
        masks: `f h w` bool, where the thing is.
        depth: `f h w` float32, along the viewing axis; 0 on a plain background.
        joints: `f 17 3` float32 of a person, else None: x, y in pixels, and 2 seen, 1 hidden, 0 outside the picture.
    """

    flow: np.ndarray
    visible: np.ndarray
    masks: np.ndarray
    depth: np.ndarray
    joints: np.ndarray | None = None


@dataclass(frozen=True)
class Take:
    """One clip before it is drawn.

    Args:
        surfaces: One for all frames, or one a frame, of the same faces.
        cameras: `f 4 4`, world_from_camera, as the surface sees them (a moving object is a camera that moves).
        fov_deg: `f`, vertical.
        lights: One a frame.
        background: `3`, the plain colour behind the thing.
        backdrop: What is behind it instead.
        joints: `f 17 3`, in the world.
        size: Height and width in pixels.
    """

    surfaces: tuple[Surface, ...]
    cameras: np.ndarray
    fov_deg: np.ndarray
    lights: Lights
    background: np.ndarray
    size: int
    backdrop: Backdrop | None = None
    joints: np.ndarray | None = None

    def frames(self, supersample: int = 2) -> np.ndarray:
        """The clip: `f h w 3` float32 RGB in [0, 1]."""
        behind = np.tile(np.asarray(self.background, np.float32), (len(self.cameras), 1))
        if self.backdrop is not None:
            behind = self.backdrop.colors(self._backdrop_points()[0])
        if len(self.surfaces) == 1:
            return self._drawn(self.surfaces[0], slice(None), behind, supersample)
        drawn = [self._drawn(s, slice(k, k + 1), behind, supersample) for k, s in enumerate(self.surfaces)]
        return np.concatenate(drawn)

    def _drawn(self, surface: Surface, k: slice, behind: np.ndarray, supersample: int) -> np.ndarray:
        lights = Lights(self.lights.directions[k], self.lights.ambient[k], self.lights.diffuse[k])
        return render(
            surface, self.cameras[k], self.fov_deg[k], height=self.size, width=self.size, lights=lights,
            background=behind[k], supersample=supersample,
        ).images  # fmt: skip

    def truth(self) -> Truth:
        """Flow, visibility, masks, depth and joints of every frame."""
        here, there = self._surface_points()
        masks = np.isfinite(here[..., 2])
        if self.backdrop is not None:
            points, depth = self._backdrop_points()
            behind = [(points[k], depth[k]) for k in range(len(points))]
            next_ = [self._seen(p, k + 1, self.backdrop.cameras) for k, (p, _) in enumerate(behind[:-1])]
            here[..., 2] = np.where(masks, here[..., 2], depth)
            there = np.where(masks[:-1, ..., None], there, np.stack(next_) if next_ else there)
        else:
            there = np.where(masks[:-1, ..., None], there, here[:-1])
        flow = there[..., :2] - here[:-1, ..., :2]
        depth = here[..., 2]
        visible = _still_visible(there, depth[1:])
        joints = None if self.joints is None else self._joints(depth, masks)
        finite = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
        return Truth(flow.astype(np.float32), visible, masks, finite, joints)

    def _seen(self, points: np.ndarray, k: int, cameras: np.ndarray | None = None) -> np.ndarray:
        """Where frame k sees points `*n 3` of the world: x, y in pixels and depth `*n 3`."""
        camera_from_world = np.linalg.inv((self.cameras if cameras is None else cameras)[k])
        x, y, z = np.moveaxis(points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3], -1, 0)
        focal = self._focal()[k]
        return np.stack([self.size / 2 - focal * x / z, self.size / 2 + focal * y / z, -z], -1)

    def _focal(self) -> np.ndarray:
        """`f`, in pixels."""
        return 0.5 * self.size / np.tan(np.deg2rad(self.fov_deg) / 2)

    def _centres(self) -> np.ndarray:
        """Pixel centres `h w 2`."""
        x, y = np.meshgrid(np.arange(self.size) + 0.5, np.arange(self.size) + 0.5)
        return np.stack([x, y], -1)

    def _backdrop_points(self) -> tuple[np.ndarray, np.ndarray]:
        """What each pixel would see of the backdrop: points `f h w 3`, depths `f h w`."""
        x, y = np.moveaxis(self._centres() - self.size / 2, -1, 0)
        focal = self._focal()[:, None, None]
        rays = np.stack(np.broadcast_arrays(x / focal, -y / focal, -1.0), -1)  # of depth 1
        rays = np.einsum("fij,fhwj->fhwi", self.backdrop.cameras[:, :3, :3], rays)
        origins = self.backdrop.cameras[:, None, None, :3, 3]
        a, b = (rays * rays).sum(-1), (rays * origins).sum(-1)
        c = (origins * origins).sum(-1) - BACKDROP_RADIUS**2
        depth = (np.sqrt(b * b - a * c) - b) / a
        return origins + rays * depth[..., None], depth

    def _surface_points(self) -> tuple[np.ndarray, np.ndarray]:
        """x, y, depth of the surface at each pixel, `f h w 3`, and of the same points one frame on, `f-1 h w 3`.

        Depth is infinite where there is no surface.
        """
        faces = self.surfaces[0].faces.astype(np.int64)
        vertices = [surface.vertices.astype(np.float64) for surface in self.surfaces]
        count = len(self.cameras)
        vertices = vertices * count if len(vertices) == 1 else vertices
        seen = [self._seen(vertices[k], k) for k in range(count)]
        fragments = rasterize(
            torch.from_numpy(np.stack([self._clip(s) for s in seen])), torch.from_numpy(faces),
            self.size, self.size,
        )  # fmt: skip
        face_id, weights = fragments.face_id.numpy(), fragments.barycentrics.double().numpy()
        here = np.full((count, self.size, self.size, 3), np.inf)
        here[..., :2] = self._centres()
        there = np.full((max(count - 1, 0), self.size, self.size, 3), np.inf)
        for k in range(count):
            rows, columns = np.nonzero(face_id[k] >= 0)
            corners, w = faces[face_id[k, rows, columns]], weights[k, rows, columns][..., None]
            here[k, rows, columns, 2] = self._seen((vertices[k][corners] * w).sum(1), k)[:, 2]
            if k + 1 < count:
                there[k, rows, columns] = self._seen((vertices[k + 1][corners] * w).sum(1), k + 1)
        return here, there

    def _clip(self, seen: np.ndarray) -> np.ndarray:
        """Clip coordinates `v 4` of x, y, depth `v 3`."""
        x, y, z = seen.T
        depth = ((FAR + NEAR) * z - 2 * FAR * NEAR) / (FAR - NEAR)
        return np.stack([(2 * x / self.size - 1) * z, (1 - 2 * y / self.size) * z, depth, z], -1)

    def _joints(self, depth: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """x, y and visibility `f 17 3`."""
        out = np.empty((len(self.cameras), len(self.joints[0]), 3), np.float32)
        for k, joints in enumerate(self.joints):
            x, y, z = self._seen(joints, k).T
            row, column = np.floor(y).astype(int), np.floor(x).astype(int)
            inside = (row >= 0) & (row < self.size) & (column >= 0) & (column < self.size)
            row, column = row.clip(0, self.size - 1), column.clip(0, self.size - 1)
            hidden = masks[k, row, column] & (z > depth[k, row, column] + JOINT_DEPTH)
            out[k] = np.stack([x, y, np.where(inside, np.where(hidden, 1, 2), 0)], -1)
        return out


def _still_visible(there: np.ndarray, depth: np.ndarray, tolerance: float = 0.06) -> np.ndarray:
    """Whether points seen at x, y, depth `f h w 3` are what a depth map `f h w` has on all four pixels around."""
    count, height, width = depth.shape
    x, y = there[..., 0] - 0.5, there[..., 1] - 0.5
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    column, row = (np.floor(np.where(inside, a, 0)).astype(int) for a in (x, y))
    visible, k = inside, np.arange(count)[:, None, None]
    for below in (0, 1):
        for right in (0, 1):
            rows, columns = (row + below).clip(max=height - 1), (column + right).clip(max=width - 1)
            found, wanted = depth[k, rows, columns], there[..., 2]
            both = np.isinf(found) & np.isinf(wanted)
            with np.errstate(invalid="ignore"):
                visible = visible & (both | (np.abs(found - wanted) < tolerance))
    return visible
