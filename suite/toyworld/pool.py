"""Training pictures out of a pool of those rendered last, each shown several times.

Rendering costs about as much as a small network's step; a picture that comes again some steps later, under other noise
or wear, teaches almost as much as a new one.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float


@runtime_checkable
class Source(Protocol):
    """What renders: any batch of it follows from a seed and a number."""

    def batch(self, count: int, seed: int, number: int) -> Any:
        """`count` pictures `images` (`b h w 3`, clips `b f h w 3`, float32 RGB in [0, 1]), and `labels`, one each."""


@dataclass(frozen=True)
class ClipBatch:
    """`b` clips: `frames` `b f h w 3` float32 RGB in [0, 1], and what is known of each."""

    frames: np.ndarray
    labels: tuple[Any, ...]

    @property
    def images(self) -> np.ndarray:
        """The frames, as a pool of training pictures asks for them."""
        return self.frames


class Pool:
    """The newest rendered batches of scenes, from which each step draws.

    A draw depends on the step and its generator alone: a resumed training renders the pool anew. Batches are rendered
    by the calling thread: beside it, on a CPU of few cores, a thread that renders takes more from the network's own
    threads than it saves.

    Args:
        scenes: Where pictures come from: `Scenes`, `ViewPairs`, `Clips`.
        batch: Pictures drawn at a step, and rendered at once.
        reuse: Steps for which a new batch is rendered once: how often a picture is shown on average.
        size: Batches kept.
        seed: Of the pictures.
        together: So many pictures after each other in a batch are drawn together; it divides `batch`.
    """

    def __init__(
        self, scenes: Source, *, batch: int, reuse: int, size: int, seed: int, together: int = 1
    ) -> None:
        if min(batch, reuse, size) < 1:
            raise ValueError(f"batch, reuse and pool must be at least 1, got {batch}, {reuse} and {size}.")
        if batch % together:
            raise ValueError(f"batch={batch} does not hold whole groups of {together}.")
        self.scenes, self.batch, self.reuse, self.size, self.seed = scenes, batch, reuse, size, seed
        self.together = together
        self.kept: deque[tuple[int, torch.Tensor, tuple[Any, ...]]] = deque(maxlen=size)

    def draw(
        self, step: int, generator: torch.Generator
    ) -> tuple[Float[torch.Tensor, "b *f c h w"], list[Any]]:
        """The pictures (or clips) of this step, float32 RGB in [0, 1], and what is known of each."""
        newest = (
            step // self.reuse + self.size // 2
        )  # at the start too there is enough not to be learnt by heart
        first = max(0, newest - self.size + 1)
        if self.kept and not first <= self.kept[-1][0] <= newest:
            self.kept.clear()
        done = self.kept[-1][0] if self.kept else first - 1
        for number in range(max(first, done + 1), newest + 1):
            self.kept.append((number, *self._render(number)))
        while self.kept[0][0] < first:
            self.kept.popleft()
        groups = self.batch // self.together
        which = torch.randint(len(self.kept), (groups,), generator=generator).tolist()
        firsts = torch.randint(groups, (groups,), generator=generator).mul(self.together).tolist()
        drawn = [(self.kept[k], first + i) for k, first in zip(which, firsts) for i in range(self.together)]
        images = torch.stack([images[place] for (_, images, _), place in drawn])
        return images.float() / 255, [labels[place] for (_, _, labels), place in drawn]

    def _render(self, number: int) -> tuple[torch.Tensor, tuple[Any, ...]]:
        batch = self.scenes.batch(self.batch, self.seed, number)
        return torch.from_numpy(batch.images).mul(255).round().byte().movedim(-1, -3), batch.labels
