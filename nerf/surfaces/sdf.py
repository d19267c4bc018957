"""Signed distance and colour as one function of place: a hash grid and a small network, added to a shape.

    s(x)      = shape(x) + radius * network(x)_0        negative inside
    albedo(x) = sigmoid(network(x)_1..3)
    n(x)      = grad s / |grad s|                       out of the object

The network's first output starts at 0, so the field starts as exactly its shape.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.encodings import HashGrid
from nerf.fields.base import Multiple, mlp
from nerf.surfaces.shapes import Shape, Sphere, grid_points
from suite.rng import generator
from suite.schedules import Schedule

POINTS_AT_ONCE = 2**18


@dataclass(frozen=True)
class SDFSample:
    """A signed distance field at some places.

    Attributes:
        sdf: Signed distance in world units, negative inside.
        albedo: RGB in [0, 1].
        features: What else the network says.
        gradient: d sdf / d place; None if not asked for.
    """

    sdf: Float[Tensor, " *n"]
    albedo: Float[Tensor, "*n 3"]
    features: Float[Tensor, "*n c"]
    gradient: Float[Tensor, "*n 3"] | None = None


class SDFField(nn.Module):
    """Signed distance, colour and features inside [-radius, radius]^3.

    Args:
        radius: The field covers [-radius, radius]^3.
        init: What it starts as; by default a ball of two thirds of the radius.
        levels, features, log2_table, base, finest: Of the encoding, see `nerf.encodings.HashGrid`.
        hidden: Width of the hidden layer.
        extra: Numbers that the network gives besides distance and colour.
        lr, network_lr: Learning rates of the grid and of the network.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        *,
        radius: float | int = 0.6,
        init: Shape | None = None,
        levels: int = 8,
        features: int = 2,
        log2_table: int = 15,
        base: int = 8,
        finest: int = 128,
        hidden: int = 32,
        extra: int = 0,
        lr: float | int = 0.01,
        network_lr: float | int = 0.005,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not radius > 0 or hidden < 1 or extra < 0 or not lr > 0 or not network_lr > 0:
            raise ValueError(
                "SDFField needs radius, lr, network_lr > 0, hidden >= 1 and extra >= 0, got "
                f"{radius=}, {lr=}, {network_lr=}, {hidden=}, {extra=}."
            )
        self.radius, self.lr, self.network_lr = float(radius), float(lr), float(network_lr)
        self.shape = init or Sphere(radius=radius * 2 / 3)
        self.encoding = HashGrid(
            levels=levels, features=features, log2_table=log2_table, base=base, finest=finest, seed=seed
        )
        # softplus, as the distance is to have second derivatives
        sizes = [self.encoding.size, hidden, 4 + extra]
        self.network = mlp(sizes, generator(seed, 0, "sdf network"), nn.Softplus)
        with torch.no_grad():
            self.network[-1].weight[0].zero_()

    def forward(self, points: Float[Tensor, "*n 3"], gradient: bool = False) -> SDFSample:
        """All of it at places of the world."""
        if not gradient:
            return self._evaluate(points)
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            points = points if points.requires_grad else points.detach().requires_grad_()
            sample = self._evaluate(points)
            (slope,) = torch.autograd.grad(sample.sdf.sum(), points, create_graph=wanted)
        found = (sample.sdf, sample.albedo, sample.features, slope)
        return SDFSample(*(found if wanted else (x.detach() for x in found)))

    def sdf(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        """Signed distance in world units."""
        return self._evaluate(points).sdf

    def gradient(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """d sdf / d place, differentiable in the parameters; of length 1 for a true distance."""
        return self(points, gradient=True).gradient

    def albedo(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """RGB in [0, 1]."""
        return self._evaluate(points).albedo

    def grid(self, resolution: int) -> Float[Tensor, "n n n"]:
        """Distances at the vertices of resolution^3 cells, for `marching_tetrahedra`, `flexicubes` or
        `Surface.set_distance`; differentiable."""
        points = grid_points(resolution, self.radius).to(self.encoding.table.device)
        pieces = [self.sdf(some) for some in points.view(-1, 3).split(POINTS_AT_ONCE)]
        return torch.cat(pieces).view(points.shape[:3])

    def set_progress(self, progress: float) -> None:
        """Tell the field how far the run is, in [0, 1]."""
        self.encoding.set_progress(progress)

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        """Groups for the optimizer."""
        return [
            {"params": list(self.encoding.parameters()), "lr": Multiple(decay, self.lr)},
            {"params": list(self.network.parameters()), "lr": Multiple(decay, self.network_lr)},
        ]

    def _evaluate(self, points: Float[Tensor, "*n 3"]) -> SDFSample:
        flat = points.reshape(-1, 3)
        raw = self.network(self.encoding((flat / self.radius + 1) / 2)).view(*points.shape[:-1], -1)
        sdf = self.shape(points) + self.radius * raw[..., 0]
        return SDFSample(sdf, torch.sigmoid(raw[..., 1:4]), raw[..., 4:])
