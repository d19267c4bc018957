"""Frechet distances between sets of videos (FVD: Unterthiner et al. 2018).

    d^2 = |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))       of Gaussians with the features' means and covariances

Published FVD takes features of I3D, whose weights are not embedded. The embedded extractor is a small 3D network with
random weights of a fixed seed: its distances rank sets of videos against the same reference, and CANNOT BE COMPARED
with published numbers. Pass another extractor for those. Few videos give a biased distance, too large.
"""

import logging
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suite.types import Frames

log = logging.getLogger(__name__)
VideoFeatures = Callable[[Frames], Float[Tensor, "b n"]]


class RandomVideoFeatures(nn.Module):
    """64 features of a video out of three random 3D convolutions: of pictures, of motion, of both. NOT COMPARABLE.

    Args:
        seed: Of the weights.
        size: Pixels to which frames are brought.
    """

    def __init__(self, *, seed: int = 0, size: int = 32) -> None:
        super().__init__()
        self.size = size
        widths = (3, 16, 32, 32)
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=(1 if k == 0 else 2, 2, 2), padding=1, bias=False)
            for k, (a, b) in enumerate(zip(widths, widths[1:]))
        )
        for layer in self.layers:
            weight = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.data = weight / weight[0].numel() ** 0.5 * 1.5
        self.requires_grad_(False)

    def forward(self, frames: Frames) -> Float[Tensor, "b n"]:
        """Means and deviations over space and time of the last layer's channels."""
        b, f = frames.shape[:2]
        x = torch.nn.functional.interpolate(
            frames.flatten(0, 1).float(), (self.size, self.size), mode="bilinear", antialias=True
        )
        x = x.unflatten(0, (b, f)).movedim(2, 1) * 2 - 1
        for layer in self.layers:
            x = torch.nn.functional.leaky_relu(layer(x), 0.2)
        return torch.cat([x.mean((2, 3, 4)), x.std((2, 3, 4), correction=0)], 1)


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """The squared Frechet distance of Gaussians fitted to two sets of features.

    Raises:
        ValueError: A set of fewer than two, or features of different length.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"The two sets have features of {a.shape[1]} and {b.shape[1]} numbers: use one extractor."
        )
    if min(len(a), len(b)) < 2:
        raise ValueError(
            f"A Frechet distance needs at least 2 videos on each side, got {len(a)} and {len(b)}."
        )
    a, b = a.double(), b.double()
    s_a, s_b = (torch.atleast_2d(torch.cov(x.T)) for x in (a, b))
    values, vectors = torch.linalg.eigh(s_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    # the eigenvalues of S_a S_b are those of the symmetric root(S_a) S_b root(S_a)
    cross = torch.linalg.eigvalsh(root @ s_b @ root).clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + s_a.trace() + s_b.trace() - 2 * cross
    return float(distance.clamp_min(0))


def frechet_video_distance(
    videos: Frames, reference: Frames, extractor: VideoFeatures | None = None, *, at_once: int = 16
) -> float:
    """FVD of two sets of videos; without an extractor, with random features (see the module).

    Args:
        extractor: Frames to features.
        at_once: Videos whose features are computed together.
    """
    if extractor is None:
        log.warning("Frechet distance of random features: not comparable with published FVD.")
        extractor = RandomVideoFeatures()
    features = [torch.cat([extractor(part) for part in x.split(at_once)]) for x in (videos, reference)]
    return frechet_distance(*features)
