"""Words for pictures: view words, and every way a caption of toyworld can be said.

A caption is  subject [, motion or pose] [, view]  - for example "a striped red car, sliding left, side view".
"""

import numpy as np

from suite.toyworld.objects import ObjectSpec, kinds

VIEWS = ("front view", "side view", "back view", "overhead view")


def view_word(azimuth_deg: float, elevation_deg: float) -> str:
    """What a view is called: overhead above 60 degrees, else front, side or back by azimuth."""
    if elevation_deg > 60:
        return "overhead view"
    turned = abs((azimuth_deg + 180) % 360 - 180)
    return "front view" if turned < 45 else "back view" if turned > 135 else "side view"


def subject(spec: ObjectSpec, random: np.random.Generator) -> str:
    """One way to name an object: mostly its prompt; at times a synonym, no colour, or no article."""
    kind = kinds()[spec.kind]
    noun = random.choice(kind.synonyms) if kind.synonyms and random.random() < 0.25 else kind.name
    words = spec.described(noun)
    if random.random() < 0.04:
        words = words.replace(f"{spec.color} ", "", 1)
    return words.split(" ", 1)[1] if random.random() < 0.1 else words


def caption(subject_words: str, view: str = "", doing: str = "") -> str:
    """Subject, what it does and the view, joined by commas; empty parts are left out."""
    return ", ".join(part for part in (subject_words, doing, view) if part)
