"""What a picture tells of a thing's shape and colour: a volume in the frustum of its camera, to be seen from elsewhere.

    volume = network(picture, camera, recalled)           v = (density, colour), see `suite.geometry.frustum_volumes`
    colour = (1 - m) picture + m mirrored + change + waves       m: share of what is seen at the voxel's mirror image
    waves = sum_k a_k cos(2 pi k z) + b_k sin(2 pi k z)   z: height of a voxel; a, b: of its pixel

The network is a U-Net over the picture whose channels are the frustum's layers: what it says of a voxel, it says at
that voxel's pixel. Shapes as the camera sees them serve kinds that training did not have better than shapes in a pose
of their own (Shin et al. 2018, arXiv:1804.06032). Where a thing's plane of symmetry is known, it sees the picture a
second time, as the mirrored camera would (`priors.symmetry`). It learns what fills frustums first (`suite
train_view_solids`), then what views look like (`suite train_view_volume`), told by then what a memory of shapes
recalls, which also finds the plane.

A denoiser that is shown the volume's view from the wanted camera need not learn how things turn, only what is likely
where the picture does not tell (GeNVS, Chan et al. 2023, arXiv:2304.02602).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from priors.shape_memory import Recalled, ShapeMemory, normed
from priors.symmetry import Mirrored, Planes, likeliest, mirrored
from priors.view_condition import own_pose
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import Volumes, frustum_points
from suite.types import Images

EMPTY = -3.0  # raw density at the start
STEEP = 8.0  # times what the last layer says of density: a surface is a step of ten or so between two voxels
RELUCTANT = 2.0  # less is what is seen at mirror images mixed into colours at first
TRIED = 5  # planes of symmetry that are compared
FIRM, FILLED = 30.0, 0.35  # how steep a recalled surface is, and how much of a voxel it fills
SWIFT = 8.0  # times what the last layer says of how far the memory is trusted
ALIKE = 0.22  # where outlines differ by more, a memory is not trusted at first
CAREFUL = 3.0  # how much less or more


class Residual(nn.Module):
    """Two convolutions beside the identity, which it is at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = normed(channels, channels), normed(channels, channels)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """The same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ViewVolume(ModelMixin, ConfigMixin):
    """A U-Net from a picture, its camera and what a memory recalls to a volume of half as many voxels a side as pixels.

    Args:
        size: Height and width of pictures in pixels.
        widths: Channels at 1/2, 1/4 and so on of the resolution.
        blocks: Residual blocks at each, on the way down (but at the first) and on the way up (but at the last).
        cell: Channels of the coarsest level where all its cells are told of each other.
        mixed: Numbers that this passes through.
        waves: Frequencies of colours over height: what stripes are made of.
        shape_memory: The configuration of a `ShapeMemory`, whose shapes it is reminded of; none without.
    """

    @register_to_config
    def __init__(
        self,
        size: int = 64,
        widths: Sequence[int] = (64, 64, 96, 136),
        blocks: Sequence[int] = (1, 2, 2, 2),
        cell: int = 16,
        mixed: int = 192,
        waves: int = 8,
        shape_memory: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or size % 2 ** len(widths):
            raise ValueError(
                f"blocks are as many as widths, and size a multiple of {2 ** len(widths)}; "
                f"got {len(blocks)}, {len(widths)} and {size}."
            )
        self.grid, first = size // 2, widths[0]

        def chain(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*[Residual(width) for _ in range(count)])

        self.stem = normed(3, first, 5, stride=2)
        self.cameras = nn.ModuleList([nn.Linear(3, width) for width in widths])
        self.down = nn.ModuleList([normed(a, b, stride=2) for a, b in zip(widths, widths[1:])])
        self.inner = nn.ModuleList([chain(*level) for level in zip(widths[1:], blocks[1:])])
        cells = (size // 2 ** len(widths)) ** 2
        self.narrow, self.wide = nn.Conv2d(widths[-1], cell, 1), nn.Conv2d(cell, widths[-1], 1)
        self.mix = nn.Sequential(nn.Linear(cell * cells, mixed), nn.ReLU(), nn.Linear(mixed, cell * cells))
        self.fit = nn.Linear(mixed + 2, 1)
        self.up = nn.ModuleList([normed(b, a, 1) for a, b in zip(widths, widths[1:])])
        self.outer = nn.ModuleList([chain(*level) for level in zip(widths[:-1], blocks[:-1])])
        self.conv_out = nn.Conv2d(first, 4 * self.grid + 6 * waves, 1)
        with torch.no_grad():
            self.conv_out.weight[: self.grid] /= STEEP
            self.conv_out.bias.zero_()
            self.conv_out.bias[: self.grid] = EMPTY / STEEP
            for part in (self.conv_out.weight, self.conv_out.bias):
                part[self.grid :] = 0  # at first voxels have their pixels' colours
        self.sweep = nn.Sequential(nn.Conv2d(2 * self.grid, first, 1), nn.ReLU())
        self.swept, self.carved = nn.Conv2d(first, first, 1), nn.Conv2d(2 * self.grid, self.grid, 1)
        self.certain = nn.ModuleList([nn.Linear(1, width) for width in widths])
        self.blend = nn.Conv2d(first, self.grid, 1)
        silent = [self.swept, self.carved, self.blend, *self.certain]
        self.memory = None
        if shape_memory is not None:
            self.memory = ShapeMemory(**shape_memory)
            self.recalled = nn.Conv2d(self.grid, first, 3, padding=1)
            self.reliable = nn.ModuleList([nn.Linear(1, width) for width in widths])
            self.trust = nn.Conv2d(first, self.grid, 1)
            silent += [self.recalled, self.trust, *self.reliable]
        for part in silent:
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, images: Images, reference: Cameras, recalled: Recalled | None = None) -> Volumes:
        """Volumes of pictures.

        Args:
            images: RGB in [0, 1], of the configured size.
            reference: The cameras that took them.
            recalled: What its memory says of them, where that is known already.
        """
        if recalled is None:
            recalled = self.recall(images, reference)
        return self.told(images, reference, recalled)[0]

    def told(
        self, images: Images, reference: Cameras, recalled: Recalled | None
    ) -> tuple[Volumes, Float[Tensor, " b"]]:
        """Volumes of pictures by what is recalled of them, and `fits` of the planes of symmetry that this has."""
        planes = recalled.planes if recalled else Planes.unknown(len(images), images.device)
        there = mirrored(images, reference, planes, self.grid)
        levels, fits = self._encoded(images, reference, recalled, there)
        x = self._decoded(levels)
        last = self.conv_out
        out = F.conv2d(x, last.weight[self.grid :], last.bias[self.grid :]).float()
        change, weights = out[:, : 3 * self.grid], out[:, 3 * self.grid :].unflatten(1, (3, -1))
        share = (self.blend(x).float() - RELUCTANT).sigmoid() * (there.sure > 0)[:, None, None, None]
        colors = F.avg_pool2d(images.float(), 2)[:, :, None].lerp(there.colors, share[:, None])
        colors = colors + change.unflatten(1, (3, -1))
        colors = colors + torch.einsum("bcnij,bndi->bcdij", weights, self._waves(reference))
        density = self._density(x, there)
        if recalled is not None:
            trust = (SWIFT * self.trust(x).float() + CAREFUL * _reliable(recalled)[..., None, None]).sigmoid()
            density = density.lerp(FIRM * (recalled.occupancy - FILLED), trust)
        return torch.cat([density[:, None], colors], dim=1).permute(0, 2, 3, 4, 1).contiguous(), fits

    def densities(
        self, images: Images, reference: Cameras, planes: Planes
    ) -> tuple[Float[Tensor, "b layers rows columns"], Float[Tensor, " b"]]:
        """The volumes' raw densities alone, by what pictures and planes tell, without the memory; and `fits`."""
        there = mirrored(images, reference, planes, self.grid)
        levels, fits = self._encoded(images, reference, None, there)
        return self._density(self._decoded(levels), there), fits

    def fits(self, images: Images, reference: Cameras, planes: Planes) -> Float[Tensor, " b"]:
        """Logits of whether these are planes of symmetry of what the pictures show."""
        there = mirrored(images, reference, planes, self.grid)
        return self._encoded(images, reference, None, there)[1]

    def _density(self, x: Float[Tensor, "b c i j"], there: Mirrored) -> Float[Tensor, "b layers i j"]:
        last = self.conv_out
        density = F.conv2d(x, last.weight[: self.grid], last.bias[: self.grid])
        return STEEP * (density + self.carved(there.seen.to(x.dtype))).float()

    def _encoded(
        self, images: Images, reference: Cameras, recalled: Recalled | None, there: Mirrored
    ) -> tuple[list[Tensor], Float[Tensor, " b"]]:
        """What each level says on the way down, the finest first; and whether the planes fit."""
        dtype = images.dtype
        told = [(self.cameras, own_pose(reference)), (self.certain, there.sure[:, None])]
        x = self.stem((4 * images - 2).contiguous(memory_format=torch.channels_last))
        x = x + self.swept(self.sweep(there.seen.to(dtype)))
        if recalled is not None:
            told.append((self.reliable, _reliable(recalled)))
            x = x + self.recalled(recalled.occupancy.to(dtype))
        told = [
            sum(layer(numbers.to(dtype)) for layer, (_, numbers) in zip(layers, told))[..., None, None]
            for layers in zip(*(layers for layers, _ in told))
        ]
        x = F.relu(x + told[0])
        beside = [x]
        for down, inner, numbers in zip(self.down, self.inner, told[1:]):
            x = inner(F.relu(down(x) + numbers))
            beside.append(x)
        cells = self.narrow(x)
        mixed = self.mix[:2](cells.flatten(1))
        beside[-1] = x + self.wide(self.mix[2](mixed).view_as(cells))
        evidence = torch.cat([mixed, there.unexplained.to(mixed.dtype)], dim=1)
        return beside, self.fit(evidence)[:, 0].float()

    def _decoded(self, levels: Sequence[Tensor]) -> Float[Tensor, "b c rows columns"]:
        """The finest level on the way up."""
        x = levels[-1]
        for up, outer, other in reversed([*zip(self.up, self.outer, levels)]):
            x = F.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = outer(F.relu(x + other))
        return x

    def _waves(self, reference: Cameras) -> Float[Tensor, "b n layers rows"]:
        """Cosines, then sines, of the heights of voxels, which are alike in all columns."""
        heights = frustum_points(reference, self.grid, self.grid)[..., 0, 2]
        numbers = torch.arange(1, self.config.waves + 1, device=heights.device)
        angles = 2 * torch.pi * heights[:, None] * numbers[:, None, None]
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    @torch.no_grad()
    def recall(
        self, images: Images, reference: Cameras, *, without: Int[Tensor, " b"] | None = None
    ) -> Recalled | None:
        """What the memory says of pictures, where there is one: see `ShapeMemory.recall`; and planes of symmetry."""
        if self.memory is None:
            return None
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            recalled = self.memory.recall(images, reference, self.grid, self.grid, without=without)
            azimuths, chances = likeliest(self.memory.planes(images, reference), TRIED)
        images = images.to(self.dtype)
        half = torch.full((len(images),), 0.5, device=images.device)
        fits = [self.fits(images, reference, Planes(azimuth, half)) for azimuth in azimuths.unbind(1)]
        chances = (chances.clamp_min(1e-9).log() + torch.stack(fits, dim=1)).softmax(1)
        sure, best = chances.max(1, keepdim=True)
        return replace(recalled, planes=Planes(azimuths.gather(1, best)[:, 0], sure[:, 0]))

    def of(self, images: Images, reference: Cameras) -> Volumes:
        """Volumes of pictures of any size, in this network's precision: means of what it says of each and of its mirror
        image."""
        side = (self.config.size, self.config.size)
        if images.shape[-2:] != side:
            images = F.interpolate(images, side, mode="bilinear", antialias=True)
        images, recalled = images.to(self.dtype), self.recall(images, reference)
        there = self(images.flip(-1), reference, recalled and recalled.mirrored()).flip(3)
        return (self(images, reference, recalled) + there) / 2


def _reliable(recalled: Recalled) -> Float[Tensor, "b 1"]:
    """How well the outlines of what is recalled fit: 1 where they are the pictures', 0 where they are hardly alike."""
    return ((ALIKE - recalled.differs) / ALIKE)[:, None].float()


def reminded(volume: ViewVolume, memory: ShapeMemory) -> ViewVolume:
    """The same network with this memory, which it trusts at first where outlines are alike."""
    options = {name: value for name, value in memory.config.items() if not name.startswith("_")}
    larger = ViewVolume(**{**volume.config, "shape_memory": options})
    kept = {name: value for name, value in volume.state_dict().items() if not name.startswith("memory.")}
    larger.load_state_dict({**larger.state_dict(), **kept})
    larger.memory = memory
    return larger
