"""From places and directions to features that a small network, or none, can turn into density and colour.

    T        table of feature vectors, one row a grid vertex
    N_l      cells along an axis of level l: floor(N_min b^l), b = (N_max / N_min)^(1 / (L - 1))  (Eqs. 2, 3)
    row      x + (N_l + 1) (y + (N_l + 1) z) where a level's vertices fit into its rows, otherwise
             (x xor 2654435761 y xor 805459861 z) mod rows                                         (Eq. 4)
    f        [T_l interpolated trilinearly at x, for each level l]

The equations are those of Instant-NGP (Müller et al. 2022, arXiv:2201.05989).
One function, `interpolate`, serves hash grids and dense grids. It exists three times: in torch, which is the
reference and differentiable to any order, in numba for CPUs and in Triton for GPUs.
"""

import importlib.util
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suite.rng import generator
from suite.schedules import Schedule, as_schedule

BACKENDS = ("auto", "torch", "numba", "triton")


@dataclass(frozen=True)
class GridLevels:
    """The geometry of a multiresolution grid over [0, 1]^3.

    Attributes:
        cells: Cells along an axis of each level; a level has (cells + 1)^3 vertices.
        rows: Rows of the table that each level owns: one a vertex, or fewer (then a power of two).
    """

    cells: tuple[int, ...]
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        for cells, rows in zip(self.cells, self.rows, strict=True):
            if cells < 1 or rows > (cells + 1) ** 3 or (rows < (cells + 1) ** 3 and rows & (rows - 1)):
                raise ValueError(
                    f"GridLevels needs cells >= 1 and rows = (cells + 1)^3 or a smaller power of two, "
                    f"got cells={cells}, rows={rows}."
                )

    @staticmethod
    def geometric(levels: int, base: int, finest: int, log2_table: int) -> "GridLevels":
        """Levels from `base` to `finest` cells in equal ratios, of at most 2^log2_table rows each."""
        growth = (finest / base) ** (1 / max(levels - 1, 1))
        cells = tuple(math.floor(base * growth**level + 1e-6) for level in range(levels))
        return GridLevels(cells, tuple(min((n + 1) ** 3, 2**log2_table) for n in cells))

    @staticmethod
    def dense(*vertices: int) -> "GridLevels":
        """Levels of vertices^3 vertices, none hashed."""
        return GridLevels(tuple(n - 1 for n in vertices), tuple(n**3 for n in vertices))

    @property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level, and the number of all rows at the end."""
        return tuple(sum(self.rows[:level]) for level in range(len(self.rows) + 1))


def interpolate(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "rows f"], levels: GridLevels, backend: str = "auto"
) -> Float[Tensor, "n c"]:
    """Each level's rows of `table`, interpolated trilinearly at `points`; the levels one after the other.

    Args:
        points: Places in [0, 1]^3; what lies outside is moved to the border.
        backend: "torch", "numba" (CPU), "triton" (CUDA), or "auto", the fastest that is installed.
    """
    points = points.clamp(0, 1)
    chosen = _choose_backend(backend, points)
    if chosen == "numba":
        from nerf.encodings_numba import interpolate as kernel

        return kernel(points, table, levels.cells, levels.offsets)
    if chosen == "triton":
        from nerf.encodings_triton import interpolate as kernel

        return kernel(points, table, levels.cells, levels.offsets)
    return interpolate_torch(points, table, levels)


def interpolate_torch(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "rows f"], levels: GridLevels
) -> Float[Tensor, "n c"]:
    """`interpolate` in plain torch: the reference, on any device, differentiable to any order."""
    features = []
    for cells, rows, first in zip(levels.cells, levels.rows, levels.offsets, strict=False):
        scaled = points * cells
        corner = scaled.detach().floor().clamp(0, cells - 1)
        x, y, z = (scaled - corner).unbind(-1)
        total = points.new_zeros(len(points), table.shape[1])
        for c in range(8):
            i, j, k = c & 1, c >> 1 & 1, c >> 2
            weight = (x if i else 1 - x) * (y if j else 1 - y) * (z if k else 1 - z)
            a, b, d = (corner.long() + corner.new_tensor([i, j, k]).long()).unbind(-1)
            row = a + (cells + 1) * (b + (cells + 1) * d)
            if rows < (cells + 1) ** 3:
                row = (a ^ (b * 2654435761) ^ (d * 805459861)) & (rows - 1)
            total = total + weight[:, None] * table.index_select(0, first + row)
        features.append(total)
    return torch.cat(features, dim=-1)


def _choose_backend(backend: str, points: Tensor) -> str:
    if backend not in BACKENDS:
        raise ValueError(f"'{backend}' is not a backend of a grid encoding: one of {', '.join(BACKENDS)}.")
    if backend == "auto":
        name = "numba" if points.device.type == "cpu" else "triton" if points.is_cuda else "torch"
        installed = name != "torch" and importlib.util.find_spec(name) is not None
        # Triton's kernel has no derivative in the points; torch's twin has.
        return name if installed and not (name == "triton" and points.requires_grad) else "torch"
    if backend == "numba" and points.device.type != "cpu":
        raise ValueError(f"backend 'numba' runs on a CPU, the points are on {points.device}: use 'auto'.")
    return backend


class HashGrid(nn.Module):
    """Instant-NGP's multiresolution hash encoding of places in [0, 1]^3.

    Args:
        levels, features: Levels, and numbers that each adds to the features.
        log2_table: Levels of more than 2^log2_table vertices share rows by hashing.
        base, finest: Cells along an axis of the first and the last level.
        active_levels: How many levels speak, as a schedule over progress, for training from coarse to fine;
            a level fades in linearly. None: all of them, always.
        backend: See `interpolate`.
        seed: Of the initial table, uniform in [-1e-4, 1e-4].
    """

    def __init__(
        self,
        *,
        levels: int = 8,
        features: int = 2,
        log2_table: int = 15,
        base: int = 16,
        finest: int = 256,
        active_levels: float | int | list | Schedule | None = None,
        backend: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if levels < 1 or features < 1 or not 1 <= log2_table <= 24 or not 1 <= base <= finest:
            raise ValueError(
                "HashGrid needs levels, features >= 1, 1 <= log2_table <= 24 and 1 <= base <= finest, got "
                f"{levels=}, {features=}, {log2_table=}, {base=}, {finest=}."
            )
        self.grid = GridLevels.geometric(levels, base, finest, log2_table)
        self.features, self.size, self.backend = features, levels * features, backend
        self.active_levels = None if active_levels is None else as_schedule(active_levels)
        self.active = float(levels)
        initial = torch.rand(self.grid.offsets[-1], features, generator=generator(seed, 0, "hash grid"))
        self.table = nn.Parameter((2 * initial - 1) * 1e-4)

    def set_progress(self, progress: float) -> None:
        """Switch on the levels that are due at `progress`."""
        if self.active_levels is not None:
            self.active = self.active_levels(progress)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
        encoded = interpolate(points, self.table, self.grid, self.backend)
        if self.active >= len(self.grid.cells):
            return encoded
        level = torch.arange(len(self.grid.cells), device=points.device, dtype=encoded.dtype)
        return encoded * (self.active - level).clamp(0, 1).repeat_interleave(self.features)


class FrequencyEncoding(nn.Module):
    """[x, sin(2^k pi x), cos(2^k pi x) for k < octaves] (NeRF, 2020, arXiv:2003.08934, Eq. 4)."""

    def __init__(self, *, octaves: int = 6) -> None:
        super().__init__()
        if octaves < 0:
            raise ValueError(f"FrequencyEncoding needs octaves >= 0, got {octaves}.")
        self.octaves, self.size = octaves, 3 + 6 * octaves

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
        scale = math.pi * 2.0 ** torch.arange(self.octaves, device=points.device, dtype=points.dtype)
        phase = (points[:, None, :] * scale[:, None]).flatten(1)
        return torch.cat([points, phase.sin(), phase.cos()], dim=-1)


def spherical_harmonics(directions: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 9"]:
    """The real spherical harmonics of bands 0, 1, 2 at unit vectors, orthonormal on the sphere."""
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ],
        dim=-1,
    )
