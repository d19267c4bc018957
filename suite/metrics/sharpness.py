"""How sharp is what an object shows, beside the true object?

blur    G * (m I) / (G * m): a Gaussian mean over what is covered (mask m), so that silhouettes play no part
detail  I - blur, inside the object: what is finer than the Gaussian
level   the root of the mean square of detail over channels, pixels and views

    sharpness = level(made) / level(true)               1 as sharp as the truth, less is blurred, more is noisy
    match     = <detail made, detail true> / (|detail made| |detail true|)       1 the same detail, 0 unrelated
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suite.types import Images, Masks

WIDTH = 2.0  # standard deviation of the Gaussian, in pixels
LEAST_LEVEL = 0.002  # half a step of 8 bits: below that there is no detail to compare with


@dataclass(frozen=True)
class Sharpness:
    """How the detail of pictures compares with that of the true ones.

    Attributes:
        sharpness: Ratio of the levels.
        match: Correlation, where both show the object.
        true_level: Of the true pictures, in units of white.
    """

    sharpness: float
    match: float
    true_level: float


def compare_sharpness(
    made: Images, made_masks: Masks, true: Images, true_masks: Masks, *, width: float | int = WIDTH
) -> Sharpness | None:
    """Pictures of both from the same cameras; None where one of them shows nothing, or the truth has no detail."""
    detail, inside = detail_of(made, made_masks, width)
    true_detail, true_inside = detail_of(true, true_masks, width)
    level, true_level = (_level(*pair) for pair in ((detail, inside), (true_detail, true_inside)))
    if level is None or true_level is None or true_level < LEAST_LEVEL:
        return None
    both = (inside & true_inside).expand_as(detail)
    a, b = detail[both], true_detail[both]
    match = float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12))
    return Sharpness(level / true_level, match, true_level)


def detail_of(
    images: Images, masks: Masks, width: float | int = WIDTH
) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, "b 1 h w"]]:
    """What the blur takes away, and where it counts: at least two pixels inside the object."""
    inside = -torch.nn.functional.max_pool2d(-(masks > 0.99).float(), 5, 1, padding=2) > 0.5
    covered = inside.float()
    weight = _blurred(covered, width).clamp_min(1e-6)
    return (images - _blurred(images * covered, width) / weight) * covered, inside


def _level(detail: Float[Tensor, "b 3 h w"], inside: Bool[Tensor, "b 1 h w"]) -> float | None:
    count = int(inside.sum())
    return float((detail.double().square().sum() / (3 * count)).sqrt()) if count else None


def _blurred(images: Float[Tensor, "b c h w"], width: float | int) -> Float[Tensor, "b c h w"]:
    """A Gaussian of this standard deviation, zero outside."""
    reach = int(3 * width) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(images) / width) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    across = torch.nn.functional.conv2d(
        images, kernel[:, :, None], padding=(0, reach), groups=images.shape[1]
    )
    return torch.nn.functional.conv2d(across, kernel[..., None], padding=(reach, 0), groups=images.shape[1])
