"""What a renderer gives back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.background import Background
from nerf.fields.base import Field
from nerf.lights import Lighting
from nerf.renderers.sampling import Samples
from suite.geometry.rays import Rays
from suite.types import Images, Masks


@dataclass(frozen=True)
class WeightedSamples:
    """The samples behind a picture, for regularizers.

    Attributes:
        at: Where they are.
        weights: Share of the pixel's light that each contributes; they sum to the opacity.
        directions: Of their rays.
        normals: Of the field, if it was asked for them.
        rays: Number of rays, those without samples included.
        radius: Of the field's box.
    """

    at: Samples
    weights: Float[Tensor, " n"]
    directions: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"] | None
    rays: int
    radius: float


@dataclass(frozen=True)
class Rendering:
    """Pictures of a field.

    Attributes:
        images: Composited on the background.
        opacity: Share of each pixel that the object covers.
        depth: Mean distance along the ray of what is seen; 0 where nothing is.
        background: What lies behind.
        normals: Normals in the world, weighted by opacity; None if not asked for.
        samples: What the picture was made of; None if rendered in pieces, without gradient.
    """

    images: Images
    opacity: Masks
    depth: Float[Tensor, "b 1 h w"]
    background: Images
    normals: Float[Tensor, "b 3 h w"] | None = None
    samples: WeightedSamples | None = None


class Renderer(nn.Module, ABC):
    """From a field to pictures. Whatever it keeps between steps is in its buffers."""

    @abstractmethod
    def forward(
        self,
        field: Field,
        rays: Rays,
        *,
        background: Background | None = None,
        lighting: Lighting | None = None,
        normals: bool = False,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Pictures along `rays`.

        Args:
            background: None is white.
            lighting: None shows the albedo.
            normals: Also give normals (the lighting may need them anyway).
            generator: For the jitter of samples and for random backgrounds; None renders without either.
        """

    def update(self, field: Field, step: int, generator: torch.Generator) -> None:
        """To be called before each training step: refreshes what the renderer knows of the field."""
