"""Fields whose pictures can be computed by hand."""

import torch
from torch import Tensor

from nerf.fields.base import Density, Field
from nerf.renderers.occupancy import OccupancyGrid
from nerf.renderers.volume import VolumeRenderer
from suite.geometry.rays import Rays


class Uniform(Field):
    """The same density and colour everywhere in the box."""

    def __init__(self, *, density: float, color: tuple[float, float, float], radius: float = 0.6) -> None:
        options = {"normals": "analytic", "normal_step": 0.02, "lr": 0.01}
        super().__init__(radius=radius, density=Density(activation="exp", blob="none"), **options)
        logits = torch.logit(torch.tensor(color))
        self.values = torch.nn.Parameter(torch.cat([torch.tensor([density * radius]).log(), logits]))

    def raw(self, unit: Tensor) -> Tensor:
        return self.values.expand(len(unit), 4) + 0 * unit[:, :1]


class Ball(Field):
    """A fuzzy ball: raw density slope * (size - |x|), coloured by place; x in units of the box."""

    def __init__(self, *, size: float = 0.5, slope: float = 20.0, radius: float = 0.6, **options) -> None:
        options = {"normals": "analytic", "normal_step": 0.02, "lr": 0.01} | options
        super().__init__(radius=radius, density=Density(blob="none", gain=10.0), **options)
        self.size = torch.nn.Parameter(torch.tensor(size))
        self.slope = slope

    def raw(self, unit: Tensor) -> Tensor:
        distance = (unit.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        return torch.cat([self.slope * (self.size - distance), 3 * unit], dim=-1)


def full_renderer(samples: int = 64, **options) -> VolumeRenderer:
    """A renderer whose occupancy grid is full."""
    return VolumeRenderer(samples=samples, occupancy=OccupancyGrid(resolution=4), **options)


def ray(origin: tuple[float, ...], direction: tuple[float, ...]) -> Rays:
    """One ray."""
    d = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    return Rays(torch.tensor(origin, dtype=torch.float32).view(1, 1, 1, 3), d.view(1, 1, 1, 3))


def seeded(seed: int = 0) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)
