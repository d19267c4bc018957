"""People: an outfit and a pose become a surface, named joints and words.

    surface(OUTFITS["student"], POSES["waving"](0.3))      "a person in a red shirt and blue trousers, waving"

People face +X and stand on z = 0; surfaces and joints are normalised as everything in toyworld: bounding box
about the origin, longest side 1.
"""

import re
from collections.abc import Collection

import numpy as np

from suite.errors import UserError
from suite.toyworld.bodies import dressed
from suite.toyworld.objects import Surface, article, assemble, painted
from suite.toyworld.outfits import GARMENTS, HAIR_PAINTS, HAIRSTYLES, HATS, SKIN_PAINTS, Outfit
from suite.toyworld.paints import COLORS
from suite.toyworld.poses import POSES, Pose, jittered
from suite.toyworld.shapes import Shape
from suite.toyworld.skeletons import BUILDS


def describe(outfit: Outfit) -> str:
    """The words for a person: "a person in a red shirt and blue trousers", perhaps "with a green hat"."""
    noun = "child" if outfit.build == "child" else "person"
    lower = f"{outfit.lower} {outfit.garment}"
    lower = f"{article(lower)} {lower}" if outfit.garment == "skirt" else lower
    hat = f" with {article(outfit.hat_color)} {outfit.hat_color} hat" if outfit.hat else ""
    return f"a {noun} in {article(outfit.shirt)} {outfit.shirt} shirt and {lower}{hat}"


def describe_pose(pose: Pose) -> str:
    """The words for a pose: "waving"."""
    return pose.name


def parse(prompt: str) -> tuple[Outfit, Pose]:
    """The person and pose that a prompt names, standing if it names no pose; `describe` says it again.

    Raises:
        UserError: The prompt is not of that form.
    """
    colors, poses = "|".join(COLORS), "|".join(POSES)
    form = rf"an? (person|child) in an? ({colors}) shirt and (?:an? )?({colors}) (trousers|shorts|skirt)"
    found = re.fullmatch(rf"{form}(?: with an? ({colors}) hat)?(?:, ({poses}))?", prompt.lower().strip())
    if found is None:
        raise UserError(
            f"'{prompt}' names no person of toyworld. Say it as: a person in a red shirt and blue trousers, "
            f"waving. Or say: a child; shorts, a skirt; with a green hat. Colours are: {', '.join(COLORS)}. "
            f"Poses are: {', '.join(POSES)}."
        )
    noun, shirt, lower, garment, hat_color, doing = found.groups()
    build, hat = "child" if noun == "child" else "average", "sun hat" if hat_color else ""
    outfit = Outfit(shirt, lower, garment, build, hat=hat, hat_color=hat_color or "red")
    return outfit, POSES[doing or "standing"](0.25)


def random_outfit(random: np.random.Generator) -> Outfit:
    """Any outfit with a shirt and a lower garment of two colours; a hat for one in three."""
    shirt, lower = _pick(random, COLORS), _pick(random, COLORS)
    while lower == shirt:
        lower = _pick(random, COLORS)
    garment, hairstyle = _pick(random, ("trousers", *GARMENTS)), _pick(random, ("short", *HAIRSTYLES))
    hat = _pick(random, ("", "", *HATS[1:], "", ""))
    return Outfit(
        shirt, lower, garment, _pick(random, BUILDS), _pick(random, HAIR_PAINTS), hairstyle,
        _pick(random, SKIN_PAINTS), hat, _pick(random, COLORS), bool(random.random() < 0.6),
    )  # fmt: skip


def _pick(random: np.random.Generator, names: Collection[str]) -> str:
    return tuple(names)[random.integers(len(names))]


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
    shapes, bones = dressed(outfit, pose)
    vertices = np.concatenate([shape.vertices for shape in shapes])
    low, high = vertices.min(0), vertices.max(0)
    return {name: (place - (low + high) / 2) / (high - low).max() for name, place in bones.joints.items()}


def person(outfit: Outfit, pose: Pose) -> list[Shape]:
    """The shapes of a person, the lowest at z = 0 (or at the pose's lift), not normalised."""
    shapes, bones = dressed(outfit, pose)
    z = pose.lift - min(shape.vertices[:, 2].min() for shape in shapes)
    return [shape.moved(z=z) for shape in shapes]
