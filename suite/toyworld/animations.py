"""Stills of toyworld's people with clips of the same people and their poses: what pose-guided animation learns from.

A sample is one person before one camera: a still in a pose of its own, then the frames of a motion. Person and motion
are a pair of training or a held-out one by the rule of clips, `motions.held_out_motion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from suite.geometry.skeletons import Poses
from suite.toyworld.actors import acted
from suite.toyworld.characters import describe, random_outfit
from suite.toyworld.clips import random_backdrop
from suite.toyworld.dataset import DISTANCE, FOV_DEG, check_split, orbit, random_backgrounds, random_lights
from suite.toyworld.motions import (
    PEOPLE,
    PEOPLE_MOTIONS,
    check_length,
    check_motions,
    held_out_motion,
    random_phases,
)
from suite.toyworld.outfits import Outfit
from suite.toyworld.pool import ClipBatch
from suite.toyworld.poses import POSES, Pose, jittered
from suite.toyworld.render import Lights
from suite.toyworld.takes import Take

TRIES = 1000
STANDING = 0.6  # how often the still is of someone who stands: most pictures of people are
FACING, ELEVATION = (
    70.0,
    (-8.0, 25.0),
)  # degrees to either side that the camera may be away from the front; its height


@dataclass(frozen=True)
class AnimationLabel:
    """What is known of a sample.

    Args:
        caption: Person and motion in words.
        motion: One of `motions.PEOPLE_MOTIONS`.
        poses: Of still and frames, in pixels; every joint, seen or hidden.
        outfit: What the person wears.
    """

    caption: str
    motion: str
    poses: Poses
    outfit: Outfit


class Animations:
    """Endless stills with clips, any batch of which follows from a seed and a number.

    Args:
        size: Height and width in pixels.
        frames: Of a clip.
        split: "train" leaves out the held-out pairs of person and motion, "held_out" shows them alone, "all" any.
        motions: Those that are shown, of `motions.PEOPLE_MOTIONS`.
        outfits: What the people wear, one of these; none are all outfits.
        backdrops: How often there is a backdrop behind the person.
    """

    def __init__(
        self,
        *,
        size: int = 64,
        frames: int = 16,
        split: str = "train",
        motions: Sequence[str] = PEOPLE_MOTIONS,
        outfits: Sequence[Outfit] = (),
        backdrops: float = 0.3,
    ) -> None:
        check_split(split)
        check_length(frames, size)
        check_motions(motions, PEOPLE_MOTIONS, "people")
        self.size, self.frames, self.split = size, frames, split
        self.motions, self.outfits, self.backdrops = tuple(motions), tuple(outfits), backdrops

    def batch(self, count: int, seed: int, number: int) -> ClipBatch:
        """The batch of this number, the still before the frames of each clip, each with its `AnimationLabel`."""
        random = np.random.default_rng([seed, number])
        made = [self._sample(random) for _ in range(count)]
        return ClipBatch(np.stack([take.frames() for take, _ in made]), tuple(label for _, label in made))

    def _sample(self, random: np.random.Generator) -> tuple[Take, AnimationLabel]:
        outfit, motion = self._pair(random)
        poses = [PEOPLE[motion](phase) for phase in random_phases(motion, self.frames, random)]
        surfaces, joints = acted(outfit, [still_pose(random), *poses])
        azimuth, elevation = random.uniform(-FACING, FACING), random.uniform(*ELEVATION)
        base = orbit(np.array([azimuth]), np.array([elevation]), random.uniform(*DISTANCE, 1))[0]
        light, count = random_lights(base[None], random), self.frames + 1
        cameras = np.tile(base, (count, 1, 1))
        background = random_backgrounds(1, random)[0]
        backdrop = random_backdrop(background, cameras, random)
        behind = backdrop if random.random() < self.backdrops else None
        lights = Lights(
            np.repeat(light.directions, count, 0).astype(np.float32),
            *(x.repeat(count) for x in (light.ambient, light.diffuse)),
        )
        fov_deg = np.full(count, float(FOV_DEG))
        take = Take(surfaces, cameras, fov_deg, lights, background, self.size, behind, joints)
        points = torch.from_numpy(seen(joints, base, FOV_DEG, self.size)).float()
        poses = Poses(points, torch.ones(points.shape[:2]), size=(self.size, self.size))
        return take, AnimationLabel(f"{describe(outfit)}, {motion}", motion, poses, outfit)

    def _pair(self, random: np.random.Generator) -> tuple[Outfit, str]:
        for _ in range(TRIES):
            outfit = (
                self.outfits[random.integers(len(self.outfits))] if self.outfits else random_outfit(random)
            )
            motion = self.motions[random.integers(len(self.motions))]
            held = held_out_motion(describe(outfit), motion)
            if self.split == "all" or held == (self.split == "held_out"):
                return outfit, motion
        raise ValueError(f"Found no {self.split} pair of a person and {', '.join(self.motions)}.")


def still_pose(random: np.random.Generator) -> Pose:
    """The pose of a still: mostly standing, or a moment of anything that needs no stool; shaken by some degrees."""
    names = [name for name in POSES if name != "sitting"]
    name = "standing" if random.random() < STANDING else names[random.integers(len(names))]
    return jittered(POSES[name](random.random()), 3.0, random)


def seen(points: np.ndarray, camera: np.ndarray, fov_deg: float, size: int) -> np.ndarray:
    """Where a camera `4 4` (world_from_camera) sees points `*n 3` of the world: x, y in pixels `*n 2`."""
    camera_from_world = np.linalg.inv(camera)
    x, y, z = np.moveaxis(points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3], -1, 0)
    focal = 0.5 * size / np.tan(np.deg2rad(fov_deg) / 2)
    return np.stack([size / 2 - focal * x / z, size / 2 + focal * y / z], -1)
