"""Single frames of toyworld's clips, with the labels of pictures: what a judge of clips' frames learns from."""

from collections.abc import Sequence

import numpy as np

from suite.toyworld.clips import ClipLabel, Clips
from suite.toyworld.dataset import Batch, Label, Named

PERSON = "person"


class ClipFrames:
    """Endless frames of `Clips`, any batch of which follows from a seed and a number; `views` of each clip.

    Args:
        real: Surfaces with their captions, moved beside the procedural objects.
        shares: How often a clip shows a procedural object, a real object, a person.
        views: Frames of a clip, evenly out of it.
        size: Height and width in pixels.
    """

    def __init__(
        self,
        *,
        real: Sequence[Named] = (),
        shares: tuple[float, float, float] = (0.55, 0.2, 0.25),
        views: int = 4,
        size: int = 64,
    ) -> None:
        self.clips = Clips(real=real, size=size, frames=views, split="all", shares=shares, camera=0.1)
        self.real, self.specs, self.size, self.views = tuple(real), self.clips.specs, size, views

    def batch(self, count: int, seed: int, number: int) -> Batch:
        """The batch of this number: `count` frames, those of a clip one after the other.

        Raises:
            ValueError: `count` is not a multiple of `views`.
        """
        if count % self.views:
            raise ValueError(f"count={count} must be a multiple of views={self.views}.")
        made = self.clips.batch(count // self.views, seed, number)
        labels = tuple(_of_a_frame(label) for label in made.labels for _ in range(self.views))
        return Batch(np.concatenate(made.frames), labels)


def _of_a_frame(label: ClipLabel) -> Label:
    """The view is that of the first frame alone, so none is told."""
    name = PERSON if label.source == "person" else label.name
    return Label(label.source, name, label.color, label.pattern, "", label.front, label.caption)
