"""Views of one object from several cameras, to learn from one what another shows: Zero-1-to-3's setting.

A field of view of 49.13 degrees, distances of 1.5 to 2.2 longest sides, on white, as its authors rendered theirs. The
light stands still while the camera moves, so that one surface has one colour in all views.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.toyworld import characters
from suite.toyworld.assemblies import random_assembly
from suite.toyworld.dataset import Named, check_shares, orbit, random_directions, random_spec, specs_by_kind
from suite.toyworld.hybrids import random_hybrid
from suite.toyworld.objects import (
    ObjectSpec,
    Surface,
    article,
    build,
    held_out,
    normalized,
    vertex_normals,
)
from suite.toyworld.occupancy import plane_of_kind, symmetry_plane
from suite.toyworld.paints import COLORS, COMPANIONS, PATTERNS
from suite.toyworld.render import Lights, Pictures, render

FOV_DEG = 49.13
DISTANCE = (1.5, 2.2)
SPAN = 0.87  # depths lie this far before and behind a thing's middle: half a cube's diagonal
STRETCH = 0.18  # standard deviation of the logarithm of how much longer a stretched thing is along each axis
LIKE = 0.3  # what differs from a colour by less is painted with it
HELD_OUT_KINDS = ("armchair", "rabbit", "teapot", "truck")  # never shown in training
SPLITS = {
    "train": lambda spec: not held_out(spec) and spec.kind not in HELD_OUT_KINDS,
    "held_out": lambda spec: held_out(spec) and spec.kind not in HELD_OUT_KINDS,
    "held_out_kinds": lambda spec: spec.kind in HELD_OUT_KINDS,
}


@dataclass(frozen=True)
class Viewpoints:
    """Where `v` views of a thing were taken from, looking at its centre.

    Args:
        name: What is seen, in words that captions have too.
        azimuth_deg, elevation_deg, distance: `v` each; distances in longest sides.
        shape: What has this shape whatever its paint: a procedural object's kind, a real object's name; "" else.
        plane_deg: Azimuth of its vertical plane of symmetry through its middle; nan without one.
    """

    name: str
    azimuth_deg: tuple[float, ...]
    elevation_deg: tuple[float, ...]
    distance: tuple[float, ...]
    shape: str = ""
    plane_deg: float = math.nan


@dataclass(frozen=True)
class Thing:
    """What is seen.

    Args:
        name: In words that captions have too.
        shape, plane_deg: As `Viewpoints` has them; what is assembled of parts is taken for symmetric, as most of it is.
        scale: How much longer it is along each axis than what has that shape.
    """

    name: str
    surface: Surface
    shape: str = ""
    plane_deg: float = math.nan
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ViewBatch:
    """`b` things: their `v` views side by side, `images` `b h v*w 3` float32 RGB in [0, 1], and the viewpoints.

    With depths a fourth channel says how far away what is seen is along the viewing axis: see `depth_of`.
    """

    images: np.ndarray
    labels: tuple[Viewpoints, ...]


class ViewPairs:
    """Endless views of toyworld's things, any batch of which follows from a seed and a number.

    Args:
        real: Surfaces that are shown beside the procedural objects.
        size: Height and width of a view in pixels.
        views: Views of each thing, from cameras all around.
        depths: Whether images have a fourth channel.
        shares: How often a thing is a procedural object, a real object, a person, a random assembly, and a hybrid of
            the procedural kinds; splits other than "train" have procedural objects alone.
        repaint: Share of the real objects that are painted as toyworld's are.
        stretch: Share of the procedural and real objects that are stretched along their axes.
        split: "train" leaves out the held-out compositions and kinds; "held_out" shows such compositions of the other
            kinds; "held_out_kinds" shows the HELD_OUT_KINDS.

    Raises:
        ValueError: Another split, fewer than two views, or shares that nothing can be drawn by.
    """

    def __init__(
        self,
        *,
        real: Sequence[Named] = (),
        size: int = 64,
        views: int = 4,
        depths: bool = False,
        shares: tuple[float, float, float, float, float] = (0.6, 0.3, 0.1, 0.0, 0.0),
        repaint: float = 0.0,
        stretch: float = 0.0,
        split: str = "train",
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"A split is {', '.join(SPLITS)}, got {split!r}.")
        if views < 2:
            raise ValueError(f"A pair needs two views, got views={views}.")
        for option, share in (("repaint", repaint), ("stretch", stretch)):
            if not 0 <= share <= 1:
                raise ValueError(f"{option} is a share from 0 to 1, got {share:g}.")
        self.repaint, self.stretch = repaint, stretch
        weights = [share if real or i != 1 else 0.0 for i, share in enumerate(shares)]  # without any real, 0
        check_shares(5, shares=weights)
        self.shares = np.array(weights) / sum(weights) if split == "train" else np.array([1.0, 0, 0, 0, 0])
        self.real, self.size, self.views, self.depths = tuple(real), size, views, depths
        self.specs = specs_by_kind(SPLITS[split])
        self.planes = {thing.name: symmetry_plane(thing.surface) for thing in self.real}

    def batch(self, count: int, seed: int, number: int) -> ViewBatch:
        """The batch of this number: `count` things."""
        random = np.random.default_rng([seed, number])
        images, labels = zip(*[self._views(random) for _ in range(count)])
        return ViewBatch(np.stack(images), labels)

    def spec(self, random: np.random.Generator) -> ObjectSpec:
        """A procedural object of the split."""
        return random_spec(self.specs, random)

    def thing(self, random: np.random.Generator) -> Thing:
        """A thing of the split."""
        source = ("object", "real", "person", "assembly", "hybrid")[random.choice(5, p=self.shares)]
        if source == "person":
            outfit, pose = characters.random_outfit(random), characters.random_pose(random)
            return Thing(characters.describe(outfit), characters.surface(outfit, pose))
        if source == "assembly":
            return Thing("a thing", random_assembly(random), plane_deg=0.0)
        if source == "hybrid":
            return Thing("a thing", random_hybrid(random, list(self.specs)), plane_deg=0.0)
        if source == "real":
            real = self.real[random.integers(len(self.real))]
            thing = Thing(
                f"{article(real.name)} {real.name}", real.surface, real.name, self.planes[real.name]
            )
            if self.repaint and random.random() < self.repaint:
                thing = replace(thing, surface=repainted(real.surface, random))
        else:
            spec = self.spec(random)
            thing = Thing(spec.prompt, build(spec), spec.kind, plane_of_kind(spec.kind))
        return stretched(thing, random) if self.stretch and random.random() < self.stretch else thing

    def _views(self, random: np.random.Generator) -> tuple[np.ndarray, Viewpoints]:
        thing = self.thing(random)
        viewpoints = replace(
            random_viewpoints(thing.name, self.views, random), shape=thing.shape, plane_deg=thing.plane_deg
        )
        pictures = pictures_from(thing.surface, viewpoints, still_light(random), size=self.size)
        images = pictures.images
        if self.depths:
            images = np.concatenate([images, coded_depth(pictures, viewpoints)[..., None]], axis=-1)
        return np.concatenate(list(images), axis=1), viewpoints


def stretched(thing: Thing, random: np.random.Generator) -> Thing:
    """The same thing longer along some axes, its longest side 1 again."""
    factors = np.exp(random.normal(0, STRETCH, 3))
    sides = np.ptp(thing.surface.vertices, axis=0)
    vertices, faces = normalized(thing.surface.vertices * factors), thing.surface.faces
    surface = replace(thing.surface, vertices=vertices, normals=vertex_normals(vertices, faces))
    return replace(thing, surface=surface, scale=tuple(factors / (sides * factors).max()))


def repainted(surface: Surface, random: np.random.Generator) -> Surface:
    """One of its colours, with what is like it, gives way to one of toyworld's, with a pattern in half of the cases."""
    colors = surface.colors
    old = colors[random.integers(len(colors))]
    new = str(random.choice(list(COLORS)))
    like = np.abs(colors - old).max(1) < LIKE
    bright = (colors[like].mean(1, keepdims=True) + 0.1) / (old.mean() + 0.1)
    colors = colors.copy()
    colors[like] = np.clip(np.array(COLORS[new], np.float32) * np.clip(bright, 0.6, 1.3), 0, 1)
    pattern = str(random.choice(PATTERNS)) if random.random() < 0.5 else "plain"
    return replace(surface, colors=colors, patterned=like, pattern=pattern, companion=COMPANIONS[new])


def cameras_of(viewpoints: Sequence[Viewpoints], size: int) -> Cameras:
    """The cameras of all views in a row, the `v` of the first thing first.

    Args:
        size: Height and width of their pictures in pixels.
    """
    every = [
        [x for seen in viewpoints for x in getattr(seen, field)]
        for field in ("azimuth_deg", "elevation_deg", "distance")
    ]
    return Cameras.orbit(*every, FOV_DEG, height=size, width=size)


def random_viewpoints(name: str, count: int, random: np.random.Generator) -> Viewpoints:
    """All around, one in five from above, at any of the distances."""
    places = (*random_directions(count, random), random.uniform(*DISTANCE, count))
    return Viewpoints(name, *(tuple(map(float, place)) for place in places))


def still_light(random: np.random.Generator) -> Lights:
    """One light, mostly from above, for all views of a thing."""
    direction = random.normal(0, 0.5, (1, 3)) + np.array([0, 0, 0.8])
    direction /= max(float(np.linalg.norm(direction)), 1e-6)
    ambient = random.uniform(0.6, 0.85, 1).astype(np.float32)
    return Lights(direction.astype(np.float32), ambient, 1.05 - ambient)


def seen_from(surface: Surface, viewpoints: Viewpoints, light: Lights, *, size: int = 64) -> np.ndarray:
    """The `v` views, `v h w 3`, on white, under one light."""
    return pictures_from(surface, viewpoints, light, size=size).images


def pictures_from(surface: Surface, viewpoints: Viewpoints, light: Lights, *, size: int = 64) -> Pictures:
    """The same with masks and depths."""
    places = (viewpoints.azimuth_deg, viewpoints.elevation_deg, viewpoints.distance)
    count = len(viewpoints.distance)
    lights = Lights(*(np.repeat(x, count, axis=0) for x in (light.directions, light.ambient, light.diffuse)))
    return render(
        surface, orbit(*map(np.array, places)), np.full(count, FOV_DEG), height=size, width=size, lights=lights
    )  # fmt: skip


def coded_depth(pictures: Pictures, viewpoints: Viewpoints) -> np.ndarray:
    """Depths `v h w` as numbers that a byte holds: 0 where less than half a pixel is covered, else above 1/255."""
    behind = pictures.depth - np.array(viewpoints.distance, np.float32)[:, None, None]  # the thing's middle
    return np.where(pictures.masks > 0.5, np.clip(behind / (2 * SPAN) + 0.5, 1 / 255, 1), 0).astype(
        np.float32
    )


def depth_of(coded: Float[Tensor, "*b h w"], distance: Float[Tensor, "*b"]) -> Float[Tensor, "*b h w"]:
    """Depths from what `coded_depth` made of them, to within SPAN / 255; 0 where nothing is seen."""
    return torch.where(coded > 0, (coded - 0.5) * 2 * SPAN + distance[..., None, None], 0.0)
