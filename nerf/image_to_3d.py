"""One picture to 3D: a view-conditioned prior tells the sides that it does not show (Zero-1-to-3, arXiv:2303.11328).

From the picture's own camera the field must look like the picture; from random cameras a guidance asks the prior what
is wrong, told the picture and how the camera has moved. A text prior may have a say too (Magic123, arXiv:2306.17843):

    loss = reference + w_view pull(view prior; picture, camera) + w_text pull(text prior; words)
         + w_expected mean |C - E[C]|^2

where the view prior can tell the mean E[C] of what may be seen, as pocket_zero123 can: where it is sure, that is the
view; where it is not, the pull decides.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerf.background import Background
from nerf.distillation import FieldDistillation
from nerf.fields.base import Field
from nerf.lights import Shading
from nerf.products import Products
from nerf.reference_losses import ReferenceLosses
from nerf.refine_mesh import RefineMesh
from nerf.registration import Registration
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Renderer, Rendering
from nerf.view_truth import ViewTruth
from priors.base import Prior
from priors.elevation import with_elevation
from priors.guidance.base import Guidance
from priors.prompts import Prompt, ViewPrompts
from priors.reference import Picture, Reference
from suite.geometry.cameras import Cameras, CameraSampler
from suite.io.images import contact_sheet, write_image
from suite.run import Run
from suite.schedules import Cosine, Schedule, as_schedule
from suite.types import Images


class TextPull(nn.Module):
    """A second opinion, of a prior that is told words.

    Args:
        prior: A text-conditioned prior.
        guidance: The rule that turns its opinion into a gradient.
        weight: Of its loss; that of the view prior is `view_weight`.
    """

    def __init__(
        self, *, prior: Prior, guidance: Guidance, weight: float | int | list | Schedule = 0.025
    ) -> None:
        super().__init__()
        self.prior, self.guidance, self.weight = prior.requires_grad_(False), guidance, as_schedule(weight)

    def forward(
        self,
        images: Images,
        prompts: ViewPrompts,
        cameras: Cameras,
        *,
        generator: torch.Generator,
        progress: float,
    ) -> Tensor:
        """Its weighted loss."""
        condition = self.prior.embed(prompts, cameras)
        pull = self.guidance(self.prior, images, condition, generator=generator, progress=progress)
        return self.weight(progress) * pull.loss


class ImageTo3D(FieldDistillation):
    """Distils a view-conditioned prior into a field that looks like a picture from its camera.

    Args:
        prior: The frozen view-conditioned prior, as Zero123.
        guidance: The rule that turns its opinion into a gradient.
        field, renderer, background: The scene and how it is seen; these priors know objects on white.
        cameras: Where it is seen from, within what the prior was trained on.
        image: The picture, of one object: any image file. With transparency, or on a plain background, or else
            the package rembg is needed.
        scene: Words for a toyworld object instead of a file: its picture is rendered, and the result is measured.
        elevation_deg: From which elevation the picture was taken; null estimates it.
        prompt: What the picture shows, for text priors and for measures; by default the scene.
        picture: How the picture is read and framed.
        reference: The losses that compare with the picture.
        view_weight: Of the view prior's pull, a number or schedule.
        expected_weight: Of what the view prior expects to see, a number or schedule; for priors that can tell.
        text: A text prior that pulls too; null is none.
        shading: How the scene is lit for the priors; null shows the albedo, which the picture is compared with.
        regularizer: Terms added to the loss, by name.
        steps: Steps of optimization.
        decay: What the learning rates of field and background are multiplied by, a number or schedule.
        products: What is made of the field at the end.
        views: New views that are compared with the truth of a scene.
        refine: A second stage, which makes a textured mesh of the field; null is none.
        coarse: A finished run of this task, to refine its field: skips the first stage.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        guidance: Guidance,
        field: Field,
        renderer: Renderer,
        background: Background,
        cameras: CameraSampler,
        image: str = "",
        scene: str = "",
        elevation_deg: float | None = None,
        prompt: Prompt | str = "",
        picture: Picture | None = None,
        reference: ReferenceLosses | None = None,
        view_weight: float | int | Sequence | Schedule = 1.0,
        expected_weight: float | int | Sequence | Schedule = 10_000.0,
        text: TextPull | None = None,
        shading: Shading | None = None,
        regularizer: dict[str, Regularizer] | None = None,
        steps: int = 300,
        decay: float | int | Sequence | Schedule = Cosine(1.0, 0.1),
        products: Products | None = None,
        views: ViewTruth | None = None,
        refine: RefineMesh | None = None,
        coarse: str = "",
    ) -> None:
        prompt = prompt or scene
        super().__init__(
            prompt=Prompt(text=prompt) if isinstance(prompt, str) and prompt else prompt or None,
            prior=prior,
            field=field,
            renderer=renderer,
            background=background,
            shading=shading,
            regularizer=regularizer,
            steps=steps,
            decay=decay,
            products=products,
            refine=refine,
            coarse=coarse,
        )
        if text is not None and self.prompt is None:
            raise ValueError(
                'A text prior must be told what the picture shows: type prompt="a red mushroom".'
            )
        self.guidance, self.cameras, self.text_pull = guidance, cameras, text
        self.losses, self.view_weight = reference or ReferenceLosses(), as_schedule(view_weight)
        self.expected_weight = as_schedule(expected_weight)
        self.views, self.elevation_deg = views or ViewTruth(), elevation_deg
        self.picture = (picture or Picture())(prior, image=image, scene=scene, elevation_deg=elevation_deg)
        self.registration = Registration(
            rate=0.1 if image else 0.0
        )  # toyworld's are where they are said to be
        self.found: dict[str, float] = {}
        self.look_at(self.picture)

    def look_at(self, picture: Reference) -> None:
        """Tell the prior the picture and its camera; keep it at the size that is compared."""
        self.picture = picture
        self.prior.show(picture.image, picture.camera)
        self.compared = picture.resized(self.losses.size or picture.camera.width)

    def run(self, run: Run) -> None:
        run.log.info("The picture: %s.", self.picture.source)
        write_image(run.path("images", "picture.png"), self.picture.image)
        if self.elevation_deg is None:
            self.prior.to(run.device)
            picture, self.found = with_elevation(self.prior, self.picture, self.text, run, run.seed)
            self.look_at(picture)
        super().run(run)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress = self.prepare(step, generator)
        cameras = self.cameras.sample(generator).to(self.device)
        rendering = self.seen_from(cameras, progress, generator)
        condition = self.prior.embed(self.words(cameras), cameras)
        pull = self.guidance(self.prior, rendering.images, condition, generator=generator, progress=progress)
        total = self.view_weight(progress) * pull.loss + self.wishes(rendering, progress, generator)
        if self.expected_weight(progress) > 0:
            total = total + self.expected_weight(progress) * self.unexpected(rendering, cameras)
        if self.text_pull is not None:
            total = total + self.text_pull(
                rendering.images, self.words(cameras), cameras, generator=generator, progress=progress
            )
        return total + self.unlike_the_picture(progress, generator)

    def unexpected(self, rendering: Rendering, cameras: Cameras) -> Tensor | float:
        """Mean squared difference from what the view prior expects, on white; 0 where it cannot tell."""
        expected = self.prior.expected(cameras)
        if expected is None:
            return 0.0
        shown = rendering.images + (1 - rendering.opacity) * (1 - rendering.background)
        if shown.shape != expected.shape:
            shown = F.interpolate(shown, expected.shape[-2:], mode="bilinear", antialias=True)
        unlike = (shown - expected).square().mean()
        self.log("unexpected", unlike)
        return unlike

    def words(self, cameras: Cameras) -> ViewPrompts:
        """What is said of each camera."""
        if self.prompt is None:
            return ViewPrompts.of_texts([""] * len(cameras))
        return self.prompt.seen_from(cameras)

    def unlike_the_picture(self, progress: float, generator: torch.Generator) -> Tensor:
        """The reference losses of a rendering from the picture's camera."""
        picture = self.compared.to(self.device)
        normals = self.losses.wants_normals(picture, progress)
        camera = self.registration.camera(picture.camera)
        rendering = self.rendered(camera, lighting=None, normals=normals, generator=generator)
        self.registration.note(rendering.opacity, picture.mask)
        terms = self.losses(rendering, picture, progress)
        for name, value in terms.items():
            self.log(name, value)
        return sum(terms.values())

    def made(self, run: Run, *, folder: str = "") -> dict:
        """The products, and images/beside_truth.png: renderings beside the picture and beside true views."""
        camera = self.registration.camera(self.picture.camera)
        measures, shown = self.views(replace(self.picture, camera=camera), self.field, self.renderer)
        write_image(run.path(folder, "images", "beside_truth.png"), contact_sheet(*shown))
        return self.found | measures | super().made(run, folder=folder)

    @property
    def evaluations(self) -> int:
        """Of both priors."""
        return self.prior.evaluations + (self.text_pull.prior.evaluations if self.text_pull else 0)
