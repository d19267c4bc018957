"""Objects of toyworld: a kind x a colour x a pattern x a size x an optional part, its prompt and its exact surface.

`parse("a tall striped red mushroom with dots")` and `ObjectSpec.prompt` are inverse to each other; `build` gives the
surface, normalised as everything here: bounding box about the origin, longest side 1, +X front, +Z up.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from suite.errors import UserError
from suite.toyworld import kinds as families
from suite.toyworld.kinds.registry import KINDS, Kind
from suite.toyworld.paints import COLORS, COMPANIONS, FIXED, PATTERNS
from suite.toyworld.shapes import Shape

SIZES: dict[str, tuple[float, float, float]] = {
    "": (1.0, 1.0, 1.0),
    "tall": (1.0, 1.0, 1.4),
    "wide": (1.0, 1.4, 1.0),
}


@dataclass(frozen=True)
class Surface:
    """A painted surface, ready to be rendered.

    Args:
        vertices: `v 3` float32, bounding box about the origin, longest side 1.
        faces: `f 3` int32, counter-clockwise from outside.
        normals: `v 3` float32, unit, outward.
        colors: `v 3` float32 sRGB in [0, 1].
        patterned: `v` bool, where the pattern shows.
        pattern: One of `paints.PATTERNS`: a solid texture of position.
        companion: sRGB of the pattern's second colour.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    patterned: np.ndarray
    pattern: str = "plain"
    companion: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ObjectSpec:
    """Which object. `prompt` says it in words."""

    kind: str
    color: str
    pattern: str = "plain"
    size: str = ""
    option: bool = False

    @property
    def prompt(self) -> str:
        """The canonical words for this object, e.g. "a striped red car with a roof rack"."""
        return self.described(KINDS[self.kind].name)

    def described(self, noun: str) -> str:
        """The words for this object, its kind called `noun`."""
        pattern = "" if self.pattern == "plain" else self.pattern
        words = " ".join(word for word in (self.size, pattern, self.color, noun) if word)
        with_option = f" with {KINDS[self.kind].option}" if self.option else ""
        return f"{article(words)} {words}{with_option}"


def article(words: str) -> str:
    """ "a" or "an", as the words that follow want it."""
    return "an" if words[0] in "aeiou" else "a"


@cache
def kinds() -> dict[str, Kind]:
    """All kinds of objects by name, in alphabetical order."""
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")
    return dict(sorted(KINDS.items()))


def all_specs() -> list[ObjectSpec]:
    """Every object that can be said."""
    return [
        ObjectSpec(kind.name, color, pattern, size, option)
        for kind, color, pattern, size in product(kinds().values(), COLORS, PATTERNS, SIZES)
        for option in ((False, True) if kind.option else (False,))
    ]


def held_out(spec: ObjectSpec) -> bool:
    """Whether this composition never appears in training: one kind x colour and one kind x pattern pair in twelve.

    Each kind misses one colour and every third kind misses one pattern; the choice is fixed by alphabetical order.
    """
    index = list(kinds()).index(spec.kind)
    color = list(COLORS)[(5 * index + 3) % len(COLORS)]
    pattern = PATTERNS[1 + index // 3 % 3] if index % 3 == 0 else None
    return spec.color == color or spec.pattern == pattern


def parse(prompt: str) -> ObjectSpec:
    """The object that a prompt names.

    Raises:
        UserError: The prompt names no kind, or holds words that mean nothing here.
    """
    words = prompt.lower().replace(",", " ").strip().removeprefix("an ").removeprefix("a ")
    head, _, tail = words.partition(" with ")
    names = {noun: kind.name for kind in kinds().values() for noun in (kind.name, *kind.synonyms)}
    noun = max((n for n in names if f" {head}".endswith(f" {n}")), key=len, default=None)
    if noun is None:
        close = difflib.get_close_matches(head.split()[-1] if head.split() else "", names, 3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UserError(f"'{prompt}' names no object of toyworld.{hint} Its kinds are: {', '.join(kinds())}.")
    fields: dict[str, str | bool] = {"kind": names[noun], "option": bool(tail)}
    option = kinds()[names[noun]].option
    if tail and tail.strip() != option:
        raise UserError(
            f"A {noun} of toyworld comes {f'with {option!r}' if option else 'without options'}, not with '{tail}'."
        )
    for word in head[: len(head) - len(noun)].split():
        field = (
            "color"
            if word in COLORS
            else "pattern"
            if word in PATTERNS
            else "size"
            if word in SIZES
            else None
        )
        if field is None or field in fields:
            allowed = [*COLORS, *PATTERNS, *filter(None, SIZES)]
            raise UserError(
                f"'{word}' in '{prompt}' means nothing here. An object is said with: {', '.join(allowed)}."
            )
        fields[field] = word
    if "color" not in fields:
        raise UserError(f"'{prompt}' names no colour. The colours are: {', '.join(COLORS)}.")
    return ObjectSpec(**fields)


def build(spec: ObjectSpec) -> Surface:
    """The exact surface of an object."""
    return painted(_geometry(spec.kind, spec.option, spec.size), spec.color, spec.pattern)


@dataclass(frozen=True)
class Geometry:
    """A normalised surface whose paints are still names: `paint_names[paints[v]]` is the paint of vertex v."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    paints: np.ndarray
    paint_names: tuple[str, ...]


@cache
def _geometry(kind: str, option: bool, size: str) -> Geometry:
    return assemble(kinds()[kind].build(option), SIZES[size])


def assemble(shapes: Sequence[Shape], stretch: Sequence[float] = (1.0, 1.0, 1.0)) -> Geometry:
    """Painted shapes as one surface, stretched along the axes and then normalised."""
    vertices = normalized(
        np.concatenate([shape.vertices for shape in shapes]) * np.asarray(stretch, dtype=float)
    )
    starts = np.cumsum([0] + [len(shape.vertices) for shape in shapes[:-1]])
    faces = np.concatenate([shape.faces + start for shape, start in zip(shapes, starts)]).astype(np.int32)
    names = tuple(dict.fromkeys(shape.paint for shape in shapes))
    paints = np.concatenate([np.full(len(shape.vertices), names.index(shape.paint)) for shape in shapes])
    return Geometry(vertices, faces, vertex_normals(vertices, faces), paints, names)


def painted(geometry: Geometry, color: str = "grey", pattern: str = "plain") -> Surface:
    """A surface with its paints resolved: "main" is the colour, "second" its companion."""
    palette = {**FIXED, **COLORS, "main": COLORS[color], "second": COMPANIONS[color]}
    colors = np.array([palette[name] for name in geometry.paint_names], np.float32)[geometry.paints]
    main = np.array([name == "main" for name in geometry.paint_names])[geometry.paints]
    return Surface(
        geometry.vertices, geometry.faces, geometry.normals, colors, main, pattern, COMPANIONS[color]
    )


def normalized(vertices: np.ndarray) -> np.ndarray:
    """Vertices `v 3` moved and scaled so that their bounding box is about the origin and its longest side is 1."""
    low, high = vertices.min(0), vertices.max(0)
    return ((vertices - (low + high) / 2) / (high - low).max()).astype(np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals `v 3` of the faces around each vertex."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros((len(vertices), 3))
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)
