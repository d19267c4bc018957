"""Wishes about a surface that is extracted in every step: terms on its mesh or its signed distances."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suite.geometry.mesh import Mesh
from suite.schedules import Schedule, as_schedule


class MeshRegularizer(ABC):
    """A term of the loss. A concrete one defines `measure`."""

    def __init__(self, weight: float | int | list | Schedule) -> None:
        self.weight = as_schedule(weight)

    @abstractmethod
    def measure(self, mesh: Mesh, surface: nn.Module, generator: torch.Generator) -> Float[Tensor, ""]:
        """The term without its weight; a mean, so that it does not depend on the number of faces."""

    def __call__(
        self, mesh: Mesh, surface: nn.Module, *, progress: float, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """The term times its weight at `progress`; where that is 0, or there is no face, nothing is computed.

        Args:
            mesh: What `surface` gave in this step.
            surface: One of nerf.surfaces: what is asked for distances is `gradient(places)` and `radius`.
        """
        weight = self.weight(progress)
        if weight == 0 or len(mesh.faces) == 0:
            return mesh.vertices.new_zeros(())
        return weight * self.measure(mesh, surface, generator)


def soft_unit(vectors: Float[Tensor, "n 3"], softness: float = 0.01) -> Float[Tensor, "n 3"]:
    """Vectors of length 1, those much shorter than the mean of all shorter: the area of a splinter of a
    triangle is near 0, and the derivative of its true direction near infinity."""
    square = vectors.square().sum(-1, keepdim=True)
    least = softness * (square.detach() + 1e-30).sqrt().mean()
    return vectors / (square + least**2 + 1e-30).sqrt()


def places_on(mesh: Mesh, count: int, generator: torch.Generator) -> Float[Tensor, "n 3"]:
    """`count` random vertices of the mesh, without gradient."""
    chosen = torch.randint(len(mesh.vertices), (count,), generator=generator, device=generator.device)
    return mesh.vertices.detach()[chosen.to(mesh.vertices.device)]
