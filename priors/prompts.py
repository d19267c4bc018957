"""What to ask of a prior for each camera: view-dependent words, negative prompts, Perp-Neg.

Which word (DreamFusion, arXiv:2209.14988, 3.2): "overhead view" above 60 degrees of elevation, else, by
azimuth, "front view" within 45 degrees of the front, "back view" beyond 135, "side view" between.
Interpolated: the embeddings of front and side (or side and back) are mixed in proportion to the azimuth.

Perp-Neg (arXiv:2304.04968, 4): beside the interpolated prompt, the views it lies between are unwanted with

    weight -f(r),  f(r) = a exp(-b r) + c        r in [0, 1], 1 where the wanted view is nearest
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from suite.errors import UserError
from suite.geometry.cameras import Cameras

VIEW_WORDS = {"front": "front view", "side": "side view", "back": "back view", "overhead": "overhead view"}
OVERHEAD_ABOVE_DEG, FRONT_WITHIN_DEG, BACK_BEYOND_DEG = 60.0, 45.0, 135.0

# (a, b, c) of f, from Perp-Neg's published code: f falls to 0 at r = 1 but for the front seen from behind.
FRONT_TO_SIDE = SIDE_TO_FRONT = (4.0, 0.5, -2.426)
SIDE_TO_BACK = (1.0, 0.5, -0.606)
FRONT_FROM_BEHIND = (1.0, 0.5, 0.967)

Blend = tuple[tuple[str, float], ...]  # texts with weights that sum to 1


@dataclass(frozen=True)
class ViewPrompts:
    """The texts for a batch of views; `Prior.embed` turns them into a Condition.

    Args:
        positive: For each view the texts to mix and their weights.
        negative: For each view what guidance starts from.
        perpendicular: Perp-Neg: unwanted texts, one a view, with their weights (negative).
    """

    positive: tuple[Blend, ...]
    negative: tuple[str, ...]
    perpendicular: tuple[tuple[tuple[str, ...], Float[Tensor, " b"]], ...] = ()

    @staticmethod
    def of_texts(texts: Sequence[str], negative: str = "") -> "ViewPrompts":
        """Plain texts, one a view."""
        return ViewPrompts(tuple(((text, 1.0),) for text in texts), (negative,) * len(texts))

    @staticmethod
    def insisting(texts: Sequence[str], weight: float) -> "ViewPrompts":
        """Texts with Perp-Neg's push away from themselves without the view they say ("a red car, back view").

        Args:
            weight: Of the push, times the guidance scale; 0 for none. A text that says no view is not pushed.
        """
        viewless = tuple(without_view(text) for text in texts)
        plain = ViewPrompts.of_texts(texts)
        if weight == 0 or viewless == tuple(texts):
            return plain
        return replace(plain, perpendicular=((viewless, torch.full((len(texts),), -float(weight))),))

    def __len__(self) -> int:
        return len(self.positive)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that is used, each once."""
        positive = [text for blend in self.positive for text, _ in blend]
        unwanted = [text for texts, _ in self.perpendicular for text in texts]
        return tuple(dict.fromkeys([*positive, *self.negative, *unwanted]))


class Prompt:
    """A text that knows how to speak of each view.

    Args:
        text: What is wanted, as "a red mushroom".
        negative: What guidance starts from instead of "".
        views: "discrete" appends the view's words, "interpolated" mixes embeddings by azimuth, "none" does
            neither.
        perp_neg: Push away from the neighbouring views' texts; needs views="interpolated".
        view_words: Other words for some of front, side, back, overhead.
        view_texts: Whole texts for some of front, side, back, overhead, instead of "text, words".

    Raises:
        UserError: The text is empty, or an option is not possible.
    """

    def __init__(
        self,
        *,
        text: str,
        negative: str = "",
        views: Literal["discrete", "interpolated", "none"] = "discrete",
        perp_neg: bool = False,
        view_words: Mapping[str, str] | None = None,
        view_texts: Mapping[str, str] | None = None,
    ) -> None:
        if not text.strip():
            raise UserError('The prompt is empty. Say what to make, as prompt="a red mushroom".')
        if views not in ("discrete", "interpolated", "none"):
            raise UserError(f"views={views!r} is not one of: discrete, interpolated, none.")
        if perp_neg and views != "interpolated":
            raise UserError(
                f"perp_neg=true pushes between views and needs views=interpolated, got views={views}."
            )
        for option, given in (("view_words", view_words), ("view_texts", view_texts)):
            unknown = set(given or ()) - set(VIEW_WORDS)
            if unknown:
                raise UserError(f"{option} has {sorted(unknown)}; the views are: {', '.join(VIEW_WORDS)}.")
            if given and views == "none":
                raise UserError(
                    f"{option} has no effect with views=none; use views=discrete or interpolated."
                )
        self.text, self.negative, self.views, self.perp_neg = text.strip(), negative.strip(), views, perp_neg
        words = {**VIEW_WORDS, **(view_words or {})}
        self.view_texts = {v: f"{self.text}, {words[v]}" for v in VIEW_WORDS} | dict(view_texts or {})

    def seen_from(self, cameras: Cameras) -> ViewPrompts:
        """The texts for each camera, by its azimuth and elevation about the origin."""
        places = list(zip(cameras.azimuth_deg.tolist(), cameras.elevation_deg.tolist()))
        positive = tuple(self._positive(azimuth, elevation) for azimuth, elevation in places)
        negative = (self.negative,) * len(places)
        if not self.perp_neg:
            return ViewPrompts(positive, negative)
        rows = [perp_neg_weights(azimuth, elevation) for azimuth, elevation in places]
        columns = tuple(
            (tuple(self.view_texts[row[k][0]] for row in rows), torch.tensor([row[k][1] for row in rows]))
            for k in range(2)
        )
        return ViewPrompts(positive, negative, columns)

    def _positive(self, azimuth_deg: float, elevation_deg: float) -> Blend:
        if self.views == "none":
            return ((self.text, 1.0),)
        if self.views == "discrete":
            return ((self.view_texts[view_of(azimuth_deg, elevation_deg)], 1.0),)
        return tuple((self.view_texts[view], w) for view, w in view_weights(azimuth_deg, elevation_deg))


def without_view(text: str) -> str:
    """The text without a view's words at its end."""
    subject, comma, last = text.rpartition(", ")
    return subject if comma and last in VIEW_WORDS.values() else text


def view_of(azimuth_deg: float, elevation_deg: float) -> str:
    """The view's name: front, side, back or overhead."""
    azimuth = _from_front(azimuth_deg)
    if elevation_deg > OVERHEAD_ABOVE_DEG:
        return "overhead"
    if azimuth < FRONT_WITHIN_DEG:
        return "front"
    return "back" if azimuth > BACK_BEYOND_DEG else "side"


def view_weights(azimuth_deg: float, elevation_deg: float) -> tuple[tuple[str, float], ...]:
    """The views that this one lies between, with weights that sum to 1; those of weight 0 left out."""
    if elevation_deg > OVERHEAD_ABOVE_DEG:
        return (("overhead", 1.0),)
    near, far, r = _between(azimuth_deg)
    return tuple((view, weight) for view, weight in ((near, r), (far, 1 - r)) if weight > 0)


def perp_neg_weights(azimuth_deg: float, elevation_deg: float) -> tuple[tuple[str, float], ...]:
    """The two unwanted views and their weights (zero overhead)."""
    near, _, r = _between(azimuth_deg)
    if near == "front":
        pair = (("front", f(r, FRONT_TO_SIDE)), ("side", f(1 - r, SIDE_TO_FRONT)))
    else:
        pair = (("side", f(r, SIDE_TO_BACK)), ("front", f(r, FRONT_FROM_BEHIND)))
    overhead = elevation_deg > OVERHEAD_ABOVE_DEG
    return tuple((view, 0.0 if overhead else -weight) for view, weight in pair)


def f(r: float, constants: tuple[float, float, float]) -> float:
    """a exp(-b r) + c, at least 0: c is rounded, and 4 exp(-.5) - 2.426 is -1e-4."""
    a, b, c = constants
    return max(a * math.exp(-b * r) + c, 0.0)


def _between(azimuth_deg: float) -> tuple[str, str, float]:
    """The nearer-to-front view, the farther one, and the share r of the first."""
    azimuth = _from_front(azimuth_deg)
    return ("front", "side", 1 - azimuth / 90) if azimuth < 90 else ("side", "back", 2 - azimuth / 90)


def _from_front(azimuth_deg: float) -> float:
    """The azimuth's distance from the front, in [0, 180]."""
    return abs((azimuth_deg + 180) % 360 - 180)
