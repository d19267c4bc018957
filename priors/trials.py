"""What a prior is asked for when it is measured, and the true picture of each answer.

seen        an object whose kind, colour and pattern it learnt together; things with a front from a said view
held_out    a kind with the colour, or with the pattern, that training left out for it
real        a real object
person      somebody in toyworld's clothes
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.toyworld import characters
from suite.toyworld.captions import VIEWS, caption
from suite.toyworld.dataset import FOV_DEG, orbit
from suite.toyworld.objects import ObjectSpec, Surface, article, build, held_out, kinds, parse
from suite.toyworld.paints import COLORS, PATTERNS
from suite.toyworld.render import render

Group = Literal["seen", "held_out", "real", "person"]
SHARES: dict[Group, float] = {"seen": 0.4, "held_out": 0.2, "real": 0.36, "person": 0.04}
PATTERNED = 0.25  # share of the seen objects that have a pattern
# The middle of each view's range; objects without a front are shown as it suits them.
CAMERAS = {
    "front view": (20, 15),
    "side view": (80, 15),
    "back view": (160, 15),
    "overhead view": (20, 75),
    "": (30, 20),
}


@dataclass(frozen=True)
class Trial:
    """One picture to ask for."""

    group: Group
    prompt: str


def trials(samples: int, real: Sequence[str], random: np.random.Generator) -> list[Trial]:
    """About `samples` trials, each kind and each real object as often as any other; fewer without real ones.

    Args:
        real: Captions of real objects that both prior and judge know.
    """
    counts = {group: round(share * samples) for group, share in SHARES.items()}
    counts["real"] *= bool(real)
    shown = _cycled(list(kinds()), counts["seen"], random)
    return [
        *(Trial("seen", seen_prompt(kind, random)) for kind in shown),
        *(Trial("held_out", spec.prompt) for spec in _cycled(held_out_specs(), counts["held_out"], random)),
        *(Trial("real", f"{article(name)} {name}") for name in _cycled(list(real), counts["real"], random)),
        *(Trial("person", person_prompt(random)) for _ in range(counts["person"])),
    ]


def seen_prompt(kind: str, random: np.random.Generator) -> str:
    """A composition that training shows, with a view word if the kind has a front."""
    while True:
        pattern = PATTERNS[random.integers(1, len(PATTERNS))] if random.random() < PATTERNED else "plain"
        spec = ObjectSpec(kind, list(COLORS)[random.integers(len(COLORS))], pattern)
        if not held_out(spec):
            return caption(spec.prompt, VIEWS[random.integers(len(VIEWS))] if kinds()[kind].front else "")


def held_out_specs() -> list[ObjectSpec]:
    """Every kind in the colour, and in the pattern, that it never has in training."""
    plain = [ObjectSpec(kind, color) for kind in kinds() for color in COLORS]
    patterned = [ObjectSpec(kind, "red", pattern) for kind in kinds() for pattern in PATTERNS[1:]]
    return [spec for spec in (*plain, *patterned) if held_out(spec)]


def person_prompt(random: np.random.Generator) -> str:
    """Somebody standing."""
    return characters.describe(characters.random_outfit(random))


def true_picture(trial: Trial, real: Mapping[str, Surface], size: int = 64) -> Float[Tensor, "3 h w"]:
    """What the trial asks for, from the front unless it says a view; grey for a real object not at hand."""
    subject, _, view = trial.prompt.partition(", ")
    name = subject.removeprefix("an ").removeprefix("a ")
    if trial.group == "real" and name not in real:
        return torch.full((3, size, size), 0.8)
    azimuth, elevation = CAMERAS[view]
    camera = orbit(np.array([azimuth]), np.array([elevation]), np.array([1.8]))
    pictures = render(
        _surface(trial.group, subject, name, real), camera, np.array([FOV_DEG]), height=size, width=size
    )
    return torch.from_numpy(pictures.images[0]).movedim(-1, 0)


def _surface(group: Group, subject: str, name: str, real: Mapping[str, Surface]) -> Surface:
    if group == "real":
        return real[name]
    return characters.surface(*characters.parse(subject)) if group == "person" else build(parse(subject))


def _cycled(things: list, count: int, random: np.random.Generator) -> list:
    """`count` of the things, each as often as any other, in random order."""
    order: list[int] = []
    while len(order) < count:
        order += random.permutation(len(things)).tolist()
    return [things[i] for i in order[:count]]
