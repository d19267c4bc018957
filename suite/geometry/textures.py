"""Textures looked up at uv, from a pyramid of ever coarser copies (mip-maps; Williams 1983).

uv (0, 0) is the texture's lower left corner and (1, 1) its upper right; the first row of the image is its top;
coordinates outside [0, 1] repeat the texture, as in `suite.geometry.mesh`. A pixel whose footprint is rho
texels long is looked up at level log2(rho), between the two nearest copies (trilinear).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class MipMap:
    """A texture and its coarser copies.

    Attributes:
        texels: Of all levels, one after the other, row by row.
        sizes: Height and width of each level; each is half of the one before, rounded down.
        starts: The first texel of each level.
    """

    texels: Float[Tensor, "n c"]
    sizes: Int[Tensor, "l 2"]
    starts: Int[Tensor, " l"]


def mip_map(texture: Float[Tensor, "c h w"], levels: int | None = None) -> MipMap:
    """Differentiable in the texture.

    Args:
        levels: How many, with the texture itself; all down to 1 x 1 by default. 1 is plain bilinear lookup.
    """
    if min(texture.shape) < 1:
        raise ValueError(
            f"A texture needs at least one channel and one texel, got shape {tuple(texture.shape)}."
        )
    most = max(texture.shape[1:]).bit_length()
    if levels is not None and not 1 <= levels <= most:
        raise ValueError(
            f"A texture of {texture.shape[1]} x {texture.shape[2]} has 1 to {most} mip levels, not {levels}."
        )
    pyramid = [texture]
    for _ in range((levels or most) - 1):
        h, w = pyramid[-1].shape[1:]
        pyramid.append(torch.nn.functional.adaptive_avg_pool2d(pyramid[-1], (max(h // 2, 1), max(w // 2, 1))))
    sizes = torch.tensor([level.shape[1:] for level in pyramid], device=texture.device)
    starts = sizes.prod(1).cumsum(0) - sizes.prod(1)
    return MipMap(torch.cat([level.flatten(1) for level in pyramid], dim=1).T, sizes, starts)


def mip_level(uv_derivatives: Float[Tensor, "*n 2 2"], height: int, width: int) -> Float[Tensor, " *n"]:
    """log2 of a pixel's footprint in texels, along x or y, whichever is longer; below 0 the texture is magnified.

    Args:
        uv_derivatives: d(u, v) / d(pixel x, pixel y), `screen_derivatives(uv, ...)`.
        height, width: Of the texture.
    """
    texels = uv_derivatives * uv_derivatives.new_tensor([width, height])[:, None]
    return 0.5 * texels.square().sum(-2).amax(-1).clamp_min(1e-12).log2()


def sample(
    texture: MipMap, uv: Float[Tensor, "*n 2"], level: Float[Tensor, " *n"] | None = None
) -> Float[Tensor, "*n c"]:
    """The texture's colour at uv; differentiable in the texels, in uv and in the level.

    Args:
        level: Which copy, fractions between two (`mip_level`); clipped to those there are. None is the finest.
    """
    shape, uv = uv.shape[:-1], uv.reshape(-1, 2)
    last = len(texture.sizes) - 1
    if level is None or last == 0:
        zero = torch.zeros(len(uv), dtype=torch.int64, device=uv.device)
        return _bilinear(texture, uv, zero).reshape(*shape, -1)
    level = level.reshape(-1).clamp(0, last)
    fine = level.detach().floor().long()
    blend = (level - fine)[:, None]
    near, far = _bilinear(texture, uv, fine), _bilinear(texture, uv, (fine + 1).clamp_max(last))
    return (near * (1 - blend) + far * blend).reshape(*shape, -1)


def _bilinear(texture: MipMap, uv: Float[Tensor, "n 2"], level: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    h, w = texture.sizes.index_select(0, level).unbind(1)
    start = texture.starts.index_select(0, level)
    x, y = uv[:, 0] * w - 0.5, (1 - uv[:, 1]) * h - 0.5
    left, top = x.detach().floor(), y.detach().floor()
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    columns = [(left.long() + k) % w for k in (0, 1)]
    rows = [start + ((top.long() + k) % h) * w for k in (0, 1)]
    corners = [[texture.texels.index_select(0, row + column) for column in columns] for row in rows]
    upper, lower = (first * (1 - fx) + second * fx for first, second in corners)
    return upper * (1 - fy) + lower * fy
