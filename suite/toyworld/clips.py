"""Endless captioned clips of toyworld, any batch of which follows from a seed and a number, with exact truth.

A clip shows a procedural object or a real one in motion, a person doing something, or any of them still before a
moving camera. `truth` gives optical flow, depth, masks and joints of the same clips.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.toyworld import characters
from suite.toyworld.actors import acted
from suite.toyworld.captions import caption, subject, view_word
from suite.toyworld.dataset import (
    FOV_DEG,
    Named,
    check_shares,
    check_split,
    random_backgrounds,
    random_cameras,
    random_lights,
    random_spec,
    specs_by_kind,
)
from suite.toyworld.motions import (
    CAMERA_MOTIONS,
    CLIP_MOTIONS,
    MOTIONS,
    PEOPLE,
    PEOPLE_MOTIONS,
    TURNING,
    camera_at,
    check_length,
    check_motions,
    held_out_motion,
    random_phases,
    shot_at,
)
from suite.toyworld.objects import Surface, article, build, held_out, kinds
from suite.toyworld.outfits import Outfit
from suite.toyworld.pool import ClipBatch
from suite.toyworld.render import Lights
from suite.toyworld.takes import Backdrop, Take, Truth

SOURCES = {
    "object": (*MOTIONS, *CAMERA_MOTIONS),
    "real": (*MOTIONS, *CAMERA_MOTIONS),
    "person": (*PEOPLE_MOTIONS, *CAMERA_MOTIONS),
}
TRIES = 2000


@dataclass(frozen=True)
class ClipLabel:
    """What is known of a clip. `name` is the kind of an object, the caption of a real one, or the words for a person.

    `view` is that of the first frame, "" where the clip shows several.
    """

    caption: str
    motion: str
    name: str
    color: str
    pattern: str
    view: str
    source: str
    front: bool


@dataclass(frozen=True)
class _Thing:
    """What a clip shows: surfaces (one, or one a frame), its name and words, and joints of people in the world."""

    surfaces: tuple[Surface, ...]
    name: str
    words: str
    color: str = ""
    pattern: str = ""
    front: bool = True
    joints: np.ndarray | None = None


class Clips:
    """Captioned clips of toyworld.

    Args:
        real: Surfaces with their captions, moved beside the procedural objects.
        size: Height and width in pixels.
        frames: Length of a clip.
        split: "train" leaves out the held-out compositions and pairs of thing and motion, "held_out" shows things of
            training in the motions that they never have there, "all" shows everything.
        motions: Those that are shown, of `motions.CLIP_MOTIONS`; one that is named twice comes twice as often.
        shares: How often a clip shows a procedural object, a real object, a person.
        camera: How often the camera moves, where a thing could also move itself.
        backdrops: How often there is a backdrop behind a thing that moves itself; a moving camera always sees one.
        view_words: How often a caption says the view of a thing that has a front (others: half as often).
        full_names: Captions name an object by its prompt, never by a synonym or without its colour.
        twins: Clips come in pairs, one after the other: the same thing under the same light, background and camera, in
            two motions (of the split). What words of motion change is then all that differs.
        from_rest: Cycles (wobbling, walking ...) begin at phase 0, else anywhere. The mean of all clips of a
            caption then shows them, where otherwise they cancel.
    """

    def __init__(
        self,
        *,
        real: Sequence[Named] = (),
        size: int = 64,
        frames: int = 16,
        split: str = "train",
        motions: Sequence[str] = CLIP_MOTIONS,
        shares: tuple[float, float, float] = (0.55, 0.2, 0.25),
        camera: float = 0.3,
        backdrops: float = 0.3,
        view_words: float = 0.5,
        full_names: bool = False,
        twins: bool = False,
        from_rest: bool = False,
    ) -> None:
        check_split(split)
        check_length(frames, size)
        check_motions(motions, CLIP_MOTIONS, "clips")
        self.motions = {s: [m for m in motions if m in can] for s, can in SOURCES.items()}
        able = [bool(self.motions[source]) and (source != "real" or bool(real)) for source in SOURCES]
        check_shares(3, shares=shares)
        weights = np.array(shares) * able
        if weights.sum() <= 0:
            raise ValueError(
                f"Nothing that shares={tuple(shares)} allows has the motions {', '.join(motions)}."
            )
        self.shares, self.real, self.split = weights / weights.sum(), tuple(real), split
        self.size, self.length, self.camera, self.backdrops = size, frames, camera, backdrops
        self.view_words, self.full_names = view_words, full_names
        self.twins, self.from_rest = twins, from_rest
        self.specs = specs_by_kind(lambda spec: split == "all" or not held_out(spec))

    def batch(self, count: int, seed: int, number: int) -> ClipBatch:
        """The batch of this number: `count` clips, each with its `ClipLabel`."""
        takes = self.takes(count, seed, number)
        return ClipBatch(np.stack([take.frames() for take, _ in takes]), tuple(label for _, label in takes))

    def truth(self, count: int, seed: int, number: int) -> tuple[Truth, ...]:
        """What is true of every pixel of the clips that `batch` gives for the same arguments."""
        return tuple(take.truth() for take, _ in self.takes(count, seed, number))

    def takes(self, count: int, seed: int, number: int) -> list[tuple[Take, ClipLabel]]:
        """The clips of `batch` before they are drawn, and what is known of each.

        Raises:
            ValueError: An odd number of twins.
        """
        random = np.random.default_rng([seed, number])
        if not self.twins:
            return [self._take(*self._pair(random), random) for _ in range(count)]
        if count % 2:
            raise ValueError(f"Twins come in pairs: an even number of them, got {count}.")
        return [take for _ in range(count // 2) for take in self._two_takes(random)]

    def _two_takes(
        self, random: np.random.Generator
    ) -> tuple[tuple[Take, ClipLabel], tuple[Take, ClipLabel]]:
        """One thing in two motions, all else drawn alike; twice the same motion where it has no other."""
        source, motion, chosen = self._pair(random)
        others = [m for m in self._moves(source, motion in CAMERA_MOTIONS) if self._shows(chosen, m)]
        others = [m for m in others if m != motion] or [motion]
        other, again = others[random.integers(len(others))], copy.deepcopy(random)
        return self._take(source, motion, chosen, random), self._take(source, other, chosen, again)

    def _take(
        self, source: str, motion: str, chosen: Any, random: np.random.Generator
    ) -> tuple[Take, ClipLabel]:
        phases = random_phases(motion, self.length, random, from_rest=self.from_rest)
        thing = _shown(chosen, motion, phases, random, self.full_names)
        azimuth, elevation, (base,) = random_cameras(1, random)
        light = random_lights(base[None], random)
        cameras, zooms = np.tile(base, (self.length, 1, 1)), np.ones(self.length)
        lights = np.repeat(light.directions, self.length, 0)
        behind = cameras
        if motion in CAMERA_MOTIONS:
            shots = [shot_at(base, motion, phase) for phase in phases]
            cameras, zooms = np.stack([camera for camera, _ in shots]), np.array([zoom for _, zoom in shots])
            behind = cameras
        elif (
            motion in MOTIONS
        ):  # the light stays where it is, so the object sees it move as it does the camera
            cameras = np.stack([camera_at(base, motion, phase) for phase in phases])
            turned = cameras[:, :3, :3] @ base[:3, :3].T
            lights = np.einsum("fij,fj->fi", turned / np.linalg.norm(turned, axis=1, keepdims=True), lights)
        background = random_backgrounds(1, random)[0]
        backdrop = random_backdrop(background, behind, random)
        shown = motion in CAMERA_MOTIONS or random.random() < self.backdrops
        take = Take(
            thing.surfaces, cameras, np.rad2deg(2 * np.arctan(np.tan(np.deg2rad(FOV_DEG) / 2) / zooms)),
            Lights(lights.astype(np.float32), *(x.repeat(self.length) for x in (light.ambient, light.diffuse))),
            background, self.size, backdrop if shown else None, thing.joints,
        )  # fmt: skip
        view = "" if motion in TURNING else view_word(azimuth[0], elevation[0])
        said = view if random.random() < self.view_words * (1.0 if thing.front else 0.5) else ""
        words = caption(thing.words, said, motion)
        return take, ClipLabel(
            words, motion, thing.name, thing.color, thing.pattern, view, source, thing.front
        )

    def _moves(self, source: str, camera: bool) -> list[str]:
        """The motions that things of a source have, or those in which the camera sees them."""
        return [m for m in self.motions[source] if (m in CAMERA_MOTIONS) == camera]

    def _shows(self, chosen: Any, motion: str) -> bool:
        """Whether the split has this thing in this motion."""
        return self.split == "all" or held_out_motion(_name(chosen), motion) == (self.split == "held_out")

    def _pair(self, random: np.random.Generator) -> tuple[str, str, Any]:
        """What is shown and how it moves: source, motion, thing; a pair that the split shows."""
        for _ in range(TRIES):
            source = tuple(SOURCES)[random.choice(len(SOURCES), p=self.shares)]
            moves, shots = self._moves(source, False), self._moves(source, True)
            some = shots if shots and (not moves or random.random() < self.camera) else moves
            motion, chosen = some[random.integers(len(some))], self._chosen(source, random)
            if self._shows(chosen, motion):
                return source, motion, chosen
        raise ValueError(
            f"Found no {self.split} pair of a thing and {', '.join(sum(self.motions.values(), []))}."
        )

    def _chosen(self, source: str, random: np.random.Generator) -> Any:
        if source == "person":
            return characters.random_outfit(random)
        if source == "real":
            return self.real[random.integers(len(self.real))]
        return random_spec(self.specs, random)


def _name(chosen) -> str:
    """What a held-out pair is about."""
    if isinstance(chosen, Outfit):
        return characters.describe(chosen)
    return chosen.name if isinstance(chosen, Named) else chosen.kind


def _shown(chosen, motion: str, phases: np.ndarray, random: np.random.Generator, full_names: bool) -> _Thing:
    """The surfaces and words of what was chosen."""
    name = _name(chosen)
    if isinstance(chosen, Outfit):
        if motion in PEOPLE_MOTIONS:
            surfaces, joints = acted(chosen, [PEOPLE[motion](phase) for phase in phases])
            return _Thing(surfaces, name, name, joints=joints)
        surfaces, joints = acted(chosen, [characters.random_pose(random)])
        return _Thing(surfaces, name, name, joints=joints.repeat(len(phases), 0))
    if isinstance(chosen, Named):
        words = f"{article(name)} {name}" if random.random() < 0.8 else name
        return _Thing((chosen.surface,), name, words, front=chosen.front)
    words = chosen.prompt if full_names else subject(chosen, random)
    front = kinds()[chosen.kind].front
    return _Thing((build(chosen),), name, words, chosen.color, chosen.pattern, front)


def random_backdrop(base: np.ndarray, cameras: np.ndarray, random: np.random.Generator) -> Backdrop:
    """Soft waves of colour about a plain one, six of them, a seventh to a half of a turn of the sphere long."""
    directions = random.normal(size=(6, 3))
    waves = directions / np.linalg.norm(directions, axis=1, keepdims=True) * random.uniform(6, 20, (6, 1))
    tints = random.uniform(-0.07, 0.07, (6, 1)) + random.uniform(-0.03, 0.03, (6, 3))
    base = np.clip(base, 0.2, 0.8)
    return Backdrop(base, tints, waves, random.uniform(0, 2 * np.pi, 6), cameras)
