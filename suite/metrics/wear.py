"""Wear and tear: what makes a true render look like a sampled or a distilled picture, its content unchanged.

The judge trains on worn pictures, so that blur, noise, fog or a shift of colour do not decide its verdict.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.types import Frames, Images


def worn(images: Images, generator: torch.Generator, *, clean: float = 0.3) -> Images:
    """The pictures, mirrored, moved, on another background, faded, blurred and noisy, each at random.

    Args:
        clean: Share of pictures that are left as they are: the first of the batch.
    """
    kept, images = images.tensor_split([round(clean * len(images))])

    def uniform(low: float, high: float, share: float = 1.0) -> Float[Tensor, "b 1 1 1"]:
        """One number a picture from [low, high], 0 for all but this share of them."""
        draws = torch.rand((2, len(images), 1, 1, 1), generator=generator)
        return (low + (high - low) * draws[0]) * (draws[1] < share)

    x = on_gradient(images, uniform(0.0, 0.4, 0.3), _smooth(len(images), 3, generator))
    x = moved(x, uniform(-0.14, 0.18, 0.7), uniform(-0.1, 0.1), uniform(-0.1, 0.1), uniform(-1.0, 1.0).sign())
    grey = x.mean((1, 2, 3), keepdim=True)
    luma = x.mean(1, keepdim=True)
    x = luma + (x - luma) * (1 + uniform(-0.2, 0.45, 0.6))
    x = grey + (x - grey) * (1 + uniform(-0.2, 0.3, 0.6)) + uniform(-0.06, 0.06, 0.6)
    fog = 0.5 + 0.5 * _smooth(len(images), 1, generator)
    x = torch.lerp(x, grey.expand_as(x), (uniform(0.0, 0.45, 0.35) * fog).clamp(0, 1))
    x = torch.lerp(x, blurred(x), uniform(0.0, 1.0, 0.5))
    x = x + uniform(0.0, 0.08, 0.4) * torch.randn(x.shape, generator=generator)
    x = x + uniform(0.0, 0.08, 0.3) * _smooth(len(images), 3, generator)
    return torch.cat([kept, x.clamp(0, 1)])


def worn_clips(clips: Frames, generator: torch.Generator, *, clean: float = 0.3) -> Frames:
    """The clips, faded, blurred and flickering at random: what moves, and where to, stays as it is.

    Args:
        clean: Share of clips that are left as they are: the first of the batch.
    """
    kept, clips = clips.tensor_split([round(clean * len(clips))])
    b, f = clips.shape[:2]

    def uniform(low: float, high: float, share: float = 1.0, frames: int = 1) -> Float[Tensor, "b f 1 1 1"]:
        """One number a clip (or frame) from [low, high], 0 for all but this share of the clips."""
        draws = low + (high - low) * torch.rand((b, frames, 1, 1, 1), generator=generator)
        return draws * (torch.rand((b, 1, 1, 1, 1), generator=generator) < share)

    luma = clips.mean(2, keepdim=True)
    x = luma + (clips - luma) * (1 + uniform(-0.3, 0.4, 0.6))
    grey = x.mean((1, 2, 3, 4), keepdim=True)
    x = grey + (x - grey) * (1 + uniform(-0.3, 0.3, 0.6)) + uniform(-0.06, 0.06, 0.6)
    x = x + uniform(-0.04, 0.04, 0.4, frames=f)
    x = torch.lerp(x, blurred(x.flatten(0, 1)).unflatten(0, (b, f)), uniform(0.0, 1.0, 0.5))
    x = x + uniform(0.0, 0.07, 0.4) * torch.randn(x.shape, generator=generator)
    smooth = _smooth(b * f, 3, generator).unflatten(0, (b, f))[..., : x.shape[-2], : x.shape[-1]]
    return torch.cat([kept, (x + uniform(0.0, 0.06, 0.4) * smooth).clamp(0, 1)])


def unsteady_clips(clips: Frames, generator: torch.Generator) -> Frames:
    """The clips, some at an uneven pace, some with things that tremble: what moves, and where to, stays as it is."""
    b, f = clips.shape[:2]
    share = torch.rand((2, b, 1, 1, 1, 1), generator=generator) < 0.4  # of clips, for each of both
    pace = (torch.rand((b, 1), generator=generator) * 1.8 - 0.9) * share[0, :, 0, 0, 0]
    size = torch.rand((b, 1, 1, 1, 1), generator=generator) * 0.05 * share[1]
    fields = _smooth(b * f, 2, generator).unflatten(0, (b, f))
    return trembling(at_uneven_pace(clips, pace), size * fields)


def at_uneven_pace(clips: Frames, amount: Float[Tensor, "b 1"]) -> Frames:
    """Frames of the moments p + a sin(2 pi p) / (2 pi), p from 0 to 1.

    Args:
        amount: a, from -1 (slow at both ends) to 1 (slow in the middle): never backwards.
    """
    p = torch.linspace(0, 1, clips.shape[1])
    moments = p + amount * (2 * math.pi * p).sin() / (2 * math.pi)
    chosen = (moments * (clips.shape[1] - 1)).round().long()
    return clips[torch.arange(len(clips))[:, None], chosen]


def trembling(clips: Frames, by: Float[Tensor, "b f 2 y x"]) -> Frames:
    """Every place taken from beside it, right and down by parts of half a side: things change a little in shape."""
    height, width = clips.shape[-2:]
    by = F.interpolate(by.flatten(0, 1), (height, width), mode="bilinear", align_corners=False)
    still = F.affine_grid(torch.eye(2, 3)[None], [1, 3, height, width], align_corners=False)
    grid = still + by.movedim(1, -1)
    x = F.grid_sample(clips.flatten(0, 1), grid, padding_mode="border", align_corners=False)
    return x.unflatten(0, clips.shape[:2])


def blurred(images: Images) -> Images:
    """As half the resolution shows them."""
    half = F.avg_pool2d(images, 2)
    return F.interpolate(half, images.shape[-2:], mode="bilinear", align_corners=False)


def moved(
    images: Images,
    growth: Float[Tensor, "b 1 1 1"],
    right: Float[Tensor, "b 1 1 1"],
    down: Float[Tensor, "b 1 1 1"],
    mirror: Float[Tensor, "b 1 1 1"],
) -> Images:
    """Shifted by parts of half a side, scaled by 1 + growth, and mirrored where `mirror` is -1."""
    scale = 1 / (1 + growth[:, 0, 0, 0])
    rows = [scale * mirror[:, 0, 0, 0], 0 * scale, -right[:, 0, 0, 0]], [0 * scale, scale, -down[:, 0, 0, 0]]
    matrix = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def on_gradient(images: Images, amount: Float[Tensor, "b 1 1 1"], colors: Images) -> Images:
    """Plain backgrounds (the top left pixel's exact colour) with `amount` of smooth colours added."""
    background = (images == images[:, :, :1, :1]).all(1, keepdim=True)
    return torch.where(background, (images + amount * colors).clamp(0, 1), images)


def _smooth(count: int, channels: int, generator: torch.Generator) -> Float[Tensor, "b c 64 64"]:
    """Smooth random fields in [-1, 1]."""
    coarse = torch.rand((count, channels, 4, 4), generator=generator) * 2 - 1
    return F.interpolate(coarse, (64, 64), mode="bilinear", align_corners=True)
