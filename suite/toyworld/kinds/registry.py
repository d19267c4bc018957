"""What a kind of object is: a name, words for it, and the function that builds it from shapes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.toyworld.shapes import Shape


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    Args:
        name: What captions call it, e.g. "car".
        build: Makes its shapes, at any size and place (they are normalised afterwards), +X front, +Z up; given True it
            adds the optional part.
        front: Whether its front, side and back can be told apart; view words are only said of these.
        synonyms: Other words for it in captions.
        option: What its optional part is called after "with", e.g. "a roof rack"; empty for none.
    """

    name: str
    build: Callable[[bool], Sequence[Shape]]
    front: bool
    synonyms: tuple[str, ...] = ()
    option: str = ""


KINDS: dict[str, Kind] = {}


def kind(name: str, *, front: bool, synonyms: tuple[str, ...] = (), option: str = "") -> Callable:
    """Register the decorated builder as a kind of object."""

    def register(build: Callable[[bool], Sequence[Shape]]) -> Callable:
        assert name not in KINDS, f"two kinds are called {name}"
        KINDS[name] = Kind(name, build, front, synonyms, option)
        return build

    return register
