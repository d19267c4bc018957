"""Pictures of any size into the frames of a clip: cropped, padded, stretched, or the object alone on white."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.io.cutout import cut_out, frame_of, framed
from suite.io.images import read_image
from suite.types import Images

log = logging.getLogger(__name__)
FITS = ("crop", "pad", "stretch", "cutout")
CUT = 0.6  # a still of which less is left by a crop is told about
LONG = 2.0  # a side that many times the other one is told about


def check_size(height: int | None, width: int | None, factor: int) -> None:
    """Raises:
    UserError: A size that the prior's latents do not divide.
    """
    for name, size in (("height", height), ("width", width)):
        if size is not None and (size < factor or size % factor):
            near = max(factor, round(size / factor) * factor)
            raise UserError(
                f"{name}={size} is not possible: this prior's frames are multiples of {factor} pixels, as {near}."
            )


def natural_size(height: int, width: int, shorter: int, factor: int) -> tuple[int, int]:
    """The (height, width) nearest to a picture's shape whose shorter side is given, in multiples of the factor."""
    scale = shorter / min(height, width)
    h, w = (max(1, round(side * scale / factor)) * factor for side in (height, width))
    if max(h, w) > LONG * min(h, w):
        log.warning(
            f"Frames of {w} x {h} pixels are far from the square pictures that priors learn: things may come twice. "
            f"height={shorter} width={shorter} with fit=crop or fit=pad makes them square."
        )
    return h, w


def fitted(images: Images, height: int, width: int, fit: str = "crop") -> Float[Tensor, "b 3 y x"]:
    """Scaled to height x width: the middle of it (crop), all of it with its border drawn out (pad), or distorted.

    Raises:
        UserError: No such way.
    """
    placed = placement(*images.shape[-2:], height, width, fit)
    if images.shape[-2:] == (height, width):
        return images
    inner = _scaled(images, placed.height, placed.width)
    top, left = placed.top, placed.left
    if fit != "pad":
        return inner[..., -top : height - top, -left : width - left]
    pads = (left, width - placed.width - left, top, height - placed.height - top)
    return F.pad(inner, pads, mode="replicate")


@dataclass(frozen=True)
class Placement:
    """A picture in a frame: its height and width there and where its corner is, in pixels of the frame."""

    height: int
    width: int
    top: int
    left: int


def placement(from_height: int, from_width: int, height: int, width: int, fit: str) -> Placement:
    """Where `fitted` puts a picture.

    Raises:
        UserError: No such way.
    """
    if fit not in ("crop", "pad", "stretch"):
        raise UserError(f"fit={fit!r} is not one of: crop, pad, stretch.")
    if fit == "stretch":
        return Placement(height, width, 0, 0)
    scale = (max if fit == "crop" else min)(height / from_height, width / from_width)
    h, w = max(1, round(from_height * scale)), max(1, round(from_width * scale))
    toward = -1 if fit == "crop" else 1
    return Placement(h, w, toward * (abs(h - height) // 2), toward * (abs(w - width) // 2))


def read_still(path: str | Path, height: int, width: int, fit: str = "crop") -> Images:
    """One picture from a file, as a frame.

    Args:
        fit: crop, pad or stretch; cutout finds the object and lays it on white in the middle, as
            `suite.io.cutout` does.

    Raises:
        UserError: The file cannot be used, or there is no such way.
    """
    if fit not in FITS:
        raise UserError(f"fit={fit!r} is not one of: {', '.join(FITS)}.")
    picture = read_image(path)
    if fit != "cutout":
        placed = placement(*picture.on().shape[-2:], height, width, fit)
        seen = height * width / max(height * width, placed.height * placed.width)
        if seen < CUT:
            log.warning(f"{path}: {1 - seen:.0%} of it is cut off; fit=pad shows all of it.")
        return fitted(picture.on(), height, width, fit).clamp(0, 1)
    cutout = cut_out(picture, name=str(path))
    side = min(height, width)
    square, _ = framed(cutout, frame_of(cutout, size=side, name=str(path)), side)
    top, left = (height - side) // 2, (width - side) // 2
    white = torch.ones(1, 3, height, width)
    white[..., top : top + side, left : left + side] = square
    return white


def _scaled(images: Images, height: int, width: int) -> Float[Tensor, "b 3 y x"]:
    if images.shape[-2:] == (height, width):
        return images
    smaller = images.shape[-2] > height or images.shape[-1] > width
    return F.interpolate(
        images, (height, width), mode="bilinear", align_corners=False, antialias=smaller
    ).clamp(0, 1)
