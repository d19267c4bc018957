"""The second stage of Magic3D (Lin et al. 2023, arXiv:2211.10440): a coarse field becomes a textured mesh.

The surface starts as that of the field, its colours as the field's own; both are distilled further in pictures of a
higher resolution, which triangles make cheap, at smaller noise, which leaves the shape and asks for detail.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nerf.background import Background, SolidBackground
from nerf.closeups import Closeups
from nerf.fields.base import Field
from nerf.lights import Shading
from nerf.materials.pbr import Pbr
from nerf.meshing.map_baking import baked_maps
from nerf.products import Products, SceneHealth
from nerf.regularizers.mesh_base import MeshRegularizer
from nerf.renderers.base import Renderer
from nerf.renderers.surface import render_surface
from nerf.surfaces.base import Surface
from nerf.surfaces.convert import surface_of_field
from nerf.surfaces.extraction import SurfaceExtractor
from nerf.surfaces.shapes import grid_points
from priors.base import Prior
from priors.guidance.base import Guidance
from priors.prompts import Prompt
from suite.geometry.cameras import CameraSampler
from suite.io.pointclouds import import_open3d
from suite.run import Run
from suite.schedules import Cosine, Schedule, as_schedule
from suite.task import Optimization


class RefineMesh(Optimization):
    """Distils a prior into a surface and its colours, as a stage after a coarse field.

    Args:
        surface: What is optimized; without a texture of its own it takes over the field and its colours.
        guidance: As of the first stage, at smaller noise.
        prior: The frozen diffusion model; null is that of the first stage.
        cameras: Where the surface is seen from, and the size of the pictures.
        background, shading: As of the first stage.
        regularizer: Terms on the mesh, by name.
        steps: Steps of optimization.
        decay: What the learning rates are multiplied by, a number or schedule.
        extractor: How the mesh that is kept is made.
        material: What the surface is made of beside its colour, lit by an environment instead of `shading`; null
            is colour alone.
        closeups: Shows parts of the object larger in some pictures, for detail that the prior's pictures of the whole
            are too small for; null never does.

    Raises:
        UserError: Open3D cannot be imported.
    """

    def __init__(
        self,
        *,
        surface: Surface,
        guidance: Guidance,
        prior: Prior | None = None,
        cameras: CameraSampler,
        background: Background | None = None,
        shading: Shading | None = None,
        regularizer: dict[str, MeshRegularizer] | None = None,
        steps: int = 200,
        decay: float | int | Sequence | Schedule = Cosine(1.0, 0.1),
        extractor: SurfaceExtractor | None = None,
        material: Pbr | None = None,
        closeups: Closeups | None = None,
    ) -> None:
        if steps < 1:
            raise ValueError(
                f"refine.steps must be at least 1, got {steps}. refine=null leaves the stage out."
            )
        import_open3d()  # measures the distance to the first stage's mesh: better refused before that stage than after
        self.surface, self.guidance, self.cameras = surface, guidance, cameras
        self.prior = prior.requires_grad_(False) if prior else None
        self.background, self.shading = background or SolidBackground(random=1.0), shading
        self.regularizer, self.steps, self.decay = regularizer or {}, steps, as_schedule(decay)
        self.extractor, self.scene_health = extractor or SurfaceExtractor(), SceneHealth()
        self.prompt, self.products = Prompt(text="?"), Products()
        self.material, self.closeups = material, closeups
        if material and not self.extractor.texture:
            raise ValueError("A material is kept in textures: type refine.extractor.texture=512.")

    def start_from(
        self, field: Field, renderer: Renderer, *, prompt: Prompt, prior: Prior, products: Products
    ) -> None:
        """Begin as the surface of a field; the prompt, and the prior where none is given, are the first stage's.

        Raises:
            NoSurface: The field is empty or fog.
        """
        self.prompt, self.products, self.prior = prompt, products, self.prior or prior
        distance = surface_of_field(field, self.surface.resolution, renderer=renderer).shape()
        self.surface.set_distance(distance(grid_points(self.surface.resolution, self.surface.radius)))
        if self.surface.texture is None:
            self.surface.texture = field

    def parameter_groups(self) -> list[dict]:
        of_material = self.material.parameter_groups(self.decay) if self.material else []
        return self.surface.parameter_groups(self.decay) + of_material

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress = step / self.steps
        self.surface.set_progress(progress)
        if self.material:
            self.material.set_progress(progress)
        cameras = self.cameras.sample(generator).to(self.surface.values.device)
        mesh = self.surface()
        if self.closeups:
            cameras = self.closeups(cameras, mesh.vertices, progress, generator)
        lighting = self.shading.draw(cameras, progress, generator) if self.shading else None
        rendering = render_surface(
            mesh,
            self.surface.albedo,
            cameras,
            background=self.background,
            lighting=lighting,
            material=self.material,
            generator=generator,
        )
        condition = self.prior.embed(self.prompt.seen_from(cameras), cameras)
        pull = self.guidance(self.prior, rendering.images, condition, generator=generator, progress=progress)
        self.log("opacity", self.scene_health.note(rendering.opacity, progress))
        return pull.loss + sum(
            term(mesh, self.surface, progress=progress, generator=generator)
            for term in self.regularizer.values()
        )

    def health(self) -> str | None:
        return self.scene_health.verdict()

    def finish(self, run: Run) -> dict:
        mesh = self.extractor(self.surface)
        if self.material is None or mesh.texture is None:
            return self.products.of_mesh(mesh, run, self.prompt.text)
        device, fine = next(self.surface.parameters()).device, self.extractor.shape(self.surface)
        maps = baked_maps(mesh, material=self.material, fine=fine, device=device)
        return self.products.of_mesh(mesh, run, self.prompt.text, maps=maps, light=self.material.light)
