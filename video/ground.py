"""The ground of a still, kept where nobody comes: for cameras that stand still.

    near     within REACH of a bone; of the still's person without a pose, the object that is found in it
    given    latents of which no pixel is near the still's person or the frame's

A network paints all of a picture anew, also where no pose asks it to. What is given stands under its own noise at every
level, as in RePaint (arXiv:2201.09865), and is the still's in the end.
"""

import logging

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.io.cutout import cut_out
from suite.io.images import LoadedImage
from suite.types import Images
from video.motion_prior import ClipLatents
from video.sampling import Known, Sampling
from video.skeleton_warp import bones_of, distances, extent, pixels_of

log = logging.getLogger(__name__)
GROUNDS = ("auto", "keep", "make")
REACH = 0.17  # of the body's extent
MARGIN = 0.05  # about an object whose pose is not known, of the picture


def is_kept(ground: str, *, shipped: bool) -> bool:
    """Whether a still's ground is kept: "auto" keeps it with the shipped animator, and leaves it to others.

    Raises:
        UserError: There is no such ground.
    """
    if ground not in GROUNDS:
        raise UserError(f"ground={ground!r} is not one of: {', '.join(GROUNDS)}.")
    return ground == "keep" or (ground == "auto" and shipped)


def near(poses: Poses, height: int, width: int) -> Bool[Tensor, "f h w"]:
    """What is near somebody, in pixels; all of a frame of which the skeleton is not whole."""
    away = distances(pixels_of(height, width), bones_of(poses)).amin(-1)
    return (away < REACH * extent(poses)[:, None, None]) | ~_whole(poses)[:, None, None]


def near_object(still: Images) -> Bool[Tensor, "1 h w"] | None:
    """What is near the object in a still `1 3 h w`; None where there is none to be found."""
    try:
        alpha = cut_out(LoadedImage(still, None), method="plain").alpha
    except UserError:
        log.info("No object is found in the still: its ground is made anew, as ground=make.")
        return None
    margin = max(1, round(MARGIN * still.shape[-2]))
    return F.max_pool2d(alpha, 2 * margin + 1, stride=1, padding=margin)[:, 0] > 0.5


def kept_ground(
    make: Sampling,
    still: Float[Tensor, "1 3 h w"],
    own: Bool[Tensor, "1 h w"],
    poses: Poses,
    noise: ClipLatents,
) -> Known:
    """What of a clip is the still's ground.

    Args:
        own: What is near the still's own person.
        poses: Of the frames, in the still's pixels.
        noise: The clip's.
    """
    busy = (near(poses, *still.shape[-2:]) | own)[:, None]
    free = F.max_pool2d(busy.float(), make.video.factor) == 0
    return Known(make.encode(still).expand_as(noise), free.to(noise.device), noise)


def _whole(poses: Poses) -> Bool[Tensor, " f"]:
    """Whether all joints of the body are there; those of the face need not be."""
    body = ("neck", "pelvis", *(f"{side}_{joint}" for side in ("left", "right") for joint in (
        "shoulder", "elbow", "wrist", "hip", "knee", "ankle")))  # fmt: skip
    return torch.stack([poses.joint(name)[1] > 0 for name in body]).all(0)
