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
        density: How the raw density is activated, and the ball it starts from.
        normals: "analytic", or "finite_difference" over `normal_step` times the radius to either side.
        lr, network_lr: Learning rates of the grid and of the network. All places share the network: where
            gradients are mostly noise, as in distillation, it should learn more slowly than the grid.
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
        density: Density | None = None,
        normals: str = "analytic",
        normal_step: float | int = 0.02,
        backend: str = "auto",
        lr: float | int = 0.01,
        network_lr: float | int = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(radius=radius, density=density, normals=normals, normal_step=normal_step, lr=lr)
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

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        return [
            {"params": list(self.encoding.parameters()), "lr": Multiple(decay, self.lr)},
            {"params": list(self.network.parameters()), "lr": Multiple(decay, self.network_lr)},
        ]

    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        return self.network(self.encoding((unit + 1) / 2))
