"""Text to 3D by distilling a frozen 2D prior into a field (DreamFusion, Poole et al. 2022, arXiv:2209.14988).

A field is rendered from random cameras under random lights; a guidance asks the prior what is wrong with the
pictures, given the words as they read from each camera; its gradient flows through the renderer into the field.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from nerf.background import Background
from nerf.fields.base import Field, Multiple
from nerf.lights import Shading
from nerf.products import Products, SceneHealth, write_preview
from nerf.refine_mesh import RefineMesh
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Renderer
from priors.base import Prior
from priors.guidance.base import Guidance
from priors.prompts import Prompt
from suite.checkpoints import newest_state
from suite.geometry.cameras import CameraSampler
from suite.io.weights import write_atomically
from suite.run import Run
from suite.schedules import Cosine, Schedule, as_schedule
from suite.task import Optimization
from suite.train import optimize


class TextTo3D(Optimization):
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
        if coarse and refine is None:
            raise ValueError(f"coarse={coarse} is what a second stage starts from: type refine=magic3d too.")
        self.prompt = Prompt(text=prompt) if isinstance(prompt, str) else prompt
        self.prior, self.guidance = prior.requires_grad_(False), guidance
        self.field, self.renderer, self.background = field, renderer, background
        self.cameras, self.shading, self.regularizer = cameras, shading, regularizer or {}
        self.steps, self.decay = steps, as_schedule(decay)
        self.products, self.scene_health = products or Products(), SceneHealth()
        self.refine, self.coarse = refine, coarse

    def run(self, run: Run) -> None:
        """One stage, or two, each with checkpoints of its own."""
        if self.refine is None:
            super().run(run)
            return
        known = run.path("coarse", "measures.json")
        if self.coarse:
            self.to(run.device)
            self.load_state_dict(newest_state(Path(self.coarse))["task"])
        else:
            optimize(self, run, stage="coarse")
        if not known.exists():
            measures = self.products(
                self.field, self.renderer, self.background, run, self.prompt.text, folder="coarse"
            )
            write_atomically(known, json.dumps(measures))
        self.refine.start_from(
            self.field, self.renderer, prompt=self.prompt, prior=self.prior, products=self.products
        )
        optimize(self.refine, run, stage="fine")
        before = {f"coarse_{name}": value for name, value in json.loads(known.read_text()).items()}
        run.write_report(self.refine.finish(run) | before)

    def parameter_groups(self) -> list[dict]:
        behind = {
            "params": list(self.background.parameters()),
            "lr": Multiple(self.decay, self.background.lr),
        }
        return self.field.parameter_groups(self.decay) + ([behind] if behind["params"] else [])

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress = step / self.steps
        self.field.set_progress(progress)
        self.renderer.update(self.field, step, generator)
        cameras = self.cameras.sample(generator).to(self.device)
        lighting = self.shading.draw(cameras, progress, generator) if self.shading else None
        rendering = self.renderer(
            self.field,
            cameras.rays(),
            background=self.background,
            lighting=lighting,
            normals=any(term.wants_normals(progress) for term in self.regularizer.values()),
            generator=generator,
        )
        condition = self.prior.embed(self.prompt.seen_from(cameras), cameras)
        pull = self.guidance(self.prior, rendering.images, condition, generator=generator, progress=progress)
        self.log("opacity", self.scene_health.note(rendering.opacity, progress))
        return pull.loss + sum(
            term(rendering, self.field, progress=progress, generator=generator)
            for term in self.regularizer.values()
        )

    def health(self) -> str | None:
        return self.scene_health.verdict()

    def preview(self, step: int, run: Run) -> None:
        write_preview(self.field, self.renderer, self.background, run.path("images", f"step_{step:05d}.png"))

    def finish(self, run: Run) -> dict:
        return self.products(self.field, self.renderer, self.background, run, self.prompt.text)

    @property
    def device(self) -> torch.device:
        """Where the field lives."""
        return next(self.field.parameters()).device
