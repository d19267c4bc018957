"""From any picture to one object on white, centred and of known size: what view-conditioned priors are asked about.

Where the object is, in this order:

    alpha    the file's own transparency, unless it is opaque everywhere
    plain    one colour all along the border: what is of that colour and connected to the border is background
    rembg    a network for background removal (the optional package rembg)

Then the object's box is laid in the middle of a square, its longer side `share` of the square's.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.io.images import LoadedImage, read_image
from suite.types import Images, Masks

log = logging.getLogger(__name__)
METHODS = ("auto", "alpha", "plain", "rembg")
# The median of toyworld's things, of longest side 1, before Zero123's lens at a distance of 1.6. The authors' demo
# enlarges objects to 200 / 256, as if from 1.4, nearer than the prior was trained on (1.5 to 2.2).
SHARE = 0.7
TOLERANCE = 0.06  # of a channel: JPEG's noise around a plain background
PLAIN_BORDER = 0.75  # of the border's pixels must have one colour; the object may touch the rest
SPECK = 0.005  # pieces smaller than this share of the largest are dropped
SMALLEST, THINNEST = 8, 2  # pixels: of the object's longer side in the file, of its shorter side in the frame


@dataclass(frozen=True)
class Cutout:
    """An object apart from its background.

    Args:
        rgb: Its picture, not multiplied by alpha.
        alpha: Where it is.
        method: How that was found: alpha, plain or rembg.
    """

    rgb: Images
    alpha: Masks
    method: str


@dataclass(frozen=True)
class Frame:
    """A square of a picture, in its pixels; it may reach beyond the edges."""

    top: int
    left: int
    side: int

    def cut(self, channels: Float[Tensor, "1 c h w"], size: int) -> Float[Tensor, "1 c s s"]:
        """The square at another size, averaged where that is smaller; 0 beyond the edges."""
        h, w = channels.shape[-2:]
        pads = (-self.left, self.left + self.side - w, -self.top, self.top + self.side - h)
        return F.interpolate(F.pad(channels, pads), (size, size), mode="bilinear", antialias=True)


def load_cutout(path: str | Path, *, method: str = "auto") -> Cutout:
    """The object in an image file.

    Args:
        method: How it is found: auto (the first that works), alpha, plain, rembg.

    Raises:
        UserError: No file, no object in it, or what finds it is not installed; the message says what to do.
    """
    return cut_out(read_image(path), method=method, name=str(path))


def cut_out(picture: LoadedImage, *, method: str = "auto", name: str = "The picture") -> Cutout:
    """As `load_cutout`, of a picture that is read already."""
    if method not in METHODS:
        raise UserError(f"method={method!r} is not one of: {', '.join(METHODS)}.")
    if method in ("auto", "alpha") and picture.alpha is not None and float(picture.alpha.min()) < 0.5:
        return _checked(Cutout(picture.rgb, picture.alpha, "alpha"), name)
    if method == "alpha":
        raise UserError(f"{name} is nowhere transparent: save it with transparency, or type method=auto.")
    if method in ("auto", "plain"):
        found = plain_background(picture.rgb)
        if found is not None:
            return _checked(found, name)
    if method == "plain":
        raise UserError(
            f"{name} has no background of one colour: cut the object out (transparent around it), or type "
            "method=rembg."
        )
    return _checked(_by_network(picture.rgb, name), name)


def plain_background(rgb: Images) -> Cutout | None:
    """The object on a background of one colour, or None if the border is not of one colour.

    Within two pixels of the background, alpha follows the distance of the colour from the background's, which is
    taken out of the colours there.
    """
    image = rgb[0].movedim(0, -1).numpy()
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    color = np.median(border, axis=0)
    if (np.abs(border - color).max(-1) < TOLERANCE).mean() < PLAIN_BORDER:
        return None
    distance = np.abs(image - color).max(-1)
    behind = _touching_border(distance < TOLERANCE)
    edge = ndimage.binary_dilation(behind, iterations=2) & ~behind
    alpha = np.where(edge, np.clip((distance - TOLERANCE) / (4 * TOLERANCE), 0, 1), ~behind)
    alpha = (alpha * _without_specks(alpha > 0.5)).astype(np.float32)
    a = np.maximum(alpha, 1e-3)[..., None]
    unmixed = np.where(alpha[..., None] > 0, (image - (1 - a) * color) / a, image).clip(0, 1)
    clean = torch.from_numpy(unmixed.astype(np.float32)).movedim(-1, 0)[None].contiguous()
    return Cutout(clean, torch.from_numpy(alpha)[None, None], "plain")


def frame_of(cutout: Cutout, *, share: float = SHARE, size: int = 64, name: str = "The picture") -> Frame:
    """The square around the object of which its longer side takes `share`.

    Args:
        size: Of the picture it will become, in pixels; for the check.

    Raises:
        UserError: The object is too thin to be seen at that size.
    """
    if not 0.1 <= share <= 1:
        raise UserError(f"share is the object's part of the frame, 0.1 to 1, got {share:g}.")
    top, bottom, left, right = _box(cutout.alpha)
    h, w = bottom - top, right - left
    longer = max(h, w)
    if min(h, w) * share * size / longer < THINNEST:
        raise UserError(
            f"The object in {name} is {w} x {h} pixels: too thin to be seen in {size} pixels. Cut out a part of it."
        )
    side = round(longer / share)
    return Frame(round((top + bottom - side) / 2), round((left + right - side) / 2), side)


def framed(cutout: Cutout, frame: Frame, size: int) -> tuple[Images, Masks]:
    """The object on white, and its mask, `size` pixels square."""
    cut = frame.cut(torch.cat([cutout.rgb * cutout.alpha, cutout.alpha], dim=1), size).clamp(0, 1)
    mask = cut[:, 3:]
    return (cut[:, :3] + 1 - mask).clamp(0, 1), mask


def centroids(masks: Masks) -> Float[Tensor, "b 2"]:
    """(x, y) of the mean of each mask, in fractions of width and height."""
    h, w = masks.shape[-2:]
    weight = masks[:, 0] / masks.sum(dim=(2, 3)).clamp(min=1e-6)[..., None]
    x = (torch.arange(w, device=masks.device) + 0.5) / w
    y = (torch.arange(h, device=masks.device) + 0.5) / h
    return torch.stack([(weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)], dim=1)


def _checked(cutout: Cutout, name: str) -> Cutout:
    """Refuses cut-outs that show nothing, or everything; says so where the object is cut off."""
    solid = cutout.alpha[0, 0] > 0.5
    if not bool(solid.any()):
        raise UserError(
            f"There is no object in {name}: it is empty or transparent everywhere ({cutout.method})."
        )
    top, bottom, left, right = _box(cutout.alpha)
    if max(bottom - top, right - left) < SMALLEST:
        raise UserError(
            f"The object in {name} is only {right - left} x {bottom - top} pixels: give a larger picture of it."
        )
    if float(solid.float().mean()) > 0.98:
        raise UserError(f"The object fills all of {name}: leave some background around it, or cut it out.")
    h, w = solid.shape
    if top == 0 or left == 0 or bottom == h or right == w:
        log.warning("The object in %s reaches the edge: what is cut off is not known.", name)
    return cutout


def _box(alpha: Masks) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what is solid; the ends are the first rows and columns beyond."""
    solid = alpha[0, 0] > 0.5
    rows, columns = (solid.any(dim=d).nonzero()[:, 0] for d in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _touching_border(region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pieces of a region that reach the picture's border."""
    pieces, _ = ndimage.label(region)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return np.isin(pieces, np.unique(border[border > 0]))


def _without_specks(region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The region without tiny pieces, one pixel wider, so that soft edges stay."""
    pieces, count = ndimage.label(region)
    if count == 0:
        return region
    sizes = np.bincount(pieces.reshape(-1))[1:]
    kept = np.isin(pieces, 1 + np.flatnonzero(sizes >= SPECK * sizes.max()))
    return ndimage.binary_dilation(kept, iterations=2)


def _by_network(rgb: Images, name: str) -> Cutout:
    from PIL import Image

    try:
        from rembg import remove
    except (ImportError, SystemExit) as error:  # it exits where onnxruntime is missing
        raise UserError(
            f"{name} has neither transparency nor a background of one colour: cut the object out, or type "
            "pip install 'suite3d[cutout]' for background removal."
        ) from error
    pixels = (rgb[0].movedim(0, -1) * 255).round().to(torch.uint8).numpy()
    try:
        found = np.asarray(remove(Image.fromarray(pixels)).convert("RGBA"), dtype=np.float32) / 255
    except Exception as error:  # of onnxruntime, or of the download of the network's weights
        raise UserError(
            f"rembg cannot cut out {name} ({' '.join(str(error).split())[:120]}): give a picture that is "
            "transparent around the object."
        ) from error
    alpha = found[..., 3] * _without_specks(found[..., 3] > 0.5)
    return Cutout(rgb, torch.from_numpy(alpha.astype(np.float32))[None, None], "rembg")
