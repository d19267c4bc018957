"""Rigged characters: a surface that follows the nodes of a skeleton, and animations of the nodes.

v = sum_k w_k  G(joint_k) B_k  v_rest        (G: world transform of a joint's node; B: its inverse bind matrix)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suite.errors import UserError
from suite.geometry.transforms import WORLD_FROM_GLTF


@dataclass(frozen=True)
class Part:
    """A piece of surface in its rest pose.

    Args:
        name: Of its node.
        vertices, normals: `v 3`. faces: `f 3`. colors: `v 3` sRGB.
        node: The node that carries it, for what has no skin.
        joints, weights: `v 4`, nodes that move each vertex; None without a skin.
        bind: `n 4 4`, inverse bind matrix of each node.
    """

    name: str
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    node: int
    joints: np.ndarray | None = None
    weights: np.ndarray | None = None
    bind: np.ndarray | None = None


@dataclass(frozen=True)
class Channel:
    """How one property ("translation", "rotation", "scale") of a node changes: `values` at `times` seconds."""

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str

    def at(self, time: float) -> np.ndarray:
        """The value at a time; before the first and after the last key it stays.

        LINEAR turns quaternions along the shortest arc; CUBICSPLINE is Hermite's, with the tangents of the file.
        """
        times = self.times
        cubic = self.interpolation == "CUBICSPLINE"
        keys = self.values[:, 1] if cubic else self.values
        k = int(np.searchsorted(times, time, side="right")) - 1
        if k < 0 or k >= len(times) - 1 or self.interpolation == "STEP":
            return keys[min(max(k, 0), len(times) - 1)]
        step = times[k + 1] - times[k]
        s = (time - times[k]) / step
        if cubic:
            a, b = 2 * s**3 - 3 * s**2 + 1, 3 * s**2 - 2 * s**3
            out, into = step * self.values[k, 2], step * self.values[k + 1, 0]
            value = a * keys[k] + (s**3 - 2 * s**2 + s) * out + b * keys[k + 1] + (s**3 - s**2) * into
            return value / np.linalg.norm(value) if self.path == "rotation" else value
        return (
            _slerp(keys[k], keys[k + 1], s)
            if self.path == "rotation"
            else (1 - s) * keys[k] + s * keys[k + 1]
        )


def _slerp(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    cosine = float(a @ b)
    b, cosine = (b, cosine) if cosine >= 0 else (-b, -cosine)
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        return a + s * (b - a)
    return (np.sin((1 - s) * angle) * a + np.sin(s * angle) * b) / np.sin(angle)


@dataclass(frozen=True)
class Rig:
    """A character: `n` nodes, its surface in pieces, and named animations.

    Args:
        names: Of the nodes. parents: index of each one's parent, -1 for a root.
        rest: Each node's translation `3`, rotation (x, y, z, w) `4` and scale `3`.
        parts: The surface.
        animations: Channels by name.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: dict[str, np.ndarray]
    parts: tuple[Part, ...]
    animations: Mapping[str, tuple[Channel, ...]]

    def animation(self, wanted: str = "") -> str:
        """The full name of an animation: the only one for "", or that which is, or ends with, `wanted`.

        Raises:
            UserError: There is none, or several.
        """
        names = list(self.animations)
        if not names:
            raise UserError("The rig has no animation.")
        found = [n for n in names if n == wanted] or [n for n in names if n.lower().endswith(wanted.lower())]
        if len(found) == 1:
            return found[0]
        problem = "Which animation?" if not wanted else f"There is no one animation called {wanted!r}."
        raise UserError(f"{problem} Type animation=NAME, one of: {', '.join(names)}.")

    def duration(self, animation: str) -> float:
        """Seconds."""
        return max((float(channel.times[-1]) for channel in self.animations[animation]), default=0.0)

    def matrices(self, animation: str = "", time: float = 0.0) -> np.ndarray:
        """World transforms `n 4 4` of the nodes, in the suite's axes; "" is the rest pose."""
        values = {path: rest.copy() for path, rest in self.rest.items()}
        for channel in self.animations[animation] if animation else ():
            values[channel.path][channel.node] = channel.at(time)
        local = np.tile(np.eye(4), (len(self.names), 1, 1))
        local[:, :3, :3] = _rotations(values["rotation"]) * values["scale"][:, None]
        local[:, :3, 3] = values["translation"]
        world = np.empty_like(local)
        for k in self._order:
            before = WORLD_FROM_GLTF.double().numpy() if self.parents[k] < 0 else world[self.parents[k]]
            world[k] = before @ local[k]
        return world

    @cached_property
    def _order(self) -> list[int]:
        """Parents before children."""
        depth = []
        for k in range(len(self.names)):
            depth.append(0)
            while (k := self.parents[k]) >= 0:
                depth[-1] += 1
        return sorted(range(len(depth)), key=depth.__getitem__)

    def joints(self, animation: str = "", time: float = 0.0) -> np.ndarray:
        """Where the nodes are, `n 3`."""
        return self.matrices(animation, time)[:, :3, 3]

    def posed(self, animation: str = "", time: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and unit normals `v 3` of all parts, one after the other."""
        world = self.matrices(animation, time)
        vertices, normals = [], []
        for part in self.parts:
            if part.joints is None:
                moves = np.tile(world[part.node], (len(part.vertices), 1, 1))
            else:
                moves = np.einsum("vk,vkij->vij", part.weights, (world @ part.bind)[part.joints])
            vertices.append(np.einsum("vij,vj->vi", moves[:, :3, :3], part.vertices) + moves[:, :3, 3])
            turned = np.einsum("vij,vj->vi", moves[:, :3, :3], part.normals)
            normals.append(turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12))
        return np.concatenate(vertices), np.concatenate(normals)

    @property
    def faces(self) -> np.ndarray:
        """`f 3` int32, of all parts."""
        starts = np.cumsum([0, *(len(part.vertices) for part in self.parts[:-1])])
        return np.concatenate([part.faces + start for part, start in zip(self.parts, starts)]).astype(
            np.int32
        )

    @property
    def colors(self) -> np.ndarray:
        """`v 3` float32 sRGB, of all parts."""
        return np.concatenate([part.colors for part in self.parts])


def _rotations(quaternions: np.ndarray) -> np.ndarray:
    """`n 3 3` of (x, y, z, w) `n 4`."""
    x, y, z, w = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    return np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ], 1).reshape(-1, 3, 3)  # fmt: skip
