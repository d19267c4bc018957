"""What people of toyworld look like: colours and garments, hair, hats and builds."""

from collections.abc import Collection
from dataclasses import dataclass

from suite.toyworld.paints import COLORS
from suite.toyworld.skeletons import BUILDS

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
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                names = ", ".join(name or "''" for name in allowed)
                raise ValueError(
                    f"An outfit's {field} cannot be {getattr(self, field)!r}. It is one of: {names}."
                )


_CHOICES: dict[str, Collection[str]] = {
    "shirt": COLORS, "lower": COLORS, "hat_color": COLORS, "garment": GARMENTS, "build": BUILDS,
    "hairstyle": HAIRSTYLES, "hat": HATS, "skin": SKIN_PAINTS, "hair": HAIR_PAINTS,
}  # fmt: skip

OUTFITS: dict[str, Outfit] = {
    "gardener": Outfit(
        "green", "brown", hat="sun hat", hat_color="yellow", build="stout", long_sleeves=False
    ),
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
