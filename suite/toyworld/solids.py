"""Pictures of toyworld's things and what fills the frustums of their cameras, to learn shapes from pictures.

Procedural things are closed surfaces, whose inside is exact. Real ones often are not: what their surfaces pass through
and enclose counts, on a grid of their own.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8

from suite.geometry.cameras import Cameras
from suite.geometry.frustum_occupancy import FULL, frustum_occupancy
from suite.geometry.frustum_volumes import lay
from suite.toyworld.occupancy import occupancy
from suite.toyworld.view_pairs import (
    FOV_DEG,
    Thing,
    ViewPairs,
    Viewpoints,
    cameras_of,
    random_viewpoints,
    seen_from,
    still_light,
)

OWN_GRID = 48  # voxels a side in which real objects are filled


@dataclass(frozen=True)
class Solid:
    """Where one picture was taken from, and how many of FULL points fill each voxel of its camera's frustum."""

    viewpoints: Viewpoints
    filled: UInt8[np.ndarray, "layers rows columns"]


@dataclass(frozen=True)
class SolidBatch:
    """`b` pictures `b h w 3` float32 RGB in [0, 1], and what fills their frustums."""

    images: np.ndarray
    labels: tuple[Solid, ...]


class Solids:
    """Endless pictures of things, any batch of which follows from a seed and a number.

    Args:
        pairs: Which things, at which size; their views do not matter here.
        side: Layers, rows and columns of frustums.
    """

    def __init__(self, pairs: ViewPairs, *, side: int = 32) -> None:
        self.pairs, self.side = pairs, side
        self.grids = {
            thing.name: torch.from_numpy(occupancy(thing.surface, OWN_GRID)) for thing in pairs.real
        }

    def batch(self, count: int, seed: int, number: int) -> SolidBatch:
        """The batch of this number: `count` things."""
        random = np.random.default_rng([seed, number])
        images, labels = zip(*[self._solid(random) for _ in range(count)])
        return SolidBatch(np.stack(images), labels)

    def _solid(self, random: np.random.Generator) -> tuple[np.ndarray, Solid]:
        thing = self.pairs.thing(random)
        viewpoints = random_viewpoints(thing.name, 1, random)
        viewpoints = replace(viewpoints, plane_deg=thing.plane_deg)
        image = seen_from(thing.surface, viewpoints, still_light(random), size=self.pairs.size)[0]
        return image, Solid(viewpoints, self.filled(thing, cameras_of([viewpoints], self.pairs.size)))

    def filled(self, thing: Thing, camera: Cameras) -> UInt8[np.ndarray, "layers rows columns"]:
        """How many of FULL points of each voxel the thing fills."""
        if thing.shape not in self.grids:
            pose, distance = camera.camera_from_world[0].numpy(), float(camera.distance)
            surface = thing.surface
            return frustum_occupancy(surface.vertices, surface.faces, pose, FOV_DEG, distance, side=self.side)
        grid, scale = self.grids[thing.shape][None, None], torch.tensor([[thing.scale]], dtype=torch.float32)
        found = lay(grid, camera.azimuth_deg[:, None], scale, camera, self.side, self.side)
        return (FULL * found[0, 0]).round().byte().numpy()
