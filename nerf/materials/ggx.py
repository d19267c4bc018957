"""The microfacet lobe of glTF's metallic-roughness material (Walter et al. 2007; glTF 2.0, appendix B).

alpha  roughness^2
D(h)   alpha^2 / (pi ((n.h)^2 (alpha^2 - 1) + 1)^2)                      how many microfacets look along h
V      0.5 / (n.l sqrt((n.v)^2 (1 - alpha^2) + alpha^2) + n.v sqrt((n.l)^2 (1 - alpha^2) + alpha^2))
F      f_0 + (1 - f_0) (1 - v.h)^5                                       Schlick
lobe   D V F;      albedo of it:  integral of D V F n.l dl  =  f_0 A + B,   A and B of n.v and roughness alone

(Karis 2013, "Real Shading in Unreal Engine 4": the second factor of the split sum.) Light that leaves a
microfacet and hits another one is lost: A + B < 1 for rough surfaces.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_ROUGHNESS = 0.045  # alpha below .002: D no longer fits float32
COSINES, ROUGHNESSES = 64, 32  # of the table of A and B


def distribution(n_h: Float[Tensor, "*#n"], roughness: Float[Tensor, "*#n"]) -> Float[Tensor, "..."]:
    """D of the cosine between normal and half vector."""
    square = roughness.clamp_min(LEAST_ROUGHNESS) ** 4
    return square / (math.pi * (n_h**2 * (square - 1) + 1) ** 2)


def visibility(
    n_l: Float[Tensor, "*#n"], n_v: Float[Tensor, "*#n"], roughness: Float[Tensor, "*#n"]
) -> Float[Tensor, "..."]:
    """V: Smith's shadowing and masking, divided by 4 n.l n.v."""
    square = roughness.clamp_min(LEAST_ROUGHNESS) ** 4
    ahead = n_l * (n_v**2 * (1 - square) + square).sqrt()
    return 0.5 / (ahead + n_v * (n_l**2 * (1 - square) + square).sqrt()).clamp_min(1e-7)


def half_vectors(
    u: Float[Tensor, "*n 2"], roughness: Float[Tensor, "*#n"]
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """(x, y, z) about the normal +z, with density D(h) n.h, of uniform numbers u in [0, 1)."""
    square = roughness.clamp_min(LEAST_ROUGHNESS) ** 4
    cosine2 = (1 - u[..., 1]) / (1 + (square - 1) * u[..., 1])
    cosine, sine = cosine2.sqrt(), (1 - cosine2).clamp_min(1e-12).sqrt()
    angle = 2 * math.pi * u[..., 0]
    return sine * angle.cos(), sine * angle.sin(), cosine


@lru_cache
def energy_table(count: int = 1024) -> Float[Tensor, "2 r c"]:
    """A and B at ROUGHNESSES roughnesses and COSINES values of (n.v)^(1/2), each from 0 to 1; float32.

    By importance sampling with Hammersley points: with h drawn from D n.h, D V F n.l / pdf is
    F times 4 V n.l v.h / n.h.
    """
    k = torch.arange(count, dtype=torch.float64)
    inverse = sum(((k.long() >> bit) & 1).double() / 2 ** (bit + 1) for bit in range(20))
    u = torch.stack([(k + 0.5) / count, inverse], dim=-1)
    table = torch.zeros(2, ROUGHNESSES, COSINES, dtype=torch.float64)
    n_v = torch.linspace(0, 1, COSINES, dtype=torch.float64).square().clamp_min(1e-4)[:, None]
    for row, roughness in enumerate(torch.linspace(0, 1, ROUGHNESSES, dtype=torch.float64)):
        x, _, n_h = half_vectors(u, roughness)
        v_h = (1 - n_v**2).sqrt() * x + n_v * n_h
        n_l = 2 * v_h * n_h - n_v
        weight = 4 * visibility(n_l.clamp_min(0), n_v, roughness) * n_l * v_h / n_h
        weight = torch.where((n_l > 0) & (v_h > 0), weight, 0.0)
        grazing = (1 - v_h.clamp(0, 1)) ** 5
        table[:, row] = torch.stack([((1 - grazing) * weight).mean(1), (grazing * weight).mean(1)])
    return table.float()


def energy(
    table: Float[Tensor, "2 r c"], n_v: Float[Tensor, " n"], roughness: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """A and B, interpolated; differentiable."""
    at = torch.stack([2 * n_v.clamp(1e-6, 1).sqrt() - 1, 2 * roughness - 1], dim=-1)
    found = torch.nn.functional.grid_sample(
        table[None].to(at), at[None, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return found[0, 0, 0], found[0, 1, 0]
