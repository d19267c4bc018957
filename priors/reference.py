"""The picture that everything starts from: an object on white, its mask, and the camera that is said to have taken it.

It comes from a file, cut out and centred (`suite.io.cutout`), or from toyworld, where all other views are known.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from priors.base import Prior
from priors.view_prior import ViewPrior
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.io.cutout import SHARE, Frame, frame_of, framed, load_cutout
from suite.io.images import read_image
from suite.toyworld.dataset import Named
from suite.toyworld.lookup import Things
from suite.toyworld.stills import stills
from suite.toyworld.view_pairs import FOV_DEG
from suite.types import Images, Masks


@dataclass(frozen=True)
class Reference:
    """A picture and what is known of it.

    Args:
        image: One picture of an object on white.
        mask: Where the object is.
        camera: The camera that is said to have taken it, one.
        source: Where it is from, for the log.
        depth: Distances from the camera, up to scale and shift; None where not known.
        normals: Unit normals in the camera's axes (+X right, +Y up, +Z to the viewer); None where not known.
        thing: What of toyworld it shows.
        true_elevation_deg: Where it was really taken from, if that is known.
    """

    image: Images
    mask: Masks
    camera: Cameras
    source: str
    depth: Float[Tensor, "1 1 h w"] | None = None
    normals: Float[Tensor, "1 3 h w"] | None = None
    thing: Named | None = None
    true_elevation_deg: float | None = None

    def at_elevation(self, elevation_deg: float) -> "Reference":
        """The same picture, said to be taken from another elevation."""
        camera = Cameras.orbit(
            self.camera.azimuth_deg,
            elevation_deg,
            self.camera.distance,
            self.camera.fov_deg,
            height=self.camera.height,
            width=self.camera.width,
        )
        return replace(self, camera=camera)

    def to(self, device: torch.device | str) -> "Reference":
        """The same on another device."""
        return replace(
            self,
            image=self.image.to(device),
            mask=self.mask.to(device),
            camera=self.camera.to(device),
            depth=None if self.depth is None else self.depth.to(device),
            normals=None if self.normals is None else self.normals.to(device),
        )

    def resized(self, size: int) -> "Reference":
        """The same picture of another size."""
        if self.camera.width == size:
            return self
        weight = _scaled(self.mask, size)

        def scaled(x: Tensor | None) -> Tensor | None:  # of the object alone, not of what is around it
            return None if x is None else _scaled(x * self.mask, size) / weight.clamp(min=1e-3)

        normals = scaled(self.normals)
        return replace(
            self,
            image=_scaled(self.image, size),
            mask=weight,
            camera=self.camera.resized(size, size),
            depth=scaled(self.depth),
            normals=None if normals is None else F.normalize(normals, dim=1),
        )


class Picture:
    """How a picture is read, and which camera is said to have taken it.

    Args:
        azimuth_deg: Of the camera. At 0 what the picture shows is the front.
        distance: Of the camera, in longest sides of the object.
        share: The object's longer side in the frame, of a file. A larger one is seen as from nearer, and what lies
            along the line of sight may then reach beyond the field.
        method: How the object in a file is found: auto, alpha, plain, rembg.
        size: Side of the picture in pixels; null is the prior's own.
        mask: A file with the object's mask, white on black, instead of looking for it.
        depth: A file with depth, brighter is farther, of the size of the image.
        normal: A file with normals, (n + 1) / 2 in the camera's axes (+X right, +Y up, +Z to the viewer).
        geometry: Toyworld: give the true depth and normals too.
        taken_from_deg: Toyworld: elevation of the picture where elevation_deg is not told.
        objects: Toyworld: a folder of captioned meshes that are known too.
    """

    def __init__(
        self,
        *,
        azimuth_deg: float = 0.0,
        distance: float = 1.6,
        share: float = SHARE,
        method: str = "auto",
        size: int | None = None,
        mask: str = "",
        depth: str = "",
        normal: str = "",
        geometry: bool = False,
        taken_from_deg: float = 20.0,
        objects: str = "",
    ) -> None:
        if distance <= 0.6 or (size is not None and size < 16):
            raise UserError(f"A picture needs distance > 0.6 and size >= 16, got {distance=}, {size=}.")
        self.azimuth_deg, self.distance, self.share, self.method = azimuth_deg, distance, share, method
        self.size, self.mask, self.depth, self.normal = size, mask, depth, normal
        self.geometry, self.taken_from_deg, self.objects = geometry, taken_from_deg, objects

    def __call__(
        self, prior: Prior, *, image: str = "", scene: str = "", elevation_deg: float | None = None
    ) -> Reference:
        """The picture in a file (`image`) or of a toyworld object (`scene`).

        Raises:
            UserError: Both or neither is given, the prior is not conditioned on pictures, or the file has no object.
        """
        if not isinstance(prior, ViewPrior):
            raise UserError(
                f"{type(prior).__name__} is not told a picture, but words. Type prior=zero123, stable_zero123, "
                "pocket_zero123, or exact_views for a toyworld object."
            )
        if bool(image) == bool(scene):
            raise UserError('Give one picture: image=FILE, or of toyworld scene="a red mushroom".')
        size = self.size or prior.resolution
        shown_from = elevation_deg if elevation_deg is not None else self.taken_from_deg
        if not -89 <= shown_from <= 89:
            raise UserError(f"elevation_deg must be within -89 and 89, got {shown_from:g}.")
        camera = Cameras.orbit(self.azimuth_deg, shown_from, self.distance, FOV_DEG, height=size, width=size)
        return self._of_scene(scene, camera) if scene else self._of_file(image, camera)

    def _of_scene(self, words: str, camera: Cameras) -> Reference:
        thing = Things(self.objects).named(words)
        found = stills(thing.surface, camera)
        image, normals = (torch.from_numpy(x).movedim(-1, 1) for x in (found.images, found.normals))
        mask, depth = (torch.from_numpy(x)[:, None] for x in (found.masks, found.depth))
        rotation = camera.camera_from_world[0, :3, :3]
        normals = torch.einsum("ij,bjhw->bihw", rotation, normals)
        known = {"depth": depth, "normals": normals} if self.geometry else {}
        return Reference(
            image.contiguous(), mask, camera, words, **known, thing=thing,
            true_elevation_deg=float(camera.elevation_deg),
        )  # fmt: skip

    def _of_file(self, path: str, camera: Cameras) -> Reference:
        cutout = load_cutout(path, method=self.method) if not self.mask else self._masked(path)
        frame = frame_of(cutout, share=self.share, size=camera.width, name=path)
        image, mask = framed(cutout, frame, camera.width)
        depth, normals = self._map(self.depth, cutout.alpha, frame, camera), None
        if self.normal:
            normals = F.normalize(2 * self._map(self.normal, cutout.alpha, frame, camera) - 1, dim=1)
        source = f"{Path(path).name}, background by {cutout.method}"
        return Reference(
            image, mask, camera, source, None if depth is None else depth.mean(1, keepdim=True), normals
        )

    def _masked(self, path: str):
        """The picture with its mask from a file of its own."""
        from suite.io.cutout import cut_out
        from suite.io.images import LoadedImage

        rgb, mask = read_image(path).rgb, read_image(self.mask).on((0.0, 0.0, 0.0))
        _check_size(self.mask, mask, rgb)
        return cut_out(LoadedImage(rgb, mask.mean(1, keepdim=True)), method="alpha", name=path)

    def _map(self, path: str, alpha: Masks, frame: Frame, camera: Cameras) -> Float[Tensor, "1 3 s s"] | None:
        """A map that lies over the image, framed as it; averaged over the object alone."""
        if not path:
            return None
        values = read_image(path).rgb
        _check_size(path, values, alpha)
        cut = frame.cut(torch.cat([values * alpha, alpha], dim=1), camera.width)
        return cut[:, :3] / cut[:, 3:].clamp(min=1e-3)


def _check_size(path: str, values: Tensor, image: Tensor) -> None:
    (h, w), (height, width) = values.shape[-2:], image.shape[-2:]
    if (h, w) != (height, width):
        raise UserError(f"{path} is {w} x {h} pixels, the image {width} x {height}: they must be the same.")


def _scaled(x: Float[Tensor, "1 c h w"], size: int) -> Float[Tensor, "1 c s s"]:
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True)
