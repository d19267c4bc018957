"""Pictures from known places: what `nerf.views_to_3d` learns from, and is measured on.

Photographs come from a `transforms.json` (`nerf.transforms_json`), pictures with known answers from toyworld.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from suite.errors import UserError
from suite.geometry.rays import Rays


@dataclass(frozen=True)
class Scene:
    """Posed pictures of one size, in the suite's world and camera conventions.

    Attributes:
        pixels: RGB, or RGBA with colours not multiplied by alpha.
        world_from_camera: Rigid transforms of OpenGL cameras.
        focal, center: In pixels, (x, y); the centre of the first pixel is (.5, .5).
        distortion: OpenCV's k1, k2, p1, p2.
        held_out: Which pictures are for measuring only.
    """

    pixels: UInt8[Tensor, "n h w c"]
    world_from_camera: Float[Tensor, "n 4 4"]
    focal: Float[Tensor, "n 2"]
    center: Float[Tensor, "n 2"]
    distortion: Float[Tensor, "n 4"]
    held_out: Bool[Tensor, " n"]

    def rays(
        self, view: Int[Tensor, " m"], x: Float[Tensor, " m"], y: Float[Tensor, " m"]
    ) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
        """Origins and unit directions of the rays through image points (x right, y down) of some pictures."""
        at = (torch.stack([x, y], dim=-1) - self.center[view]) / self.focal[view]
        if self.distortion.any():
            at = undistorted(at, self.distortion[view])
        d_camera = torch.stack([at[:, 0], -at[:, 1], -torch.ones_like(x)], dim=-1)
        d_world = torch.einsum("mij,mj->mi", self.world_from_camera[view, :3, :3], d_camera)
        return self.world_from_camera[view, :3, 3], torch.nn.functional.normalize(d_world, dim=-1)

    def picture_rays(self, view: int) -> Rays:
        """Rays through the centres of all pixels of a picture."""
        _, h, w, _ = self.pixels.shape
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        origins, directions = self.rays(torch.full((h * w,), view), x.reshape(-1), y.reshape(-1))
        return Rays(origins.view(1, h, w, 3), directions.view(1, h, w, 3))

    def colors(
        self, view: Int[Tensor, " m"], column: Int[Tensor, " m"], row: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 1"]]:
        """RGB and alpha (1 where a picture has none) of some pixels, in [0, 1]."""
        values = self.pixels[view, row, column].float() / 255
        alpha = values[:, 3:] if values.shape[1] == 4 else torch.ones_like(values[:, :1])
        return values[:, :3], alpha

    def picture(self, view: int) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]]:
        """RGB and alpha of a whole picture."""
        values = self.pixels[view : view + 1].permute(0, 3, 1, 2).float() / 255
        return values[:, :3], values[:, 3:] if values.shape[1] == 4 else torch.ones_like(values[:, :1])


def undistorted(at: Float[Tensor, "m 2"], distortion: Float[Tensor, "m 4"]) -> Float[Tensor, "m 2"]:
    """The points of the plane z = 1 that OpenCV's lens model moves to `at`, by fixed-point iteration.

    distorted = p (1 + k1 r^2 + k2 r^4) + (2 p1 x y + p2 (r^2 + 2 x^2), p1 (r^2 + 2 y^2) + 2 p2 x y)
    """
    k1, k2, p1, p2 = distortion.unbind(-1)
    p = at
    for _ in range(10):
        x, y = p.unbind(-1)
        square = x * x + y * y
        radial = 1 + square * (k1 + square * k2)
        tangential = torch.stack(
            [2 * p1 * x * y + p2 * (square + 2 * x * x), p1 * (square + 2 * y * y) + 2 * p2 * x * y], dim=-1
        )
        p = (at - tangential) / radial[:, None]
    return p


def load(
    *,
    source: str,
    views: int = 60,
    held_out: int = 8,
    size: int = 128,
    downscale: int = 1,
    normalize: bool = True,
) -> Scene:
    """Pictures from a file or from toyworld's words.

    Args:
        source: A `transforms.json` of Blender or nerfstudio, or the folder that holds one; or the words for a
            toyworld object, as "a red mushroom".
        views: Toyworld: pictures to learn from.
        held_out: Pictures to measure on. A file's own test split is used instead if there is one.
        size: Toyworld: height and width in pixels.
        downscale: Files: average blocks of this many pixels squared.
        normalize: Files: move and scale the world so that what the cameras look at fills the box that the
            default field covers.

    Raises:
        UserError: The source is neither, or the file is not understood.
    """
    if views < 2 or held_out < 1 or size < 8 or downscale < 1:
        raise UserError(
            "A scene needs views >= 2, held_out >= 1, size >= 8 and downscale >= 1, got "
            f"{views=}, {held_out=}, {size=}, {downscale=}."
        )
    path = Path(source).expanduser()
    if path.exists() or path.suffix == ".json" or "/" in source:
        from nerf.transforms_json import read_transforms

        return read_transforms(path, held_out=held_out, downscale=downscale, normalize=normalize)
    return toyworld(source, views, held_out, size)


def toyworld(prompt: str, views: int, held_out: int, size: int) -> Scene:
    """A toyworld object under a light that stands still, seen from all around, with exact masks."""
    from suite.toyworld.objects import build, parse
    from suite.toyworld.render import Lights, render

    world_from_camera = spread_cameras(views, held_out)
    n, fov_deg = len(world_from_camera), 40.0
    light = torch.nn.functional.normalize(torch.tensor([0.6, 0.4, 0.8]), dim=0)
    lights = Lights(light.expand(n, 3).numpy(), torch.full((n,), 0.6).numpy(), torch.full((n,), 0.45).numpy())
    found = render(
        build(parse(prompt)),
        world_from_camera.numpy(),
        torch.full((n,), fov_deg).numpy(),
        height=size,
        width=size,
        lights=lights,
        background=torch.zeros(n, 3).numpy(),
        supersample=3,
    )
    alpha = torch.from_numpy(found.masks)[..., None]
    color = torch.from_numpy(found.images) / alpha.clamp_min(1e-3)  # rendered on black: multiplied by alpha
    focal = 0.5 * size / math.tan(math.radians(fov_deg) / 2)
    return Scene(
        pixels=(255 * torch.cat([color, alpha], dim=-1)).round().clamp(0, 255).to(torch.uint8),
        world_from_camera=world_from_camera,
        focal=torch.full((n, 2), focal),
        center=torch.full((n, 2), size / 2),
        distortion=torch.zeros(n, 4),
        held_out=torch.arange(n) >= views,
    )


def spread_cameras(views: int, held_out: int) -> Float[Tensor, "n 4 4"]:
    """`views` cameras on a spiral around the object and `held_out` others between them: equally dense on the
    sphere between -30 and 80 degrees of elevation, upright, looking at the origin from a distance of 1.8."""
    from suite.geometry.cameras import Cameras

    low, high = math.sin(math.radians(-30)), math.sin(math.radians(80))
    golden = 180 * (3 - math.sqrt(5))

    def spiral(count: int, turn: float) -> tuple[Tensor, Tensor]:
        k = torch.arange(count)
        return k * golden + turn, torch.rad2deg(torch.asin(low + (high - low) * (k + 0.5) / count))

    pairs = zip(spiral(views, 0.0), spiral(held_out, 60.0), strict=True)
    azimuth, elevation = (torch.cat(pair) for pair in pairs)
    return Cameras.orbit(azimuth, elevation, 1.8, 40.0).world_from_camera
