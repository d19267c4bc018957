"""People: a build, an outfit and a pose become shapes, a surface, named joints and words.

    surface(OUTFITS["gardener"], POSES["waving"](0.3))       "a person in a green shirt and brown trousers, waving"

People face +X and stand on z = 0; surfaces and joints are normalised as everything in toyworld: bounding box about the
origin, longest side 1.
"""

from dataclasses import dataclass

import numpy as np

from suite.toyworld.objects import Surface, assemble, painted
from suite.toyworld.paints import COLORS
from suite.toyworld.shapes import Shape, box, cylinder, ellipsoid, lathe, merge, sphere, tube
from suite.toyworld.skeletons import (
    BUILDS, COCO_JOINTS, POSES, Build, Pose, Skeleton, girth, head_radius, jittered, skeleton,
)  # fmt: skip

GARMENTS = ("trousers", "shorts", "skirt")
HAIRSTYLES = ("short", "long", "bun", "bald")
HATS = ("", "cap", "sun hat")
HAIR_PAINTS = ("dark", "wood", "yellow", "orange", "grey")
SKIN_PAINTS = ("skin", "wood")


@dataclass(frozen=True)
class Outfit:
    """What a person looks like. Colours are names of `paints.COLORS`.

    Args:
        shirt: Colour of the shirt.
        lower: Colour of the garment below.
        garment: One of GARMENTS.
        build: A name of `skeletons.BUILDS`.
        hair, skin: Paints.
        hairstyle: One of HAIRSTYLES.
        hat: One of HATS, "" for none.
        hat_color: Colour of the hat.
        long_sleeves: Whether the shirt reaches to the wrists.
    """

    shirt: str
    lower: str
    garment: str = "trousers"
    build: str = "average"
    hair: str = "dark"
    hairstyle: str = "short"
    skin: str = "skin"
    hat: str = ""
    hat_color: str = "red"
    long_sleeves: bool = True

    def __post_init__(self) -> None:
        allowed = {"shirt": COLORS, "lower": COLORS, "hat_color": COLORS, "garment": GARMENTS, "build": BUILDS,
                   "hairstyle": HAIRSTYLES, "hat": HATS, "skin": SKIN_PAINTS, "hair": HAIR_PAINTS}  # fmt: skip
        for field, names in allowed.items():
            value = getattr(self, field)
            if value not in names:
                raise ValueError(f"An outfit's {field} cannot be {value!r}. It is one of: {', '.join(names)}.".replace(": ,", ": none,"))


OUTFITS: dict[str, Outfit] = {
    "gardener": Outfit("green", "brown", hat="sun hat", hat_color="yellow", build="stout", long_sleeves=False),
    "student": Outfit("red", "blue"),
    "runner": Outfit("yellow", "black", "shorts", "slim", hairstyle="bun", hair="orange", long_sleeves=False),
    "teacher": Outfit("white", "purple", "skirt", "tall", hairstyle="long", hair="wood"),
    "schoolchild": Outfit("orange", "green", "shorts", "child", hair="yellow", hat="cap", hat_color="blue"),
    "dancer": Outfit("pink", "cyan", "skirt", "slim", hairstyle="bun", skin="wood"),
    "baker": Outfit("cyan", "white", build="stout", hairstyle="bald", skin="wood"),
    "sailor": Outfit("blue", "white", build="tall", hat="cap", hat_color="white", hair="grey"),
    "girl": Outfit("purple", "yellow", "skirt", "child", hairstyle="long", hair="orange"),
    "grandfather": Outfit("grey", "black", build="short", hair="grey"),
}


def describe(outfit: Outfit) -> str:
    """The words for a person: "a person in a red shirt and blue trousers", perhaps "with a green hat"."""
    noun = "child" if outfit.build == "child" else "person"
    lower = f"a {outfit.lower} skirt" if outfit.garment == "skirt" else f"{outfit.lower} {outfit.garment}"
    shirt = f"an {outfit.shirt}" if outfit.shirt[0] in "aeiou" else f"a {outfit.shirt}"
    hat = f" with {'an' if outfit.hat_color[0] in 'aeiou' else 'a'} {outfit.hat_color} hat" if outfit.hat else ""
    return f"a {noun} in {shirt} shirt and {lower.replace('a orange', 'an orange')}{hat}"


def describe_pose(pose: Pose) -> str:
    """The words for a pose: "waving"."""
    return pose.name


def random_outfit(random: np.random.Generator) -> Outfit:
    """Any outfit with a shirt and a lower garment of two colours; a hat for one in three."""

    def pick(names: object) -> str:
        names = tuple(names)
        return names[random.integers(len(names))]

    shirt, lower = random.choice(list(COLORS), 2, replace=False).tolist()
    return Outfit(
        shirt, lower, GARMENTS[random.choice(3, p=(0.6, 0.15, 0.25))], pick(BUILDS), pick(HAIR_PAINTS),
        HAIRSTYLES[random.choice(4, p=(0.4, 0.3, 0.2, 0.1))], SKIN_PAINTS[random.choice(2, p=(0.65, 0.35))],
        HATS[random.choice(3, p=(0.66, 0.2, 0.14))], pick(COLORS), bool(random.random() < 0.6),
    )  # fmt: skip


def random_pose(random: np.random.Generator) -> Pose:
    """A named pose at any phase (a jump in the air), its angles shaken by some degrees."""
    name = tuple(POSES)[random.integers(len(POSES))]
    phase = random.uniform(0.25, 0.75) if name == "jumping" else random.random()
    return jittered(POSES[name](phase), 3.0, random)


def surface(outfit: Outfit, pose: Pose) -> Surface:
    """A person as a normalised surface."""
    return painted(assemble(person(outfit, pose)))


def joints(outfit: Outfit, pose: Pose) -> dict[str, np.ndarray]:
    """Places `3` of the joints, normalised as `surface` is: COCO's seventeen, head, neck and pelvis."""
    shapes, bones = _dressed(outfit, pose)
    vertices = np.concatenate([shape.vertices for shape in shapes])
    low, high = vertices.min(0), vertices.max(0)
    return {name: (place - (low + high) / 2) / (high - low).max() for name, place in bones.joints.items()}


def person(outfit: Outfit, pose: Pose) -> list[Shape]:
    """The shapes of a person, the lowest at z = 0 (or at the pose's lift), not normalised."""
    shapes, bones = _dressed(outfit, pose)
    z = pose.lift - min(shape.vertices[:, 2].min() for shape in shapes)
    return [shape.moved(z=z) for shape in shapes]


def _dressed(outfit: Outfit, pose: Pose) -> tuple[list[Shape], Skeleton]:
    """Shapes about the pelvis and the skeleton inside them."""
    build = BUILDS[outfit.build]
    bones = skeleton(build, pose)
    shapes = [*_head(outfit, build, bones), *_torso(outfit, build, bones)]
    for side in ("left", "right"):
        shapes += [*_arm(outfit, build, bones, side), *_leg(outfit, build, bones, side)]
    if pose.stool:
        height = 0.02 - min(shape.vertices[:, 2].min() for shape in shapes) - 0.14
        stool = cylinder(0.15 * girth(build), 0.06, segments=14).moved(-0.03, 0, -0.14)
        shapes += [stool.painted("wood"), cylinder(0.05, height, segments=8).moved(-0.03, 0, -0.14 - height / 2).painted("wood")]
    return shapes, bones


def _placed(shape: Shape, frame: np.ndarray, origin: np.ndarray) -> Shape:
    return Shape(shape.vertices @ frame.T + origin, shape.faces, shape.paint)


def _bone(start: np.ndarray, end: np.ndarray, thick: float, thin: float, paint: str) -> Shape:
    """A limb between two joints, round at its end."""
    return merge([tube(np.stack([start, end]), (thick, thin), 10), sphere(thin, 8).moved(*end)], paint)


def _arm(outfit: Outfit, build: Build, bones: Skeleton, side: str) -> list[Shape]:
    shoulder, elbow, wrist = (bones.joints[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    thick = 0.056 * build.girth
    hand = _placed(ellipsoid(0.045, 0.035, 0.06, 10).moved(z=-0.03), bones.frames[f"{side}_forearm"], wrist)
    sleeve = outfit.shirt if outfit.long_sleeves else outfit.skin
    ball = sphere(1.1 * thick, 10).moved(*shoulder).painted(outfit.shirt)
    upper = _bone(shoulder, elbow, 1.1 * thick, thick, outfit.shirt)
    return [ball, upper, _bone(elbow, wrist, 0.96 * thick, 0.8 * thick, sleeve), hand.painted(outfit.skin)]


def _leg(outfit: Outfit, build: Build, bones: Skeleton, side: str) -> list[Shape]:
    hip, knee, ankle = (bones.joints[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    thick = 0.08 * (0.3 + 0.7 * build.girth)
    shin = _bone(knee, ankle, 0.84 * thick, 0.7 * thick, outfit.lower if outfit.garment == "trousers" else outfit.skin)
    foot = _placed(ellipsoid(0.115, 0.058, 0.045, 12).moved(0.05, 0, -0.035), bones.frames[f"{side}_foot"], ankle)
    if outfit.garment == "skirt":
        hem = hip + 0.85 * (knee - hip)
        cloth = [tube(np.stack([hip, hem]), (1.2 * thick, 1.75 * thick), 12).painted(outfit.lower)]
        thigh = [*cloth, _bone(hem, knee, 0.85 * thick, 0.85 * thick, outfit.skin)]
    else:
        thigh = [_bone(hip, knee, 1.1 * thick, 0.9 * thick, outfit.lower)]
    return [*thigh, shin, foot.painted("dark")]


def _torso(outfit: Outfit, build: Build, bones: Skeleton) -> list[Shape]:
    wide, long = 0.17 * girth(build), 0.42 * build.torso
    waist = 0.78 + 0.9 * max(0.0, build.girth - 1)
    profile = [(0, 0), (0.85, 0.0), (waist, 0.3), (1.02, 0.72), (0.94, 0.9), (0.5, 0.99), (0, 1.0)]
    chest = lathe([(wide * r, long * z) for r, z in profile], 16).scaled(x=0.62 + 0.25 * max(0.0, build.girth - 1))
    neck = tube(np.stack([bones.joints["neck"], bones.joints["head"]]), 0.06, 8).painted(outfit.skin)
    hips = ellipsoid(0.66 * wide, 0.98 * wide, 0.1, 14).moved(z=-0.01).painted(outfit.lower)
    parts = [_placed(chest, bones.frames["torso"], bones.joints["pelvis"]).painted(outfit.shirt), neck, hips]
    if outfit.garment == "skirt":
        middle = sum((bones.joints[f"{side}_knee"] - bones.joints[f"{side}_hip"]) / 2 for side in ("left", "right"))
        parts.append(tube(np.stack([0 * middle, 0.85 * middle]), (0.85 * wide, 1.12 * wide), 16).painted(outfit.lower))
    return parts


def _head(outfit: Outfit, build: Build, bones: Skeleton) -> list[Shape]:
    r = head_radius(build)
    skull = ellipsoid(0.98, 0.95, 1.08, 16).painted(outfit.skin)
    eye = merge([ellipsoid(0.13, 0.22, 0.26, 10)], "white").moved(0.85, 0.36, 0.12)
    pupil = ellipsoid(0.09, 0.14, 0.18, 10).painted("black").moved(0.95, 0.37, 0.11)
    ear = ellipsoid(0.16, 0.12, 0.24, 8).painted(outfit.skin).moved(0, 0.96, 0)
    nose = sphere(0.14, 8).painted(outfit.skin).moved(0.98, 0, -0.13)
    mouth = ellipsoid(0.1, 0.3, 0.08, 10).painted("red").moved(0.84, 0, -0.5)
    parts = [skull, nose, mouth, *(side for part in (eye, pupil, ear) for side in part.mirrored()), *_hair(outfit), *_hat(outfit)]
    return [_placed(part.scaled(r, r, r), bones.frames["head"], bones.joints["head"]) for part in parts]


def _hair(outfit: Outfit) -> list[Shape]:
    """About a head of radius 1."""
    if outfit.hairstyle == "bald":
        return []
    hair = [ellipsoid(1.03, 1.05, 1.05, 14).moved(-0.2, 0, 0.2)]
    if outfit.hairstyle == "long":
        hair.append(ellipsoid(0.55, 1.1, 1.35, 14).moved(-0.55, 0, -0.55))
    if outfit.hairstyle == "bun":
        hair.append(sphere(0.48, 10).moved(-0.75, 0, 1.0) if not outfit.hat else sphere(0.45, 10).moved(-1.25, 0, 0.0))
    return [part.painted(outfit.hair) for part in hair]


def _hat(outfit: Outfit) -> list[Shape]:
    """About a head of radius 1."""
    crown = lathe([(0, 0.4), (1.1, 0.4), (1.1, 0.4), (1.1, 0.75), (0.85, 1.15), (0.4, 1.36), (0, 1.4)], 14).moved(-0.12)
    brim = ellipsoid(0.75, 0.8, 0.07, 12).moved(0.85, 0, 0.5)
    if outfit.hat == "sun hat":
        brim = cylinder(1.85, 0.1, segments=18).moved(-0.05, 0, 0.48)
    return [part.painted(outfit.hat_color) for part in (crown, brim)] if outfit.hat else []
