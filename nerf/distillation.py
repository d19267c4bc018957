"""What every distillation into a field has in common: the scene, its rates, its regularizers, a second stage."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from nerf.background import Background
from nerf.fields.base import Field
from nerf.lights import Lighting, Shading
from nerf.products import Products, SceneHealth, write_preview
from nerf.refine_mesh import RefineMesh
from nerf.regularizers.base import Regularizer
from nerf.renderers.base import Renderer, Rendering
from priors.base import Prior
from priors.prompts import Prompt
from suite.checkpoints import newest_checkpoint, newest_state
from suite.geometry.cameras import Cameras
from suite.io.weights import write_atomically
from suite.run import Run
from suite.schedules import Schedule, as_schedule
from suite.task import Optimization
from suite.train import optimize


class FieldDistillation(Optimization):
    """A field, how it is seen, and what is made of it. A concrete task adds `loss`.

    Args:
        prompt: What is made; null where nobody has said.
        prior: The frozen diffusion model.
        field, renderer, background: The scene and how it is seen.
        shading: How it is lit; None shows the albedo.
        regularizer: Terms added to the loss, by name.
        steps: Steps of optimization.
        decay: What the learning rates of field and background are multiplied by, a number or schedule.
        products: What is made of the field at the end.
        refine: A second stage, which makes a textured mesh of the field and goes on with that; None is none.
        coarse: A finished run of the same task, to refine its field instead of distilling one.
    """

    def __init__(
        self,
        *,
        prompt: Prompt | None,
        prior: Prior,
        field: Field,
        renderer: Renderer,
        background: Background,
        shading: Shading | None,
        regularizer: dict[str, Regularizer] | None,
        steps: int,
        decay: float | int | Sequence | Schedule,
        products: Products | None,
        refine: RefineMesh | None,
        coarse: str,
    ) -> None:
        if coarse and refine is None:
            raise ValueError(f"coarse={coarse} is what a second stage starts from: type refine=magic3d too.")
        if coarse:
            newest_checkpoint(Path(coarse))  # that there is one is checked before anything is made
        self.prompt, self.prior = prompt, prior.requires_grad_(False)
        self.field, self.renderer, self.background = field, renderer, background
        self.shading, self.regularizer = shading, regularizer or {}
        self.steps, self.decay = steps, as_schedule(decay)
        self.products, self.scene_health = products or Products(), SceneHealth()
        self.refine, self.coarse = refine, coarse

    @property
    def text(self) -> str:
        """The words of the prompt, "" without one."""
        return self.prompt.text if self.prompt else ""

    @property
    def device(self) -> torch.device:
        """Where the field lives."""
        return next(self.field.parameters()).device

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
            write_atomically(known, json.dumps(self.made(run, folder="coarse")))
        self.refine.start_from(
            self.field,
            self.renderer,
            prompt=self.prompt or Prompt(text="an object", views="none"),
            prior=self.prior,
            products=self.products,
        )
        optimize(self.refine, run, stage="fine")
        before = {f"coarse_{name}": value for name, value in json.loads(known.read_text()).items()}
        run.write_report(self.refine.finish(run) | before)

    def parameter_groups(self) -> list[dict]:
        return self.field.parameter_groups(self.decay) + self.background.parameter_groups(self.decay)

    @abstractmethod
    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """The whole training step."""

    def prepare(self, step: int, generator: torch.Generator) -> float:
        """Tell field and renderer how far the run is; returns the progress."""
        progress = step / self.steps
        self.field.set_progress(progress)
        self.renderer.update(self.field, step, generator)
        return progress

    def seen_from(self, cameras: Cameras, progress: float, generator: torch.Generator) -> Rendering:
        """The scene as the prior is to see it: lit, before its background."""
        lighting = self.shading.draw(cameras, progress, generator) if self.shading else None
        normals = any(term.wants_normals(progress) for term in self.regularizer.values())
        return self.rendered(cameras, lighting=lighting, normals=normals, generator=generator)

    def rendered(
        self, cameras: Cameras, *, lighting: Lighting | None, normals: bool, generator: torch.Generator
    ) -> Rendering:
        """Pictures of the field."""
        return self.renderer(
            self.field,
            cameras.rays(),
            background=self.background,
            lighting=lighting,
            normals=normals,
            generator=generator,
        )

    def wishes(self, rendering: Rendering, progress: float, generator: torch.Generator) -> Tensor | int:
        """The regularizers' sum; notes the opacity."""
        self.log("opacity", self.scene_health.note(rendering.opacity, progress))
        return sum(
            term(rendering, self.field, progress=progress, generator=generator)
            for term in self.regularizer.values()
        )

    def health(self) -> str | None:
        return self.scene_health.verdict()

    def preview(self, step: int, run: Run) -> None:
        write_preview(self.field, self.renderer, self.background, run.path("images", f"step_{step:05d}.png"))

    def made(self, run: Run, *, folder: str = "") -> dict:
        """The products of the field."""
        return self.products(self.field, self.renderer, self.background, run, self.text, folder=folder)

    def finish(self, run: Run) -> dict:
        return self.made(run)
