"""A hash grid and a small network: detail in few numbers (Instant-NGP, Müller et al. 2022, 2201.05989)."""

from jaxtyping import Float
from torch import Tensor

from nerf.encodings import HashGrid
from nerf.fields.base import Density, Field, Multiple, mlp
from suite.rng import generator
from suite.schedules import Schedule


class HashGridField(Field):
    """Hash-encoded places through one hidden layer.

    Args:
        radius: The field covers [-radius, radius]^3.
        levels, features, log2_table, base, finest, active_levels, backend: See `nerf.encodings.HashGrid`.
        hidden: Width of the hidden layer.
        network_lr: The network learns at this multiple of the learning rate. Under score distillation, whose
            gradients are mostly noise, a tenth; all places share the network, and it must not tremble.
        density: How the raw density is activated, and the ball it starts from.
        normals: "analytic", or "finite_difference" over `normal_step` times the radius to either side.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        *,
        radius: float | int = 0.6,
        levels: int = 8,
        features: int = 2,
        log2_table: int = 15,
        base: int = 16,
        finest: int = 256,
        active_levels: float | int | list | Schedule | None = None,
        hidden: int = 32,
        network_lr: float | int = 1.0,
        density: Density | None = None,
        normals: str = "analytic",
        normal_step: float | int = 0.02,
        backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(radius, density, normals, normal_step)
        if hidden < 1 or network_lr <= 0:
            raise ValueError(
                f"HashGridField needs hidden >= 1 and network_lr > 0, got {hidden=}, {network_lr=}."
            )
        self.network_lr = network_lr
        self.encoding = HashGrid(
            levels=levels,
            features=features,
            log2_table=log2_table,
            base=base,
            finest=finest,
            active_levels=active_levels,
            backend=backend,
            seed=seed,
        )
        self.network = mlp([self.encoding.size, hidden, 4], generator(seed, 0, "hash grid network"))

    def set_progress(self, progress: float) -> None:
        self.encoding.set_progress(progress)

    def parameter_groups(self, lr: Schedule) -> list[dict]:
        return [
            {"params": list(self.encoding.parameters()), "lr": lr},
            {"params": list(self.network.parameters()), "lr": Multiple(lr, self.network_lr)},
        ]

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        return self.network(self.encoding((unit + 1) / 2))
