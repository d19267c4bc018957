"""Prompts that travel: from one text to the next along a clip, their embeddings mixed between.

    {0: "a blue car", 16: "a red car"}    frame f between stops a and b: (b - f) / (b - a) of a's text, the rest of b's

Before the first stop its text holds, after the last stop its own.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from priors.prompts import Blend, ViewPrompts
from suite.errors import UserError


@dataclass(frozen=True)
class Travel:
    """What is said of each frame of a clip.

    Args:
        stops: Frame number -> text, in order.
        frames: Of the clip.
        negative: What guidance starts from, everywhere.
    """

    stops: dict[int, str]
    frames: int
    negative: str = ""

    @staticmethod
    def of(prompt: Any, frames: int, negative: str = "") -> "Travel":
        """From a text, or a mapping of frame numbers to texts.

        Raises:
            UserError: It is neither, says nothing, or has a stop that is no frame of the clip.
        """
        if not isinstance(prompt, Mapping):
            prompt = {0: prompt}
        if not prompt:
            raise UserError(
                'The prompt has no stops: type prompt="a blue car", or prompt=\'{0: "...", 16: "..."}\'.'
            )
        stops = {}
        for key, text in prompt.items():
            if not isinstance(text, str) or not text.strip():
                raise UserError(
                    f"The prompt at frame {key} is empty or no text: {text!r}. Say what to show, as "
                    'prompt="a blue car".'
                )
            if not str(key).isdigit():
                raise UserError(f"The stops of a prompt are frame numbers 0, 1, ..., got {key!r}.")
            if int(key) >= frames:
                raise UserError(
                    f"The prompt has a stop at frame {key}, and the clip's frames are 0 to {frames - 1}: move the "
                    "stop, or make more frames."
                )
            stops[int(key)] = text.strip()
        return Travel(dict(sorted(stops.items())), frames, negative.strip())

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that is embedded."""
        return tuple(dict.fromkeys([*self.stops.values(), self.negative]))

    def at(self, frame: int) -> Blend:
        """The texts of a frame and their weights."""
        places = list(self.stops)
        k = bisect_right(places, frame)
        if k == 0 or k == len(places) or places[k - 1] == frame:
            return ((self.stops[places[max(k, 1) - 1]], 1.0),)
        a, b = places[k - 1], places[k]
        share = (frame - a) / (b - a)
        return ((self.stops[a], 1 - share), (self.stops[b], share))

    def nearest(self, frame: int) -> str:
        """The text that counts most at a frame."""
        return max(self.at(frame), key=lambda pair: pair[1])[0]

    def prompts(self) -> ViewPrompts:
        """For `MotionPrior.embed`: one for the clip where it does not travel, else one a frame."""
        count = 1 if len(self.stops) == 1 else self.frames
        return ViewPrompts(tuple(self.at(frame) for frame in range(count)), (self.negative,) * count)
