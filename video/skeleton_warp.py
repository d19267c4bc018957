"""A still warped by its skeleton: what pose-guided animation is compared with, as it needs no network.

Backwards: each pixel of a frame that is near the body comes from the still, from the mean of where its bones say.

    a bone      carries the plane along by the similarity that takes its ends in the frame to those in the still
    weight      1 / (1 + distance to the bone in pixels)^4
    the body    what is nearer than `REACH` to a bone; where it was, the colour of the picture's border is left
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from suite.geometry.skeletons import BONES, Poses

REACH = 0.11  # of the body's extent: about half a torso's width


def warped_by_skeleton(still: Float[Tensor, "1 3 h w"], own: Poses, poses: Poses) -> Float[Tensor, "f 3 h w"]:
    """The still's person in other poses, one picture a frame.

    Args:
        still: One picture.
        own: Its pose, in its pixels; the first frame counts.
        poses: Those that are wanted, in the same pixels.
    """
    h, w = still.shape[-2:]
    pixels, before = pixels_of(h, w), bones_of(own[:1])[0]
    reach = REACH * float(extent(own[:1]))
    body = (distances(pixels, before).amin(-1) < reach).float()[None, None]
    edges = torch.cat([still[..., 0, :], still[..., -1, :], still[..., :, 0], still[..., :, -1]], -1)
    behind = torch.lerp(still, edges.median(-1).values[..., None, None].expand_as(still), body)
    frames = []
    for bones in bones_of(poses):
        distance = distances(pixels, bones)
        weight = (1 + distance) ** -4
        source = (weight * _carried(pixels, bones, before)).sum(-1) / weight.sum(-1)
        grid = torch.stack([source.real / w, source.imag / h], -1)[None] * 2 - 1
        person = F.grid_sample(torch.cat([still, body], 1), grid, align_corners=False)
        shown = person[:, 3:] * (distance.amin(-1) < reach)
        frames.append(torch.lerp(behind, person[:, :3], shown))
    return torch.cat(frames)


def pixels_of(height: int, width: int) -> Complex[Tensor, "h w"]:
    """The middles of a picture's pixels as complex numbers, x + iy."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.complex(x, y)


def extent(poses: Poses) -> Float[Tensor, " f"]:
    """The longer side of the box about the joints that are there, in each frame; 0 about none."""
    there = (poses.confidence > 0)[..., None]
    low, high = (
        torch.where(there, poses.points, sign * torch.inf).aminmax(dim=1)[which]
        for sign, which in ((1, 0), (-1, 1))
    )
    return (high - low).amax(-1).clamp_min(0)


def bones_of(poses: Poses) -> Complex[Tensor, "f k 2"]:
    """Both ends of each bone, as complex numbers."""
    ends = [torch.stack([poses.joint(a)[0], poses.joint(b)[0]], 1) for a, b in BONES]
    return torch.view_as_complex(torch.stack(ends, 1).float().contiguous())


def distances(pixels: Complex[Tensor, "h w"], bones: Complex[Tensor, "*f k 2"]) -> Float[Tensor, "*f h w k"]:
    """How far each pixel is from each bone."""
    bones = bones[..., None, None, :, :]
    a, along = bones[..., 0], bones[..., 1] - bones[..., 0]
    away = pixels[..., None] - a
    part = (away * along.conj()).real / along.abs().square().clamp_min(1e-6)
    return (away - part.clamp(0, 1) * along).abs()


def _carried(
    pixels: Complex[Tensor, "h w"], bones: Complex[Tensor, "k 2"], before: Complex[Tensor, "k 2"]
) -> Complex[Tensor, "h w k"]:
    """Where each bone takes each pixel: z -> a + (z - p) (b - a) / (q - p)."""
    (p, q), (a, b) = bones.unbind(1), before.unbind(1)
    along = torch.where(
        (q - p).abs() < 0.5, torch.ones_like(q), q - p
    )  # too short to say a direction: a shift
    turn = torch.where((q - p).abs() < 0.5, torch.ones_like(q), (b - a) / along)
    return a + (pixels[..., None] - p) * turn
