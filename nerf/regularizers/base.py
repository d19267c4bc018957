"""Wishes about the scene that no prior expresses: terms that are added to the loss."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.renderers.base import Rendering, WeightedSamples
from suite.schedules import Schedule, as_schedule


class Regularizer(ABC):
    """A term of the loss. A concrete one defines `measure`."""

    needs_normals = False

    def __init__(self, weight: float | int | list | Schedule) -> None:
        self.weight = as_schedule(weight)

    @abstractmethod
    def measure(self, rendering: Rendering, field: Field, generator: torch.Generator) -> Float[Tensor, ""]:
        """The term without its weight; a mean over rays, so that it does not depend on the image size."""

    def __call__(
        self, rendering: Rendering, field: Field, *, progress: float, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """The term times its weight at `progress`; where the weight is 0, nothing is computed."""
        weight = self.weight(progress)
        if weight == 0:
            return rendering.opacity.new_zeros(())
        return weight * self.measure(rendering, field, generator)

    def wants_normals(self, progress: float) -> bool:
        """Whether the rendering must have normals for `measure`."""
        return self.needs_normals and self.weight(progress) != 0


def samples_of(rendering: Rendering, asker: Regularizer) -> WeightedSamples:
    """The rendering's samples.

    Raises:
        ValueError: It was rendered in pieces, or without the normals that `asker` needs.
    """
    samples, name = rendering.samples, type(asker).__name__
    if samples is None:
        raise ValueError(f"{name} needs the samples of a rendering: render with gradients enabled.")
    if asker.needs_normals and samples.normals is None:
        raise ValueError(f"{name} needs normals: render with normals=True.")
    return samples
