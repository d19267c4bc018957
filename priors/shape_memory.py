"""What a picture reminds of: shapes of training objects, recognised and laid into the frustum of its camera.

    h = CNN(picture, camera)      p(shape) = softmax(W h)      p(azimuth | shape) = softmax(V (h * e_shape))
    p(plane of symmetry) = softmax(U h)
    weight of a hypothesis        p(shape) p(azimuth | shape) exp(-SURE (1 - IoU of its outline and the picture's)
                                                                  -STIFF log^2 of how much it is stretched)
    recalled(x)                   sum over hypotheses of their weight times the occupancy at x of the shape, turned
                                  and stretched

A memory of shapes beside the network that completes what a picture shows (Mem3D, Yang et al. 2021, arXiv:2104.00858);
here a shape is turned as the picture asks before it is laid beside it. A plane of symmetry is found of what is like no
shape, too (`priors.symmetry`). Trained by `suite train_shape_memory`.
"""

import lzma
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from priors.symmetry import Planes, thing
from priors.view_condition import own_pose
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import frustum_points, lay, shape_points
from suite.types import Images

LEVELS = 4  # occupancies are kept to within half of one in so many
LIKELIEST = 5  # shapes, and azimuths of each, whose outlines are compared
KEPT = 4  # hypotheses of which a memory is the mean
SURE = 30.0
STIFF = 30.0  # times the squared logarithm of a stretch
STRETCH = 0.6  # three and six times less is tried along each axis
OUTLINE = 32  # outlines are compared at this size, of half as many layers
FILLED = 0.25  # a voxel of which more is filled is seen in an outline


@dataclass(frozen=True)
class Recalled:
    """What pictures remind of.

    Args:
        occupancy: Of the voxels of their frustums, in [0, 1]; layers from near to far, rows downwards.
        differs: 1 - IoU of its outline and the picture's.
        planes: Of symmetry; unknown until somebody compares them.
    """

    occupancy: Float[Tensor, "b layers rows columns"]
    differs: Float[Tensor, " b"]
    planes: Planes

    def to(self, device: torch.device) -> "Recalled":
        """On another device."""
        return Recalled(self.occupancy.to(device), self.differs.to(device), self.planes.to(device))

    def mirrored(self) -> "Recalled":
        """What the pictures' mirror images remind of."""
        return Recalled(self.occupancy.flip(-1), self.differs, self.planes.mirrored())


@dataclass(frozen=True)
class Hypotheses:
    """What each picture may show: `k` shapes, the azimuths they may be seen from, and how likely each is.

    Args:
        stretches: How much longer each is along its own axes than its shape.
        outlines: 1 - IoU of each outline and the picture's.
    """

    shapes: Int[Tensor, "b k"]
    azimuths: Float[Tensor, "b k"]
    stretches: Float[Tensor, "b k 3"]
    weights: Float[Tensor, "b k"]
    outlines: Float[Tensor, "b k"]

    def best(self) -> "Hypotheses":
        """The likeliest of each picture: `k` is 1."""
        rows, first = torch.arange(len(self.weights))[:, None], self.weights.argmax(1, keepdim=True)
        parts = (self.shapes, self.azimuths, self.stretches, self.weights, self.outlines)
        return Hypotheses(*(part[rows, first] for part in parts))


class ShapeMemory(ModelMixin, ConfigMixin):
    """Shapes, and the network that finds which of them a picture shows, and from where.

    Args:
        shapes: What they are called.
        stored: Bytes of their grids, compressed.
        grid: Voxels a side of the cube about the origin that has the longest side of objects.
        bins: Azimuths that are told apart, and planes of symmetry.
        size: Height and width of pictures in pixels.
        widths: Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution.
        cell: Channels of the coarsest level where its cells are told apart.
        hidden: Numbers that a picture becomes.
    """

    @register_to_config
    def __init__(
        self,
        shapes: Sequence[str] = (),
        stored: int = 0,
        grid: int = 48,
        bins: int = 36,
        size: int = 64,
        widths: Sequence[int] = (24, 48, 80, 112),
        cell: int = 16,
        hidden: int = 192,
    ) -> None:
        super().__init__()
        self.register_buffer("packed", torch.zeros(stored, dtype=torch.uint8))
        self.register_buffer("grids", None, persistent=False)
        self.register_buffer("filled", None, persistent=False)
        self.stem = normed(3, widths[0], 5, stride=2)
        self.levels = nn.ModuleList(
            nn.ModuleList([normed(a, b, stride=2), normed(b, b), normed(b, b)])
            for a, b in zip(widths, widths[1:])
        )
        self.narrow = nn.Conv2d(widths[-1], cell, 1)
        cells = (size // 2 ** len(widths)) ** 2
        self.looks = nn.Linear(cell * cells + widths[-1], hidden)
        self.camera = nn.Linear(3, hidden)
        self.both = nn.Linear(hidden, hidden)
        self.shape = nn.Linear(hidden, len(shapes))
        self.turned = nn.Embedding(len(shapes), hidden)
        self.azimuth = nn.Linear(hidden, bins)
        self.plane = nn.Linear(hidden, bins)
        nn.init.ones_(self.turned.weight)

    def features(self, images: Images, reference: Cameras) -> Float[Tensor, "b n"]:
        """What a picture and its camera's elevation and distance become before the shape is named."""
        x = F.relu(self.stem((4 * images - 2).contiguous(memory_format=torch.channels_last)))
        for down, first, second in self.levels:
            x = F.relu(down(x))
            x = F.relu(x + second(F.relu(first(x))))
        looks = self.looks(torch.cat([self.narrow(x).flatten(1), x.mean((2, 3))], dim=1))
        return F.relu(self.both(F.relu(looks) + self.camera(own_pose(reference).to(x.dtype))))

    def azimuths(self, features: Float[Tensor, "b n"], shapes: Int[Tensor, " b"]) -> Float[Tensor, "b a"]:
        """Logits of the azimuth that each picture was taken from, if this is the shape it shows."""
        return self.azimuth(features * self.turned(shapes))

    @torch.no_grad()
    def planes(self, images: Images, reference: Cameras) -> Float[Tensor, "b a"]:
        """Chances of vertical planes of symmetry of what the pictures show: of azimuths from 0 to 180 degrees, relative
        to the cameras'. Geometric means of those of the pictures and of their mirror images."""
        here, there = (
            self.plane(self.features(x.to(self.dtype), reference)).float().log_softmax(1)
            for x in (images, images.flip(-1))
        )
        mirrored = -torch.arange(self.config.bins, device=there.device) % self.config.bins
        return ((here + there[:, mirrored]) / 2).softmax(1)

    @torch.no_grad()
    def recall(
        self,
        images: Images,
        reference: Cameras,
        layers: int,
        side: int,
        *,
        without: Int[Tensor, " b"] | None = None,
    ) -> Recalled:
        """What the pictures remind of, the mean over hypotheses.

        Args:
            images: RGB in [0, 1] on white, of the configured size.
            reference: The cameras that took them; their azimuths are not read.
            layers: As `frustum_volumes` has them, of `side` rows and columns.
            without: A shape for each picture that it may not remind of; negative for none.
        """
        found = self.hypotheses(images, reference, without=without)
        laid = self.laid(found.shapes, found.azimuths, found.stretches, reference, layers, side)
        occupancy = torch.einsum("bk,bkdij->bdij", found.weights, laid)
        differs = (found.weights * found.outlines).sum(1)
        return Recalled(occupancy, differs, Planes.unknown(len(images), images.device))

    @torch.no_grad()
    def hypotheses(
        self, images: Images, reference: Cameras, *, without: Int[Tensor, " b"] | None = None
    ) -> Hypotheses:
        """The likeliest, turned until their outlines fit best; the options are those of `recall`."""
        features = self.features(images.to(self.dtype), reference)
        named = self.shape(features).float().log_softmax(1)
        if without is not None:
            forbidden = F.one_hot(without.clamp_min(0), named.shape[1]).bool() & (without >= 0)[:, None]
            named = named.masked_fill(forbidden, -torch.inf)
        count, bin_deg = min(LIKELIEST, named.shape[1]), 360 / self.config.bins
        named, shapes = named.topk(count)
        turned = self.azimuths(features.repeat_interleave(count, 0), shapes.flatten()).float().log_softmax(1)
        turned, bins = turned.topk(LIKELIEST)
        scores = (named[..., None] + turned.unflatten(0, (-1, count))).flatten(1)
        shapes = shapes[..., None].expand(-1, -1, LIKELIEST).flatten(1)
        azimuths = (bins * bin_deg).float().unflatten(0, (-1, count)).flatten(1)
        stretches = torch.ones((*shapes.shape, 3), device=shapes.device)
        mask = F.adaptive_avg_pool2d(thing(images), OUTLINE)
        outlines = self.compared(shapes, azimuths, stretches, reference, mask)
        kept = (scores - SURE * outlines).topk(min(KEPT, scores.shape[1])).indices
        shapes, azimuths, scores = (x.gather(1, kept) for x in (shapes, azimuths, scores))
        fits = Fits(self, shapes, reference, mask)
        azimuths, stretches = fits.climb(azimuths, stretches[:, : kept.shape[1]], bin_deg)
        outlines = self.compared(shapes, azimuths, stretches, reference, mask)
        scores = scores - SURE * outlines - STIFF * stretches.log().square().sum(2)
        return Hypotheses(shapes, azimuths, stretches, scores.softmax(1), outlines)

    def compared(
        self,
        shapes: Int[Tensor, "b k"],
        azimuths: Float[Tensor, "b k"],
        stretches: Float[Tensor, "b k 3"],
        reference: Cameras,
        mask: Float[Tensor, "b i j"],
    ) -> Float[Tensor, "b k"]:
        """1 - IoU of the outlines of turned and stretched shapes and of pictures."""
        if mask.device.type == "cpu":
            from priors.shape_memory_numba import outlines_numba as outlines
        else:
            outlines = outlines_torch
        points = frustum_points(reference, OUTLINE // 2, OUTLINE).flatten(2, 3)
        self.unpacked()
        found = (
            outlines(self.filled, shapes, azimuths, stretches, points)
            .float()
            .unflatten(2, (OUTLINE, OUTLINE))
        )
        shared = (found * mask[:, None]).sum((2, 3))
        joint = found.sum((2, 3)) + mask.sum((1, 2))[:, None] - shared
        return 1 - shared / joint.clamp_min(1)

    def laid(
        self,
        shapes: Int[Tensor, "b k"],
        azimuths: Float[Tensor, "b k"],
        stretches: Float[Tensor, "b k 3"],
        reference: Cameras,
        layers: int,
        side: int,
    ) -> Float[Tensor, "b k layers side side"]:
        """Occupancies of turned and stretched shapes in frustums, trilinear between voxels."""
        grids = self.unpacked()[shapes].float() / LEVELS
        return lay(grids, azimuths, stretches, reference, layers, side)

    def unpacked(self) -> UInt8[Tensor, "n x y z"]:
        """How much of each voxel is filled, of LEVELS."""
        if self.grids is None:
            side = self.config.grid
            levels = np.frombuffer(lzma.decompress(self.packed.cpu().numpy().tobytes()), np.uint8)
            self.grids = torch.from_numpy(levels.reshape(-1, side, side, side).copy()).to(self.packed.device)
            self.filled = self.grids > FILLED * LEVELS
        return self.grids


@dataclass(frozen=True)
class Fits:
    """What is compared while hypotheses are turned and stretched until their outlines fit."""

    memory: ShapeMemory
    shapes: Int[Tensor, "b k"]
    reference: Cameras
    mask: Float[Tensor, "b i j"]

    def climb(
        self, azimuths: Float[Tensor, "b k"], stretches: Float[Tensor, "b k 3"], bin_deg: float
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k 3"]]:
        """Azimuths and stretches, each changed either way in turn where that costs less, twice as finely again."""
        least = self.cost(azimuths, stretches)
        for part in (3, 6):
            more, turn = 1 + STRETCH / part, bin_deg / part
            changes = [(sign * turn, torch.ones(3)) for sign in (1, -1)]
            changes += [(0.0, axis) for scale in (more, 1 / more) for axis in 1 + (scale - 1) * torch.eye(3)]
            for turned, stretched in changes:
                there = azimuths + turned, stretches * stretched.to(stretches.device)
                cost = self.cost(*there)
                better = cost < least
                azimuths = torch.where(better, there[0], azimuths)
                stretches = torch.where(better[..., None], there[1], stretches)
                least = torch.where(better, cost, least)
        return azimuths, stretches

    def cost(self, azimuths: Float[Tensor, "b k"], stretches: Float[Tensor, "b k 3"]) -> Float[Tensor, "b k"]:
        """What a hypothesis loses of its score."""
        outlines = self.memory.compared(self.shapes, azimuths, stretches, self.reference, self.mask)
        return SURE * outlines + STIFF * stretches.log().square().sum(2)


def pack(grids: Float[np.ndarray, "n x y z"]) -> np.ndarray:
    """Occupancies in [0, 1] as compressed bytes."""
    levels = (grids * LEVELS).round().astype(np.uint8)
    return np.frombuffer(lzma.compress(levels.tobytes(), preset=9 | lzma.PRESET_EXTREME), np.uint8).copy()


def outlines_torch(
    filled: Bool[Tensor, "n x y z"],
    shapes: Int[Tensor, "b k"],
    azimuths: Float[Tensor, "b k"],
    stretches: Float[Tensor, "b k 3"],
    points: Float[Tensor, "b layers p 3"],
) -> Bool[Tensor, "b k p"]:
    """Which columns of points meet shapes that are turned by azimuths and stretched."""
    side, layers = filled.shape[1], points.shape[1]
    place = torch.stack(shape_points(points.flatten(1, 2), azimuths, stretches), dim=-1)
    place = (place * side + 0.5 * side).floor().long()
    inside = ((place >= 0) & (place < side)).all(-1)
    x, y, z = place.clamp(0, side - 1).unbind(-1)
    return (filled[shapes[..., None], x, y, z] & inside).unflatten(2, (layers, -1)).any(2)


def normed(inputs: int, outputs: int, side: int = 3, *, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)
    )
