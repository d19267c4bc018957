"""Motions of things: where an object is at a moment, and the words for it.

A motion is a function of its phase in [0, 1] to a rigid or scaling transform `4 4` of the object in the world, or of
the camera that looks at it. Amplitudes keep an object of longest side 1 inside the default view.
MOTIONS are those of objects, which pictures show too; clips (CLIP_MOTIONS) add motions of the camera and of people.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from suite.toyworld.poses import POSES, Pose, blend


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


# How the camera moves, in its own axes: panning is a step to the side (what is near moves more), tilting a turn.
CAMERA_IN_VIEW: dict[str, Callable[[float], np.ndarray]] = {
    "panning left": lambda p: _moved(x=-0.5 * (p - 0.5)),
    "panning right": lambda p: _moved(x=0.5 * (p - 0.5)),
    "tilting up": lambda p: _turned(0, 16 * (p - 0.5)),
    "tilting down": lambda p: _turned(0, -16 * (p - 0.5)),
}
# How it moves about the world's upright axis, and how its focal length changes.
CAMERA_AROUND: dict[str, Callable[[float], np.ndarray]] = {"orbiting": lambda p: _turned(2, 150 * (p - 0.5))}
ZOOMS: dict[str, Callable[[float], float]] = {
    "zooming in": lambda p: 0.55 * 1.9**p,
    "zooming out": lambda p: 0.55 * 1.9 ** (1 - p),
}
CAMERA_MOTIONS = (*CAMERA_AROUND, *CAMERA_IN_VIEW, *ZOOMS)


def shot_at(world_from_camera: np.ndarray, motion: str, phase: float) -> tuple[np.ndarray, float]:
    """Where a moving camera is (`4 4`), and its focal length as a multiple of what it was."""
    if motion in ZOOMS:
        return world_from_camera, ZOOMS[motion](phase)
    if motion in CAMERA_AROUND:
        return CAMERA_AROUND[motion](phase) @ world_from_camera, 1.0
    return world_from_camera @ CAMERA_IN_VIEW[motion](phase), 1.0


def _into(name: str) -> Callable[[float], Pose]:
    """From standing into a pose, slow at both ends."""
    return lambda p: blend(POSES["standing"](0.0), POSES[name](0.25), p * p * (3 - 2 * p))


def _again(name: str) -> Callable[[float], Pose]:
    """A cycle of poses, over and over."""
    return lambda p: POSES[name](p % 1.0)


PEOPLE: dict[str, Callable[[float], Pose]] = {
    **{name: _again(name) for name in ("waving", "walking", "running", "jumping", "dancing")},
    **{name: _into(name) for name in ("raising both arms", "pointing", "bowing", "kneeling")},
}
PEOPLE_MOTIONS = tuple(PEOPLE)
CLIP_MOTIONS = (*MOTIONS, *CAMERA_MOTIONS, *PEOPLE_MOTIONS)
TURNING = ("spinning", "orbiting")  # what they show has no one view
# How much of a cycle a clip shows; what is not a cycle is shown from 0.7 of it to all.
CYCLES: dict[str, tuple[float, float]] = {
    "bouncing": (0.5, 1.0), "wobbling": (0.75, 1.25), "rolling": (0.3, 0.6), "spinning": (0.25, 0.5),
    "waving": (1.0, 2.0), "walking": (0.75, 1.25), "running": (0.75, 1.5), "jumping": (0.8, 1.2),
    "dancing": (0.8, 1.2),
}  # fmt: skip


def check_length(frames: int, size: int) -> None:
    """Raises:
    ValueError: Clips without frames or pixels.
    """
    if frames < 1 or size < 1:
        raise ValueError(f"Clips have at least one frame and one pixel, got frames={frames}, size={size}.")


def check_motions(asked: Sequence[str], possible: Sequence[str], owner: str) -> None:
    """Raises:
    ValueError: None is asked for, or one that clips or people (the owner) do not have.
    """
    unknown = [motion for motion in asked if motion not in possible]
    if unknown or not asked:
        got = repr(unknown[0]) if unknown else "none"
        raise ValueError(f"The motions of {owner} are {', '.join(possible)}; got {got}.")


def random_phases(
    motion: str, frames: int, random: np.random.Generator, *, from_rest: bool = False
) -> np.ndarray:
    """The phase of each frame of a clip, evenly spaced: cycles begin anywhere, other motions stay in [0, 1].

    Args:
        from_rest: Cycles begin at 0 instead.
    """
    span = random.uniform(*CYCLES.get(motion, (0.7, 1.0)))
    start = random.random() * (1.0 if motion in CYCLES else 1.0 - span)
    if from_rest and motion in CYCLES:
        start = 0.0
    return start + span * np.arange(frames) / max(frames - 1, 1)


def held_out_motion(name: str, motion: str) -> bool:
    """Whether this thing never moves so in training: one pair in eight, by a hash of both.

    Args:
        name: The kind of an object, the caption of a real one, or the words for a person.
        motion: One of CLIP_MOTIONS.
    """
    return hashlib.blake2b(f"{name}\0{motion}".encode(), digest_size=8).digest()[0] % 8 == 0
