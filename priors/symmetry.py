"""What a plane of symmetry tells of a thing: its picture in a mirror is what a mirrored camera would take of it.

    x' = S(x)        S: the reflection in a vertical plane through the origin, by its azimuth
    mirrored(x)      the picture at the pixel where x' is seen: white where x cannot be filled, and, on the surface,
                     what the voxel's own pixel shows, but for light and what hides it

So one picture and a plane are two pictures from two cameras, which a network may compare as plane-sweep stereo does
(Yao et al. 2018, arXiv:1804.02505). Depth from symmetry: Wu et al. 2020, arXiv:1911.11130.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import mirrored_places
from suite.types import Images

WHITE = 1 / 16  # what is darker than white by more is the thing
UNLIKE = 4.0  # times differences of colour


@dataclass(frozen=True)
class Planes:
    """Vertical planes of symmetry through the middle of things, by their azimuths relative to the cameras'.

    Args:
        sure: How likely each is, in [0, 1]; 0 where none is known.
    """

    azimuth_deg: Float[Tensor, " b"]
    sure: Float[Tensor, " b"]

    @classmethod
    def unknown(cls, count: int, device: torch.device) -> "Planes":
        """None of so many things."""
        return cls(*torch.zeros((2, count), device=device))

    def mirrored(self) -> "Planes":
        """Those of the pictures' mirror images."""
        return Planes(-self.azimuth_deg, self.sure)

    def to(self, device: torch.device) -> "Planes":
        """On another device."""
        return Planes(self.azimuth_deg.to(device), self.sure.to(device))


def likeliest(chances: Float[Tensor, "b a"], count: int) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """The planes about which most of the chance lies: azimuths in degrees, and the chance of three bins about each.

    Args:
        chances: Of bins from 0 to 180 degrees.
        count: How many; those behind the last peak are no peaks, and have no chance.
    """
    bins = chances.shape[1]
    before, after = chances.roll(1, 1), chances.roll(-1, 1)
    about = (before + chances + after) * ((chances >= before) & (chances >= after))
    about, best = about.topk(count, 1)
    left, here, right = (chances.gather(1, (best + k) % bins) for k in (-1, 0, 1))
    return (best + (right - left) / (left + here + right).clamp_min(1e-9)) * 180 / bins, about


@dataclass(frozen=True)
class Mirrored:
    """What pictures show at the mirror images of voxels.

    Args:
        colors: RGB; white where no plane is known.
        seen: Whether that is of the thing, layer by layer, then how unlike the voxel's own pixel it is; 0 where no
            plane is known.
        unexplained: Share of the thing's pixels none of whose voxels is seen, and how unlike the likest of them is, a
            mean over its pixels, in tenths: little where the plane is right.
        sure: How likely the planes are.
    """

    colors: Float[Tensor, "b 3 layers rows columns"]
    seen: Float[Tensor, "b seen rows columns"]
    unexplained: Float[Tensor, "b 2"]
    sure: Float[Tensor, " b"]


def thing(images: Float[Tensor, "b 3 *pixels"]) -> Float[Tensor, "b *pixels"]:
    """How much of each pixel is not white."""
    return ((1 - images.amin(1)) / WHITE).clamp(0, 1)


def mirrored(images: Images, reference: Cameras, planes: Planes, side: int) -> Mirrored:
    """What pictures show at the mirror images of the voxels of frustums.

    Args:
        images: Of `2 side` pixels a side.
        reference: The cameras that took them; their azimuths are not read.
        side: Layers, rows and columns of the frustums.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = images.float()
        places = mirrored_places(reference, planes.azimuth_deg, side, side).flatten(1, 2)
        found = F.grid_sample(images, places, align_corners=False, padding_mode="border")
        known = (planes.sure > 0)[:, None, None, None, None]
        colors = torch.where(known, found.unflatten(2, (side, side)), 1.0)
        unlike = (colors - F.avg_pool2d(images, 2)[:, :, None]).abs().mean(1)
        full, own = thing(colors), F.avg_pool2d(thing(images)[:, None], 2)[:, 0]
        best = torch.stack([1 - full.amax(1), UNLIKE * unlike.amin(1)], dim=1) * own[:, None]
        unexplained = 10 * best.sum((2, 3)) / own.sum((1, 2)).clamp_min(1)[:, None]
        seen = torch.cat([full, UNLIKE * unlike], dim=1) * known[:, 0]
    return Mirrored(colors, seen, unexplained, planes.sure)
