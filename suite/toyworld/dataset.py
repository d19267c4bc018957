"""Endless captioned pictures of toyworld, any batch of which follows from a seed and a number.

A batch is rendered on the fly (faster than any network here learns), so there is no dataset to store, and a resumed
training sees what an uninterrupted one would have seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.geometry.mesh import Mesh
from suite.toyworld import characters
from suite.toyworld.captions import caption, subject, view_word
from suite.toyworld.motions import MOTIONS, camera_at
from suite.toyworld.objects import (
    ObjectSpec,
    Surface,
    all_specs,
    article,
    build,
    held_out,
    kinds,
    vertex_normals,
)
from suite.toyworld.real_objects import load_objects
from suite.toyworld.render import Lights, headlights, render

FOV_DEG = 40.0
DISTANCE = (1.7, 1.9)


@dataclass(frozen=True)
class Named:
    """A surface with its own caption, beside the procedural objects: a real object. `front`: view words apply."""

    name: str
    surface: Surface
    front: bool = True


def real_surfaces(folder: str | Path) -> list[Named]:
    """The real objects of a folder of captioned meshes (see `real_objects.load_objects`), ready to be shown."""
    return [Named(thing.caption, surface_of(thing.mesh), thing.front) for thing in load_objects(folder)]


def surface_of(mesh: Mesh) -> Surface:
    """A mesh with vertex colours as it would be shown here."""
    vertices, faces = mesh.vertices.numpy(), mesh.faces.numpy().astype(np.int32)
    normals = mesh.normals.numpy() if mesh.normals is not None else vertex_normals(vertices, faces)
    return Surface(vertices, faces, normals, mesh.vertex_colors.numpy(), np.zeros(len(vertices), bool))


@dataclass(frozen=True)
class Label:
    """What is known of a picture. `name` is the kind of an object, the caption of a real one, or "person"."""

    source: str
    name: str
    color: str
    pattern: str
    view: str
    front: bool
    caption: str


@dataclass(frozen=True)
class Batch:
    """`b` pictures: `images` `b h w 3` float32 RGB in [0, 1], and what is known of each."""

    images: np.ndarray
    labels: tuple[Label, ...]


def check_split(split: str) -> None:
    """Raises:
    ValueError: There is no such split.
    """
    if split not in ("train", "held_out", "all"):
        raise ValueError(f"A split is train, held_out or all, got {split!r}.")


def check_shares(count: int, **shares: Sequence[float] | np.ndarray) -> None:
    """Raises:
    ValueError: Shares that are not so many, or that nothing can be drawn by.
    """
    for name, share in shares.items():
        if len(share) != count or min(share) < 0 or not 0 < sum(share) < np.inf:
            raise ValueError(
                f"{name}={[float(x) for x in share]} must be {count} numbers, none negative, not all 0"
                + (
                    " (real objects, the second, count only where some are given)."
                    if name == "shares"
                    else "."
                )
            )


class Scenes:
    """Captioned pictures of toyworld.

    Args:
        real: Surfaces with their captions, learnt beside the procedural objects.
        size: Height and width in pixels.
        shares: How often a picture shows a procedural object, a real object, a person, and a thing in motion.
        split: "train" leaves out the held-out compositions, "held_out" shows only these, "all" shows everything.
        views: Pictures of each thing, from different cameras.
        view_words: How often a caption says the view of a thing that has a front (others: half as often).
        even_views: How often the camera stands where one of the four view words, drawn first, is true; else anywhere,
            where some are rare.
        view_shares: How often each of the four (front, side, back, overhead) is drawn then, next to the others.
    """

    def __init__(
        self,
        *,
        real: Sequence[Named] = (),
        size: int = 64,
        shares: tuple[float, float, float, float] = (0.5, 0.34, 0.08, 0.08),
        split: str = "train",
        views: int = 1,
        view_words: float = 0.7,
        even_views: float = 0.0,
        view_shares: tuple[float, float, float, float] = (1, 1, 1, 1),
    ) -> None:
        check_split(split)
        weights = [share if real or i != 1 else 0.0 for i, share in enumerate(shares)]  # without any real, 0
        check_shares(4, shares=weights, view_shares=view_shares)
        self.shares, self.real, self.size = np.array(weights) / sum(weights), tuple(real), size
        self.views, self.view_words, self.even_views = views, view_words, even_views
        self.view_shares = np.array(view_shares, dtype=float) / sum(view_shares)
        keep = {"train": lambda s: not held_out(s), "held_out": held_out, "all": lambda s: True}[split]
        self.specs = specs_by_kind(keep)

    def batch(self, count: int, seed: int, number: int) -> Batch:
        """The batch of this number: `count` pictures, a multiple of `views`."""
        random = np.random.default_rng([seed, number])
        things = [self._thing(random) for _ in range(count // self.views)]
        return Batch(
            np.concatenate([images for images, _ in things]),
            tuple(label for _, labels in things for label in labels),
        )

    def _thing(self, random: np.random.Generator) -> tuple[np.ndarray, list[Label]]:
        source = ("object", "real", "person", "motion")[random.choice(4, p=self.shares)]
        doing, color, pattern = "", "", ""
        if source == "real":
            thing = self.real[random.integers(len(self.real))]
            name, surface, front = thing.name, thing.surface, thing.front
            words = f"{article(name)} {name}" if random.random() < 0.8 else name
        elif source == "person":
            outfit, pose = characters.random_outfit(random), characters.random_pose(random)
            name, surface, front = "person", characters.surface(outfit, pose), True
            words, doing = characters.describe(outfit), characters.describe_pose(pose)
        else:
            spec = random_spec(self.specs, random)
            name, color, pattern, front = spec.kind, spec.color, spec.pattern, kinds()[spec.kind].front
            surface, words = build(spec), subject(spec, random)
        if self.even_views and random.random() < self.even_views:
            azimuth, elevation = even_directions(self.views, self.view_shares, random)
        else:
            azimuth, elevation = random_directions(self.views, random)
        cameras = orbit(azimuth, elevation, random.uniform(*DISTANCE, self.views))
        if source == "motion":
            doing = MOTIONS[random.integers(len(MOTIONS))]
            cameras = np.stack([camera_at(camera, doing, random.random()) for camera in cameras])
        images = render(
            surface, cameras, np.full(self.views, FOV_DEG), height=self.size, width=self.size,
            lights=random_lights(cameras, random), background=random_backgrounds(self.views, random),
        ).images  # fmt: skip
        labels = []
        for a, e in zip(azimuth, elevation):
            view = view_word(a, e) if doing != "spinning" else ""
            said = view if random.random() < self.view_words * (1.0 if front else 0.5) else ""
            labels.append(Label(source, name, color, pattern, view, front, caption(words, said, doing)))
        return images, labels


def specs_by_kind(keep: Callable[[ObjectSpec], bool]) -> dict[str, list[ObjectSpec]]:
    """The objects that are to be shown, by kind; a kind without any is left out."""
    specs: dict[str, list[ObjectSpec]] = {}
    for spec in filter(keep, all_specs()):
        specs.setdefault(spec.kind, []).append(spec)
    return specs


def random_spec(specs: Mapping[str, Sequence[ObjectSpec]], random: np.random.Generator) -> ObjectSpec:
    """A kind, then one of its objects: pattern, size and option are the rarer the more come together."""
    of_kind = specs[list(specs)[random.integers(len(specs))]]
    while True:
        spec = of_kind[random.integers(len(of_kind))]
        fancy = (spec.pattern != "plain") + (spec.size != "") + spec.option
        if fancy == 0 or random.random() < (0.5, 0.25, 0.1)[fancy - 1]:
            return spec


def orbit(azimuth_deg: np.ndarray, elevation_deg: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """OpenGL cameras `b 4 4` that look at the origin with Z up (the numpy twin of `Cameras.orbit`)."""
    a, e = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    back = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1)
    right = np.stack([-np.sin(a), np.cos(a), 0 * a], -1)
    out = np.tile(np.eye(4), (len(a), 1, 1))
    out[:, :3, 0], out[:, :3, 1], out[:, :3, 2] = right, np.cross(back, right), back
    out[:, :3, 3] = back * np.asarray(distance)[:, None]
    return out


def random_cameras(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuths, elevations (degrees) and cameras `b 4 4` around a thing: one in five looks down from above."""
    azimuth, elevation = random_directions(count, random)
    return azimuth, elevation, orbit(azimuth, elevation, random.uniform(*DISTANCE, count))


def random_directions(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and elevations (degrees), all around: one in five looks down from above."""
    azimuth = random.uniform(-180, 180, count)
    elevation = np.where(
        random.random(count) < 0.2, random.uniform(45, 88, count), random.uniform(-12, 45, count)
    )
    return azimuth, elevation


def even_directions(
    count: int, shares: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and elevations (degrees), of which each of the four view words is true as often as its share."""
    word = random.choice(4, size=count, p=shares)  # front, side, back, overhead
    azimuth = random.uniform(-45, 45, count) + np.array([0, 90, 180, 0])[word]
    azimuth = np.where(word == 1, azimuth * random.choice((-1, 1), count), azimuth)
    azimuth = np.where(word == 3, random.uniform(-180, 180, count), azimuth)
    elevation = np.where(word == 3, random.uniform(60, 88, count), random.uniform(-12, 60, count))
    return (azimuth + 180) % 360 - 180, elevation


def random_lights(world_from_camera: np.ndarray, random: np.random.Generator) -> Lights:
    """Lights near the cameras, shifted at random and mostly upwards."""
    tilt = random.normal(0, 0.35, (len(world_from_camera), 3)) + np.array([0, 0, 0.5])
    return headlights(world_from_camera, tilt, random.uniform(0.55, 0.85, len(world_from_camera)))


def random_backgrounds(count: int, random: np.random.Generator) -> np.ndarray:
    """Plain backgrounds `b 3`: any grey with a slight tint, one in six pure white."""
    grey = np.where(random.random((count, 1)) < 1 / 6, 1.0, random.uniform(0, 1, (count, 1)))
    tint = random.uniform(-0.12, 0.12, (count, 3)) * (grey < 1)
    return np.clip(grey + tint, 0, 1).astype(np.float32)
