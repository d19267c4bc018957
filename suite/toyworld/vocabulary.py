"""The words of toyworld: those that its captions use, and texts to learn a tokenizer from."""

from collections.abc import Sequence

import numpy as np

from suite.toyworld import characters
from suite.toyworld.captions import VIEWS
from suite.toyworld.motions import MOTIONS
from suite.toyworld.objects import SIZES, kinds
from suite.toyworld.outfits import GARMENTS
from suite.toyworld.paints import COLORS, PATTERNS
from suite.toyworld.poses import POSES


def vocabulary(real: Sequence[str] = ()) -> dict[str, list[str]]:
    """Everything that captions are made of, by group.

    Args:
        real: Captions of real objects.
    """
    return {
        "kinds": [noun for kind in kinds().values() for noun in (kind.name, *kind.synonyms)],
        "colours": list(COLORS),
        "patterns": [*PATTERNS[1:], *filter(None, SIZES)],
        "parts": sorted({kind.option for kind in kinds().values() if kind.option}),
        "real objects": list(real),
        "people": ["person", "child", "shirt", *GARMENTS, "hat", *POSES],
        "motions": list(MOTIONS),
        "views": list(VIEWS),
        "small words": ["a", "an", "and", "in", "with"],
    }


def tokenizer_corpus(real: Sequence[str] = ()) -> list[str]:
    """Texts in which every word of toyworld occurs often enough to become a token."""
    random = np.random.default_rng(0)
    people = [characters.describe(characters.random_outfit(random)) for _ in range(50)]
    return [phrase for group in vocabulary(real).values() for phrase in group] * 4 + people
