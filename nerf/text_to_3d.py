"""Text to 3D by distilling a frozen 2D prior into a field (DreamFusion, Poole et al. 2022, arXiv:2209.14988).

A field is rendered from random cameras under random lights; a guidance asks the prior what is wrong with the
pictures, given the words as they read from each camera; its gradient flows through the renderer into the field.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nerf.background import Background
from nerf.distillation import FieldDistillation
from nerf.fields.base import Field
from nerf.lights import Shading
from nerf.products import Products
from nerf.refine_mesh import RefineMesh
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Renderer
from priors.base import Prior
from priors.guidance.base import Guidance
from priors.prompts import Prompt
from priors.view_prior import check_told_words
from suite.geometry.cameras import CameraSampler
from suite.schedules import Cosine, Schedule


class TextTo3D(FieldDistillation):
    """Distils a prior into a field.

    Args:
        prompt: What to make.
        prior: The frozen diffusion model that knows what things look like.
        guidance: The rule that turns its opinion into a gradient.
        field, renderer, background: The scene and how it is seen.
        cameras: Where it is seen from.
        shading: How it is lit; null shows the albedo.
        regularizer: Terms added to the loss, by name.
        steps: Steps of optimization.
        decay: What the learning rates of field and background are multiplied by, a number or schedule.
        products: What is made of the field at the end.
        refine: A second stage, which makes a textured mesh of the field and goes on with that; null is none.
        coarse: A finished run of this task, to refine its field instead of distilling one: skips the first stage.
    """

    def __init__(
        self,
        *,
        prompt: Prompt | str,
        prior: Prior,
        guidance: Guidance,
        field: Field,
        renderer: Renderer,
        background: Background,
        cameras: CameraSampler,
        shading: Shading | None = None,
        regularizer: dict[str, Regularizer] | None = None,
        steps: int = 600,
        decay: float | int | Sequence | Schedule = Cosine(1.0, 0.1),
        products: Products | None = None,
        refine: RefineMesh | None = None,
        coarse: str = "",
    ) -> None:
        check_told_words(prior)
        super().__init__(
            prompt=Prompt(text=prompt) if isinstance(prompt, str) else prompt,
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
        self.guidance, self.cameras = guidance, cameras

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress = self.prepare(step, generator)
        cameras = self.cameras.sample(generator).to(self.device)
        rendering = self.seen_from(cameras, progress, generator)
        condition = self.prior.embed(self.prompt.seen_from(cameras), cameras)
        pull = self.guidance(self.prior, rendering.images, condition, generator=generator, progress=progress)
        return pull.loss + self.wishes(rendering, progress, generator)
