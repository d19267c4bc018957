"""What a metallic, rough or matte surface shows under light from all around.

    L_o = (1 - m)(1 - E_d) c E(n)  +  integral of L(l) D V F n.l dl,        f_0 = 0.04 (1 - m) + c m

c      albedo, m metallic, r roughness, n normal, v towards the eye
E(n)   mean light on a matte surface, 1/pi integral of L(l) n.l dl
E_d    what the clear coat of a dielectric (f_0 = 0.04) keeps of a white surrounding

Two ways to the integral:
    "split-sum"  L prefiltered for the roughness at the mirror direction, times f_0 A + B (Karis 2013); no noise
    "sampled"    light from random directions of the lobe: right up to noise, the gradient too
In light of 1 all around, both show 1 for white dielectrics and A + B for white metals, at any roughness.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf.environment import Radiance, coordinates, directions, environment, solid_angles
from nerf.materials.ggx import distribution, energy, energy_table, half_vectors, visibility
from suite.geometry.trimesh_bridge import linear_from_srgb, srgb_from_linear

METHODS = ("split-sum", "sampled")
DIELECTRIC = 0.04  # reflectance of glass and plastic, seen straight on
LEVELS = 8  # roughnesses 0, 1/7, ..., 1 for which the light is prefiltered


@dataclass(frozen=True)
class Material:
    """What a surface is made of, at n places.

    Attributes:
        albedo: sRGB in [0, 1].
        metallic, roughness: In [0, 1].
        normals: Unit vectors, where the surface looks.
    """

    albedo: Float[Tensor, "n 3"]
    metallic: Float[Tensor, " n"]
    roughness: Float[Tensor, " n"]
    normals: Float[Tensor, "n 3"]


class EnvironmentLight(nn.Module):
    """Light from all around.

    Args:
        map: "studio", "sky", "uniform", or a lat-long .hdr file.
        exposure: What a white matte ball shows in the mean, in linear light.
        method: "split-sum" or "sampled".
        samples: Directions a place, for "sampled".
        turns: Turn the light about +Z at random for each picture while training: what is painted on an object
            then stays apart from what shines on it.
    """

    def __init__(
        self,
        *,
        map: str = "studio",
        exposure: float | int = 0.8,
        method: str = "split-sum",
        samples: int = 32,
        turns: bool = False,
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"'{method}' is not a way to light a surface: one of {', '.join(METHODS)}.")
        if not exposure > 0 or samples < 1:
            raise ValueError(
                f"EnvironmentLight needs exposure > 0 and samples >= 1, got {exposure}, {samples}."
            )
        self.method, self.samples, self.turns = method, samples, turns
        self._set_maps(*_maps_of(map, float(exposure)))

    def set_radiance(self, radiance: Radiance) -> None:
        """Take another map, of any size."""
        self._set_maps(*_prepared(radiance))

    def _set_maps(self, levels: Float[Tensor, "3 l h w"], matte: Float[Tensor, "3 1 h w"]) -> None:
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("matte", matte, persistent=False)
        self.register_buffer("table", energy_table(), persistent=False)

    def radiance(self, towards: Float[Tensor, "n 3"], roughness: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Light from a direction, blurred as a mirror of that roughness does."""
        return _looked_up(self.levels, towards, roughness)

    def irradiance(self, normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """E(n)."""
        return _looked_up(self.matte, normals, normals.new_zeros(len(normals)))

    def shade(
        self,
        material: Material,
        view: Float[Tensor, "n 3"],
        *,
        turn: Float[Tensor, " n"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n 3"]:
        """What is seen, in sRGB; not clipped, so that what is brighter than white still has a gradient.

        Args:
            view: Unit vectors towards the eye.
            turn: Radians by which the light is turned about +Z.
            generator: For "sampled"; None draws the same directions each time.
        """
        normals = _facing(material.normals, view)
        if turn is not None:
            normals, view = _turned(normals, -turn), _turned(view, -turn)
        n_v = (normals * view).sum(-1).clamp(1e-4, 1)
        roughness, metallic = material.roughness, material.metallic[:, None]
        albedo = linear_from_srgb(material.albedo)
        f_0 = DIELECTRIC * (1 - metallic) + albedo * metallic
        a, b = energy(self.table, n_v, roughness)
        coat = (DIELECTRIC * a + b)[:, None]
        matte = (1 - metallic) * (1 - coat) * albedo * self.irradiance(normals)
        if self.method == "split-sum":
            mirror = 2 * n_v[:, None] * normals - view
            shine = self.radiance(mirror, roughness) * (f_0 * a[:, None] + b[:, None])
        else:
            shine = self._sampled(normals, view, n_v, roughness, f_0, generator)
        return srgb_from_linear(matte + shine)

    def _sampled(
        self,
        normals: Float[Tensor, "n 3"],
        view: Float[Tensor, "n 3"],
        n_v: Float[Tensor, " n"],
        roughness: Float[Tensor, " n"],
        f_0: Float[Tensor, "n 3"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "n 3"]:
        """Mean over half vectors drawn from D n.h of L F 4 V n.l v.h / n.h; directions move with the roughness."""
        generator = generator or torch.Generator(normals.device).manual_seed(0)
        u = torch.rand(len(normals), self.samples, 2, generator=generator, device=generator.device)
        x, y, n_h = half_vectors(u.to(normals), roughness[:, None])
        side, up = frame(normals)
        h = x[..., None] * side[:, None] + y[..., None] * up[:, None] + n_h[..., None] * normals[:, None]
        v_h = (view[:, None] * h).sum(-1)
        light = 2 * v_h[..., None] * h - view[:, None]
        n_l = (normals[:, None] * light).sum(-1)
        weight = 4 * visibility(n_l.clamp_min(1e-6), n_v[:, None], roughness[:, None]) * n_l * v_h / n_h
        weight = torch.where((n_l > 0) & (v_h > 0), weight, 0.0)
        fresnel = f_0[:, None] + (1 - f_0[:, None]) * (1 - v_h.clamp(0, 1))[..., None] ** 5
        flat = light.reshape(-1, 3)
        arriving = self.radiance(flat, flat.new_zeros(len(flat))).view_as(light)
        return (arriving * fresnel * weight[..., None]).mean(1)

    def draw_turns(self, count: int, generator: torch.Generator | None) -> Float[Tensor, " b"] | None:
        """How far the light is turned for each picture of a step, in radians; None: not at all."""
        if generator is None or not self.turns:
            return None
        return 2 * torch.pi * torch.rand(count, generator=generator, device=generator.device)


@lru_cache(maxsize=4)
def _maps_of(name: str, exposure: float) -> tuple[Float[Tensor, "3 l h w"], Float[Tensor, "3 1 h w"]]:
    """Of an environment by name, kept: they take a second."""
    return _prepared(environment(name, exposure=exposure))


def _prepared(radiance: Radiance) -> tuple[Float[Tensor, "3 l h w"], Float[Tensor, "3 1 h w"]]:
    """The light for each level of roughness, and for matte surfaces, with borders."""
    levels = [radiance, *(prefiltered(radiance, k / (LEVELS - 1)) for k in range(1, LEVELS))]
    return _bordered(torch.stack(levels, dim=1)), _bordered(irradiance(radiance)[:, None])


def prefiltered(radiance: Radiance, roughness: float) -> Radiance:
    """What a mirror of that roughness shows by direction, seen straight on: the mean of L with weight D(h) n.l."""

    def weight(cosine: Tensor) -> Tensor:
        n_h = ((1 + cosine) / 2).clamp_min(0).sqrt()
        return distribution(n_h, torch.full_like(n_h, roughness)) * cosine.clamp_min(0)

    # a lobe as wide as several texels needs no fine ones
    return _convolved(radiance, weight, 1 if roughness < 0.25 else 2)


def irradiance(radiance: Radiance) -> Radiance:
    """The mean of L over the hemisphere of each direction, with weight n.l."""
    return _convolved(radiance, lambda cosine: cosine.clamp_min(0), 2)


def _convolved(radiance: Radiance, weight: Callable[[Tensor], Tensor], coarser: int) -> Radiance:
    """Means of a map around each direction, of texels `coarser` times as large, at directions twice as far apart,
    brought back to its size."""
    _, h, w = radiance.shape
    source = nn.functional.avg_pool2d(radiance, coarser)
    around = directions(*source.shape[1:]).view(-1, 3)
    solid = solid_angles(*source.shape[1:]).reshape(1, -1)
    rows = []
    for some in directions(h // 2 // coarser, w // 2 // coarser).view(-1, 3).split(512):
        share = weight(some @ around.T) * solid
        rows.append((share / share.sum(1, keepdim=True)) @ source.reshape(3, -1).T)
    small = torch.cat(rows).T.reshape(3, 1, h // 2 // coarser, w // 2 // coarser)
    towards = directions(h, w).view(-1, 3)
    return _looked_up(_bordered(small), towards, towards.new_zeros(len(towards))).T.reshape(3, h, w)


def _bordered(levels: Float[Tensor, "3 l h w"]) -> Float[Tensor, "3 l H W"]:
    """With a texel more on every side: around the seam, and over the poles, where the other side follows."""
    rows = [levels[:, :, :1], levels[:, :, -1:]]
    over = [row.roll(row.shape[-1] // 2, dims=-1) for row in rows]
    tall = torch.cat([over[0], levels, over[1]], dim=2)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], dim=3)


def _looked_up(
    levels: Float[Tensor, "3 l h w"], towards: Float[Tensor, "n 3"], level: Float[Tensor, " n"]
) -> Float[Tensor, "n 3"]:
    """Trilinear lookup in bordered maps; `level` in [0, 1]."""
    _, count, h, w = levels.shape
    x, y = coordinates(towards).unbind(-1)
    at = torch.stack([x * (w - 2) / w, y * (h - 2) / h, 2 * level - 1], dim=-1)
    if count == 1:
        found = nn.functional.grid_sample(
            levels[None, :, 0].to(at), at[None, None, :, :2], padding_mode="border", align_corners=False
        )
        return found[0, :, 0].T
    # texel centres in x and y, the first and last level in z
    at = torch.cat([at[:, :2], at[:, 2:] * (count - 1) / count], dim=-1)
    found = nn.functional.grid_sample(
        levels[None].to(at), at[None, None, None], padding_mode="border", align_corners=False
    )
    return found[0, :, 0, 0].T


def _facing(normals: Float[Tensor, "n 3"], view: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Turned to the side that is seen."""
    return torch.where((normals * view).sum(-1, keepdim=True) < 0, -normals, normals)


def _turned(vectors: Float[Tensor, "n 3"], angle: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    cosine, sine = angle.cos(), angle.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], dim=-1)


def frame(normals: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Two unit vectors that make a right-handed frame with each normal (Duff et al. 2017)."""
    x, y, z = normals.unbind(-1)
    sign = torch.where(z < 0, -1.0, 1.0).to(z)
    a = -1 / (sign + z)
    b = x * y * a
    side = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], dim=-1)
    return side, torch.stack([b, sign + y * y * a, -y], dim=-1)
