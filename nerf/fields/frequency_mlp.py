"""Frequencies and a deep network (NeRF, Mildenhall et al. 2020, arXiv:2003.08934): smooth, small and slow."""

from jaxtyping import Float
from torch import Tensor, nn

from nerf.encodings import FrequencyEncoding
from nerf.fields.base import Density, Field, mlp
from suite.rng import generator


class FrequencyField(Field):
    """A multilayer perceptron on sines and cosines of the place.

    Args:
        radius: The field covers [-radius, radius]^3.
        octaves: Frequencies pi, 2 pi, 4 pi ... on [-1, 1].
        hidden, layers: Width and number of the hidden layers.
        density: How the raw density is activated, and the ball it starts from.
        normals: "analytic", or "finite_difference" over `normal_step` times the radius to either side.
        lr: Learning rate.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        *,
        radius: float | int = 0.6,
        octaves: int = 5,
        hidden: int = 64,
        layers: int = 3,
        density: Density | None = None,
        normals: str = "analytic",
        normal_step: float | int = 0.02,
        lr: float | int = 0.002,
        seed: int = 0,
    ) -> None:
        super().__init__(radius=radius, density=density, normals=normals, normal_step=normal_step, lr=lr)
        if hidden < 1 or layers < 1:
            raise ValueError(f"FrequencyField needs hidden >= 1 and layers >= 1, got {hidden=}, {layers=}.")
        self.encoding = FrequencyEncoding(octaves=octaves)
        sizes = [self.encoding.size] + [hidden] * layers + [4]
        self.network = mlp(sizes, generator(seed, 0, "frequency network"), activation=nn.SiLU)

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        return self.network(self.encoding(unit))
