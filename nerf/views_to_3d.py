"""A field from posed pictures (NeRF, Mildenhall et al. 2020, arXiv:2003.08934): the renderer's proof.

The same fields and renderer as in distillation, with the truth in place of a prior: what they cannot learn
from photographs they cannot learn from an opinion either. Measured on views that were never shown.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.background import Background, SolidBackground
from nerf.fields.base import Field
from nerf.products import Products, SceneHealth, write_preview
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Renderer
from nerf.scenes import Scene
from suite.geometry.rays import Rays
from suite.io.images import contact_sheet, write_image
from suite.metrics.images import psnr, ssim
from suite.run import Run
from suite.schedules import Cosine, Schedule, as_schedule
from suite.task import Optimization
from suite.types import Images


class ViewsTo3D(Optimization):
    """Fits a field to pictures, a batch of random rays a step.

    Args:
        scene: The pictures, as `nerf.scenes.load` gives them.
        field, renderer: What is fitted and how it is seen.
        background: Behind pictures without alpha. Pictures with alpha are composited on a random colour for
            each ray instead, so that what is transparent in them becomes empty.
        regularizer: Terms added to the loss, by name.
        steps: Steps of optimization.
        rays: Rays a step.
        decay: What the learning rates of field and background are multiplied by, a number or schedule.
        loss: "l2", or "huber" (quadratic below .1), which forgives pictures that contradict each other.
        products: What is made of the field at the end.
    """

    def __init__(
        self,
        *,
        scene: Scene,
        field: Field,
        renderer: Renderer,
        background: Background | None = None,
        regularizer: dict[str, Regularizer] | None = None,
        steps: int = 1500,
        rays: int = 4096,
        decay: float | int | Sequence | Schedule = Cosine(1.0, 0.1),
        loss: str = "l2",
        products: Products | None = None,
    ) -> None:
        if rays < 1:
            raise ValueError(f"ViewsTo3D needs rays >= 1, got {rays}.")
        if loss not in ("l2", "huber"):
            raise ValueError(f"'{loss}' is not a loss of ViewsTo3D: 'l2' or 'huber'.")
        self.scene, self.field, self.renderer = scene, field, renderer
        has_alpha = scene.pixels.shape[-1] == 4
        self.background = SolidBackground(random=1.0) if has_alpha else background or SolidBackground()
        self.regularizer = regularizer or {}
        self.steps, self.rays, self.decay, self.kind = steps, rays, as_schedule(decay), loss
        self.learnt = (~scene.held_out).nonzero()[:, 0]
        self.products, self.scene_health = products or Products(), SceneHealth()

    def parameter_groups(self) -> list[dict]:
        return self.field.parameter_groups(self.decay) + self.background.parameter_groups(self.decay)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress = step / self.steps
        self.field.set_progress(progress)
        self.renderer.update(self.field, step, generator)
        rays, color, alpha = self._draw(generator)
        rendering = self.renderer(
            self.field,
            rays,
            background=self.background,
            normals=any(r.wants_normals(progress) for r in self.regularizer.values()),
            generator=generator,
        )
        truth = color * alpha + (1 - alpha) * rendering.background
        fit = self._distance(rendering.images, truth)
        self.log("psnr", -10 * torch.log10(torch.nn.functional.mse_loss(rendering.images, truth).detach()))
        self.log("opacity", self.scene_health.note(rendering.opacity, progress))
        return fit + sum(
            r(rendering, self.field, progress=progress, generator=generator)
            for r in self.regularizer.values()
        )

    def health(self) -> str | None:
        return self.scene_health.verdict()

    def preview(self, step: int, run: Run) -> None:
        write_preview(self.field, self.renderer, self.background, run.path("images", f"step_{step:05d}.png"))

    def finish(self, run: Run) -> dict:
        held_out, learnt = self.scene.held_out.nonzero()[:, 0], self.learnt[:: max(1, len(self.learnt) // 8)]
        pairs = [self.compare(int(view)) for view in held_out]
        sheet = contact_sheet(torch.cat([image for pair in pairs[:8] for image in pair]), columns=4)
        write_image(run.path("images", "held_out.png"), sheet)
        measures = {
            "psnr_held_out": round(float(torch.cat([psnr(*pair) for pair in pairs]).mean()), 2),
            "ssim_held_out": round(float(torch.cat([ssim(*pair) for pair in pairs]).mean()), 4),
            "psnr_learnt": round(float(torch.cat([psnr(*self.compare(int(v))) for v in learnt]).mean()), 2),
        }
        return measures | self.products(self.field, self.renderer, self.background, run)

    @torch.no_grad()
    def compare(self, view: int) -> tuple[Images, Images]:
        """A picture of the scene as the field shows it, and as it is; on the background if it has alpha."""
        rays, device = self.scene.picture_rays(view), next(self.field.parameters()).device
        rays = Rays(rays.origins.to(device), rays.directions.to(device))
        rendering = self.renderer(self.field, rays, background=self.background)
        color, alpha = self.scene.picture(view)
        return rendering.images.clamp(0, 1).cpu(), color * alpha + (1 - alpha) * rendering.background.cpu()

    def _draw(
        self, generator: torch.Generator
    ) -> tuple[Rays, Float[Tensor, "n 3 1 1"], Float[Tensor, "n 1 1 1"]]:
        """Rays through random pixels, as pictures of one pixel, with their colours and alphas."""
        _, h, w, _ = self.scene.pixels.shape
        u = torch.rand(3, self.rays, generator=generator, dtype=torch.float64, device=generator.device).cpu()
        view, row, column = ((u[i] * n).long() for i, n in enumerate((len(self.learnt), h, w)))
        view = self.learnt[view]
        origins, directions = self.scene.rays(view, column + 0.5, row + 0.5)
        color, alpha = self.scene.colors(view, column, row)
        device = next(self.field.parameters()).device
        origins, directions, color, alpha = (x.to(device) for x in (origins, directions, color, alpha))
        rays = Rays(origins[:, None, None], directions[:, None, None])
        return rays, color[:, :, None, None], alpha[:, :, None, None]

    def _distance(self, images: Tensor, truth: Tensor) -> Float[Tensor, ""]:
        if self.kind == "huber":
            return torch.nn.functional.huber_loss(images, truth, delta=0.1) / 0.1
        return torch.nn.functional.mse_loss(images, truth)
