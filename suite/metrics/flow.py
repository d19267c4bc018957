"""Optical flow: where each pixel of a frame is in the next one, in pixels, x to the right and y down.

Estimated flow is TV-L1 (Zach, Pock and Bischof 2007; scikit-image's), which needs no weights. VBench uses RAFT: numbers
made with the embedded one can be compared with each other, not with published ones.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suite.types import Images

Flow = Callable[[Images, Images], Float[Tensor, "b 2 h w"]]  # of frames, and the frames that follow them


def tvl1_flow(frames: Images, following: Images, longest: int = 160) -> Float[Tensor, "b 2 h w"]:
    """TV-L1 flow of grey values. Larger frames are shrunk to `longest` first, and their flow enlarged."""
    from skimage.registration import optical_flow_tvl1

    h, w = frames.shape[-2:]
    scale = min(1.0, longest / max(h, w))
    small = (max(8, round(h * scale)), max(8, round(w * scale)))
    grey = [_grey(_resized(images, small)) for images in (frames, following)]
    flows = [
        np.stack(optical_flow_tvl1(a, b, attachment=25, num_warp=4, num_iter=8, dtype=np.float32)[::-1])
        for a, b in zip(*grey)
    ]
    flow = torch.from_numpy(np.stack(flows))
    if small == (h, w):
        return flow
    flow = torch.nn.functional.interpolate(flow, (h, w), mode="bilinear", align_corners=False)
    return flow * torch.tensor([w / small[1], h / small[0]])[:, None, None]


def _resized(images: Images, size: tuple[int, int]) -> Float[Tensor, "b 3 y x"]:
    if tuple(images.shape[-2:]) == size:
        return images
    return torch.nn.functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def _grey(images: Images) -> np.ndarray:
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images.float().cpu() * weights).sum(1).numpy()


def warped(following: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b c h w"]:
    """The following frame, looked up where the flow points: the frame itself, where the flow is right. Bilinear."""
    h, w = flow.shape[-2:]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    places = torch.stack([x, y]).to(flow) + flow + 0.5
    grid = 2 * places.movedim(1, -1) / torch.tensor([w, h], dtype=flow.dtype) - 1
    return torch.nn.functional.grid_sample(
        following.to(flow.dtype), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def consistent(
    forward: Float[Tensor, "b 2 h w"], backward: Float[Tensor, "b 2 h w"]
) -> Bool[Tensor, "b h w"]:
    """Whether a pixel, followed there and back, returns:

        |f(p) + b(p + f(p))|^2 < 0.01 (|f(p)|^2 + |b(p + f(p))|^2) + 0.5       (Sundaram, Brox and Keutzer 2010)

    and stays in the picture. What does not is hidden in one of the frames.
    """
    h, w = forward.shape[-2:]
    back = warped(backward, forward)
    apart = (forward + back).square().sum(1)
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    to_x, to_y = x + forward[:, 0], y + forward[:, 1]
    inside = (to_x >= 0) & (to_x <= w - 1) & (to_y >= 0) & (to_y <= h - 1)
    return inside & (apart < 0.01 * (forward.square().sum(1) + back.square().sum(1)) + 0.5)


def strength(flow: Float[Tensor, "b 2 h w"], share: float = 0.05) -> Float[Tensor, " b"]:
    """The mean length, in pixels, of the longest 5 % of the flow's vectors (VBench's measure of motion)."""
    lengths = flow.square().sum(1).sqrt().flatten(1)
    return lengths.topk(max(1, math.ceil(share * lengths.shape[1])), dim=1).values.mean(1)
