"""`suite novel_views`: an orbit around the object of one picture, as a view-conditioned prior imagines it.

Every view is sampled by itself, so neighbours need not agree; `suite image_to_3d` makes one object of them.
"""

import torch

from priors.base import Prior
from priors.elevation import sampled_views, with_elevation
from priors.reference import Picture
from suite.errors import UserError
from suite.geometry.cameras import Cameras, orbit_path
from suite.io.images import contact_sheet, write_image
from suite.io.videos import write_video
from suite.metrics.images import psnr, ssim
from suite.run import Run
from suite.task import Task
from suite.toyworld.stills import stills
from suite.types import Images


class NovelViews(Task):
    """Samples views all around the object of a picture.

    Args:
        prior: A view-conditioned prior, as Zero123.
        image: The picture, of one object: any image file. With transparency, or on a plain background, or else
            the package rembg is needed.
        scene: Words for a toyworld object instead of a file, whose other views are known and compared.
        elevation_deg: From which elevation the picture was taken; null estimates it.
        prompt: What the picture shows, for priors that want to know; by default the scene.
        picture: How the picture is read and framed.
        count: Views, at equal steps of azimuth.
        views_elevation_deg: Elevation of the views; null is the picture's own.
        steps: Sampling steps.
        scale: Classifier-free guidance scale; null is what suits the prior.
        start: The time at which sampling begins: 1 is noise; less, for a prior that can tell, begins with what it
            expects to see, and 0 is that; null is what suits the prior.
        fps: Of videos/orbit.mp4, frames a second; 0 makes none.
        seed: Of the noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        image: str = "",
        scene: str = "",
        elevation_deg: float | None = None,
        prompt: str = "",
        picture: Picture | None = None,
        count: int = 8,
        views_elevation_deg: float | None = None,
        steps: int = 30,
        scale: float | None = None,
        start: float | None = None,
        fps: int = 8,
        seed: int = 0,
    ) -> None:
        if count < 1 or steps < 1 or fps < 0:
            raise UserError(
                f"novel_views needs count >= 1, steps >= 1 and fps >= 0, got {count}, {steps}, {fps}."
            )
        self.prior, self.prompt, self.seed = prior, prompt or scene, seed
        self.elevation_deg, self.views_elevation_deg = elevation_deg, views_elevation_deg
        self.count, self.steps, self.scale, self.start, self.fps = count, steps, scale, start, fps
        self.reference = (picture or Picture())(prior, image=image, scene=scene, elevation_deg=elevation_deg)

    def run(self, run: Run) -> None:
        self.prior.to(run.device)
        run.log.info("The picture: %s.", self.reference.source)
        measures: dict[str, float] = {}
        if self.elevation_deg is None:
            self.reference, measures = with_elevation(self.prior, self.reference, self.prompt, run, self.seed)
        wanted = self.orbit()
        options = {"seed": self.seed, "steps": self.steps, "scale": self.scale, "start": self.start}
        views = sampled_views(self.prior, self.reference, wanted, self.prompt, **options)
        write_image(run.path("images", "picture.png"), self.reference.image)
        for azimuth, view in zip(wanted.azimuth_deg.tolist(), views):
            write_image(run.path("images", f"azimuth_{round(azimuth) % 360}.png"), view)
        write_image(run.path("images", "views.png"), self.sheet(views, wanted))
        if self.fps:
            write_video(run.path("videos", "orbit.mp4"), views, self.fps)
        run.statistics["evaluations"] = self.prior.evaluations
        run.write_report(measures | self.measures(views, wanted))

    def orbit(self) -> Cameras:
        """The wanted cameras: from the picture's azimuth on, at its distance."""
        camera, elevation = self.reference.camera, self.views_elevation_deg
        return orbit_path(
            self.count,
            float(camera.elevation_deg) if elevation is None else elevation,
            float(camera.distance),
            float(camera.fov_deg),
            height=camera.height,
            width=camera.width,
            start_deg=float(camera.azimuth_deg),
        )

    def measures(self, views: Images, wanted: Cameras) -> dict[str, float]:
        """psnr and ssim of the views of a toyworld object; nothing of a file."""
        truth = self.truth(wanted)
        if truth is None:
            return {}
        found = {"psnr": psnr(views, truth).clamp(max=60).mean(), "ssim": ssim(views, truth).mean()}
        return {name: round(float(value), 4) for name, value in found.items()}

    def truth(self, wanted: Cameras) -> Images | None:
        """The true views of a toyworld object."""
        if self.reference.thing is None:
            return None
        return torch.from_numpy(stills(self.reference.thing.surface, wanted).images).movedim(-1, 1)

    def sheet(self, views: Images, wanted: Cameras) -> torch.Tensor:
        """The picture, the views, and under them the true ones where they are known."""
        labels = [f"azimuth {round(azimuth)}" for azimuth in wanted.azimuth_deg.tolist()]
        rows, names = [self.reference.image, views], ["picture", *labels]
        truth = self.truth(wanted)
        if truth is not None:
            rows += [torch.ones_like(self.reference.image), truth]
            names += ["", *["true"] * len(truth)]
        return contact_sheet(
            torch.cat(rows), len(views) + 1 if len(views) <= 12 or truth is not None else None, names
        )
