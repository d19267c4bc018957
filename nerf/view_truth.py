"""How well does an object made of one picture look from elsewhere? New views against those of the true object.

The true views are of the thing under the light of its picture, on white, in the world's frame: nothing is aligned, so
a wrong elevation of the picture counts as an error.
"""

import torch

from nerf.background import SolidBackground
from nerf.fields.base import Field
from nerf.meshing.views import device_of, field_views
from nerf.renderers.base import Renderer
from priors.reference import Reference
from suite.geometry.cameras import Cameras
from suite.geometry.visibility import around
from suite.metrics.images import psnr, ssim
from suite.toyworld.stills import stills
from suite.types import Images


class ViewTruth:
    """New views from all around, beside the true ones.

    Args:
        count: Views, equally dense on the sphere between the elevations.
        elevation_deg: Range of their elevations.
        size: Their side in pixels.
    """

    def __init__(
        self, *, count: int = 16, elevation_deg: tuple[float, float] = (-10.0, 60.0), size: int = 64
    ) -> None:
        if count < 1 or size < 16:
            raise ValueError(f"ViewTruth needs count >= 1 and size >= 16, got {count=}, {size=}.")
        self.count, self.elevation_deg, self.size = count, tuple(elevation_deg), size

    def cameras(self, reference: Reference) -> Cameras:
        """As far away as the picture's camera, with its lens."""
        camera = reference.camera
        return around(
            self.count,
            float(camera.distance),
            float(camera.fov_deg),
            elevation_deg=self.elevation_deg,
            height=self.size,
            width=self.size,
        )

    def __call__(
        self, reference: Reference, field: Field, renderer: Renderer
    ) -> tuple[dict[str, float], tuple[Images, int, list[str]]]:
        """Measures, and (pictures, columns, labels) of a contact sheet.

        psnr_picture is that of the picture's own view. Of a scene also psnr_views and ssim_views, means over new
        views, and psnr_copy: that of the picture in their place.
        """
        white = SolidBackground().to(device_of(field))
        own = field_views(field, renderer, reference.camera, background=white, normals=False).images
        measures = {"psnr_picture": float(psnr(own.clamp(0, 1), reference.image.cpu()))}
        shown, labels = [reference.image.cpu(), own], ["picture", "made"]
        if reference.thing is not None:
            cameras = self.cameras(reference)
            truth = torch.from_numpy(stills(reference.thing.surface, cameras).images).movedim(-1, 1)
            made = field_views(field, renderer, cameras, background=white, normals=False).images.clamp(0, 1)
            copy = reference.resized(self.size).image.cpu().expand_as(truth)
            measures |= {
                "psnr_views": float(psnr(made, truth).mean()),
                "ssim_views": float(ssim(made, truth).mean()),
                "psnr_copy": float(psnr(copy, truth).mean()),
            }
            pairs = [image[None] for pair in zip(truth, made) for image in pair]
            labels += ["true", "made"] * len(truth)
        else:
            pairs = []
        side = self.size if pairs else 3 * self.size
        first = torch.nn.functional.interpolate(
            torch.cat(shown), (side, side), mode="bilinear", antialias=True
        )
        rounded = {name: round(value, 4) for name, value in measures.items()}
        return rounded, (torch.cat([first, *pairs]), 6, labels)
