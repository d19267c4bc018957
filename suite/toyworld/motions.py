"""Motions of things: where an object is at a moment, and the words for it.

A motion is a function of its phase in [0, 1] to a rigid or scaling transform `4 4` of the object in the world, or of
the camera that looks at it. Amplitudes keep an object of longest side 1 inside the default view.
"""

from collections.abc import Callable

import numpy as np


def _moved(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    out = np.eye(4)
    out[:3, 3] = x, y, z
    return out


def _scaled(factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1.0])


def _turned(axis: int, deg: float) -> np.ndarray:
    out, (i, j) = np.eye(4), [(1, 2), (2, 0), (0, 1)][axis]
    c, s = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _along_image(phase: float, towards: float) -> np.ndarray:
    """A displacement along the image's horizontal axis, in the camera's frame."""
    return _moved(x=towards * 0.5 * (phase - 0.5))


# Each moves the object in the frame of the camera at azimuth 0 (x towards the viewer's right, y up, z to the viewer).
IN_VIEW: dict[str, Callable[[float], np.ndarray]] = {
    "sliding left": lambda p: _along_image(p, -1.0),
    "sliding right": lambda p: _along_image(p, 1.0),
    "rising": lambda p: _moved(y=0.5 * (p - 0.5)),
    "falling": lambda p: _moved(y=-0.5 * (p - 0.5)),
    "bouncing": lambda p: _moved(y=-0.22 + 0.44 * abs(np.sin(2 * np.pi * p))),
    "growing": lambda p: _scaled(0.45 + 0.55 * p),
    "shrinking": lambda p: _scaled(1.0 - 0.55 * p),
    "wobbling": lambda p: _turned(2, 22 * np.sin(2 * np.pi * p)),
    "rolling": lambda p: _turned(2, -360 * p) @ _scaled(0.85),
}
# These turn the object about its own upright axis.
UPRIGHT: dict[str, Callable[[float], np.ndarray]] = {"spinning": lambda p: _turned(2, 360 * p)}
MOTIONS = (*IN_VIEW, *UPRIGHT)


def camera_at(world_from_camera: np.ndarray, motion: str, phase: float) -> np.ndarray:
    """The camera `4 4` that sees a still object as the given camera sees the moving one.

    Moving the object by M in the camera's own axes is looking at it with
    camera_from_world' = T M T^-1 camera_from_world,  T the shift from the camera to the origin of the world.
    """
    if motion in UPRIGHT:
        return np.linalg.inv(UPRIGHT[motion](phase)) @ world_from_camera
    camera_from_world = np.linalg.inv(world_from_camera)
    shift = _moved(*camera_from_world[:3, 3])
    return np.linalg.inv(shift @ IN_VIEW[motion](phase) @ np.linalg.inv(shift) @ camera_from_world)
