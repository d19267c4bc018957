"""Light from all around, as a picture: linear radiance by direction.

A map has `h` rows from straight up (+Z) to straight down and `2 h` columns: its middle looks along +X, the
front, its left quarter along +Y. Built-in ones and files are scaled so that a white matte ball shows
`exposure` in the mean.
"""

import math
import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from suite.errors import UserError
from suite.geometry.trimesh_bridge import linear_from_srgb
from suite.io.images import read_image
from suite.io.paths import existing_file

HEIGHT = 64  # rows of a map in use
Radiance = Float[Tensor, "3 _ _"]


def directions(height: int, width: int) -> Float[Tensor, "h w 3"]:
    """The unit vector of each texel's middle."""
    theta = math.pi * (torch.arange(height, dtype=torch.float64) + 0.5) / height
    phi = math.pi * (1 - 2 * (torch.arange(width, dtype=torch.float64) + 0.5) / width)
    sine, cosine = theta.sin()[:, None], theta.cos()[:, None].expand(height, width)
    return torch.stack([sine * phi.cos(), sine * phi.sin(), cosine], dim=-1).float()


def solid_angles(height: int, width: int) -> Float[Tensor, "h w"]:
    """Steradians of each texel; they sum to 4 pi."""
    edges = torch.cos(math.pi * torch.arange(height + 1, dtype=torch.float64) / height)
    return ((edges[:-1] - edges[1:])[:, None] * 2 * math.pi / width).expand(height, width).float()


def coordinates(towards: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
    """(x, y) in [-1, 1] of directions on a map, as grid_sample has them: its left edge, its top are -1."""
    x, y, z = towards.unbind(-1)
    # the pole has no azimuth: at its very place any, with a bounded derivative
    flat = (x.detach().abs() + y.detach().abs()) < 1e-6
    azimuth = torch.atan2(torch.where(flat, 0.0, y), torch.where(flat, 1.0, x))
    return torch.stack([-azimuth / math.pi, 2 * torch.acos(z.clamp(-1 + 1e-6, 1 - 1e-6)) / math.pi - 1], -1)


def environment(name: str, *, exposure: float | int = 0.8) -> Radiance:
    """A map of HEIGHT rows: "studio", "sky", "uniform", or a lat-long picture file (.hdr, or any picture).

    Raises:
        UserError: The name is none of these, or the file cannot be read.
    """
    if name in BUILT_IN:
        found = BUILT_IN[name](directions(HEIGHT, 2 * HEIGHT)).movedim(-1, 0)
    elif Path(name).suffix:
        found = resized(read_radiance(name))
    else:
        raise UserError(f"{name!r} is not an environment: {', '.join(BUILT_IN)}, or a lat-long .hdr file.")
    weight = solid_angles(*found.shape[1:]) / (4 * math.pi)
    mean = float((found * weight).sum((1, 2)).mean())
    if not (mean > 0 and math.isfinite(mean)):
        raise UserError(f"The environment {name} has a mean radiance of {mean:g}: take one with light in it.")
    return found * (exposure / mean)


def resized(found: Radiance, height: int = HEIGHT) -> Radiance:
    """To `height` rows and twice as many columns: every texel the mean over its area."""
    return torch.nn.functional.interpolate(found[None], (height, 2 * height), mode="area")[0]


def _lobe(towards: Tensor, x: float, y: float, z: float, width_deg: float) -> Float[Tensor, "h w 1"]:
    """A soft disc of light around a direction."""
    axis = torch.nn.functional.normalize(torch.tensor([x, y, z]), dim=0)
    angle = torch.rad2deg(torch.acos((towards @ axis).clamp(-1, 1)))
    return torch.sigmoid((width_deg - angle) / (0.15 * width_deg))[..., None]


def _studio(towards: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
    """A grey room with a large lamp in front above, a smaller one at each side, and light from the floor."""
    room = 0.35 + 0.15 * towards[..., 2:]
    lamps = 4.0 * _lobe(towards, 1.0, 0.6, 1.2, 28) + 2.0 * _lobe(towards, -0.3, -1.0, 0.5, 18)
    return (room + lamps + 1.5 * _lobe(towards, -1.0, 0.7, 0.8, 15)).expand(*towards.shape[:2], 3)


def _sky(towards: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
    """Blue, paler towards the horizon, with a low sun in front and brown ground."""
    height = towards[..., 2:]
    up, down = height.clamp_min(0).sqrt(), torch.sigmoid(-height / 0.03)
    blue, pale = torch.tensor([0.25, 0.5, 1.0]), torch.tensor([0.9, 0.95, 1.0])
    sky = pale * (1 - up) + blue * up + torch.tensor([1.0, 0.9, 0.7]) * 12 * _lobe(towards, 1.0, 0.5, 0.9, 9)
    return sky * (1 - down) + torch.tensor([0.25, 0.21, 0.17]) * down


def _uniform(towards: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 3"]:
    return torch.ones_like(towards)


BUILT_IN = {"studio": _studio, "sky": _sky, "uniform": _uniform}


def read_radiance(path: str | Path) -> Radiance:
    """A lat-long picture in linear light: Radiance .hdr, or any picture file, which is taken for sRGB.

    Raises:
        UserError: There is no such file, it is damaged, or not twice as wide as high.
    """
    path = existing_file(path, "environment map")
    if path.suffix.lower() in (".hdr", ".pic"):
        found = torch.from_numpy(hdr_pixels(path.read_bytes(), str(path))).movedim(-1, 0)
    elif path.suffix.lower() == ".exr":
        raise UserError(f"{path} is OpenEXR, which is not read: convert it to Radiance .hdr first.")
    else:
        found = linear_from_srgb(read_image(path).rgb[0])
    h, w = found.shape[1:]
    if not 1.8 <= w / h <= 2.2:
        raise UserError(f"{path} is {w} x {h}: a lat-long environment map is twice as wide as high.")
    return found.contiguous()


def hdr_pixels(data: bytes, name: str = "the file") -> Float[ndarray, "h w 3"]:
    """The content of a Radiance RGBE file (Ward 1991), rows from the top; plain or run-length encoded.

    Raises:
        UserError: It is none, of XYZE colours, of another orientation, or cut short.
    """
    head = re.match(rb"#\?.*?\n\n-Y (\d+) \+X (\d+)\n", data, flags=re.DOTALL)
    if not head or b"32-bit_rle_xyze" in head[0]:
        raise UserError(f"{name} is not a Radiance RGB picture with rows from top to bottom.")
    height, width = int(head[1]), int(head[2])
    rest, rows = np.frombuffer(data, np.uint8, offset=head.end()), []
    if not 0 < height * width <= 2**28:
        raise UserError(f"{name} says that it has {width} x {height} pixels.")
    at = 0
    try:
        while len(rows) < height:
            packed = 8 <= width < 32768 and tuple(rest[at : at + 2]) == (2, 2)
            row, at = (
                _packed_row(rest, at + 4, width) if packed else (rest[at : at + 4 * width], at + 4 * width)
            )
            rows.append(row if packed else row.reshape(width, 4))
    except (IndexError, ValueError) as error:
        raise UserError(f"{name} is cut short or damaged.") from error
    rgbe = np.stack(rows).astype(np.float32)
    scale = np.where(rgbe[..., 3:] > 0, np.ldexp(1.0, rgbe[..., 3:].astype(int) - 136), 0.0)
    return (rgbe[..., :3] * scale).astype(np.float32)


def _packed_row(data: ndarray, at: int, width: int) -> tuple[ndarray, int]:
    """One run-length encoded row, channel by channel, and where the next begins."""
    row = np.zeros((4, width), np.uint8)
    for channel in row:
        filled = 0
        while filled < width:
            count = int(data[at])
            if count > 128:  # a run
                channel[filled : filled + count - 128] = data[at + 1]
                filled, at = filled + count - 128, at + 2
            else:
                if count == 0:
                    raise ValueError("an empty run")
                piece = data[at + 1 : at + 1 + count]
                channel[filled : filled + count] = piece
                filled, at = filled + count, at + 1 + count
    return row.T, at
