"""From words to the exact surface that they name: an object of toyworld, a real object, or a person."""

from pathlib import Path

from suite.errors import UserError
from suite.toyworld import characters
from suite.toyworld.captions import VIEWS
from suite.toyworld.dataset import Named, surface_of
from suite.toyworld.objects import build, kinds, parse
from suite.toyworld.real_objects import captions_in, load_objects


class Things:
    """Everything whose shape is known.

    Args:
        objects: A folder of captioned meshes, as `suite prepare_objects` makes; empty knows no real objects.

    Raises:
        UserError: There is no such folder, or it holds no meshes.
    """

    def __init__(self, objects: str | Path = "") -> None:
        self.objects = str(objects)
        self.captions = captions_in(objects) if self.objects else ()

    def named(self, words: str) -> Named:
        """The thing that a prompt names, whatever view it says; `name` is the prompt without the view.

        Raises:
            UserError: It names nothing that is known.
        """
        words = without_view(words)
        noun = without_article(words)
        if noun in self.captions:
            (thing,) = load_objects(self.objects, only=noun)
            return Named(words, surface_of(thing.mesh), thing.front)
        if noun.split(" ")[0] in ("person", "child"):
            return Named(words, characters.surface(*characters.parse(words)))
        try:
            spec = parse(words)
        except UserError as error:
            hint = "" if self.objects else " Real objects are known with objects=FOLDER."
            raise UserError(f"{error}{hint}") from error
        return Named(words, build(spec), kinds()[spec.kind].front)


def without_view(words: str) -> str:
    """ "A red car, side view" is "a red car"."""
    parts = [part.strip() for part in words.lower().split(",")]
    return ", ".join(part for part in parts if part and part not in VIEWS)


def without_article(words: str) -> str:
    """ "a red car" is "red car"."""
    return words.strip().removeprefix("an ").removeprefix("a ").strip()
