"""A prompt paints a mesh that is there: the shape is fixed, its colours are distilled (the second stage of Magic3D,
of colour alone; Lin et al. 2023, arXiv:2211.10440).

The colours are a field in the space around the mesh, so that seams of a texture play no part while it learns; at the
end they are baked.
"""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.background import Background, SolidBackground
from nerf.fields.base import Field
from nerf.lights import Shading
from nerf.materials.pbr import Pbr
from nerf.meshing.map_baking import baked_maps
from nerf.meshing.unwrapping import MOST_FACES
from nerf.products import Products
from nerf.renderers.surface import render_surface
from nerf.surfaces.extraction import colored
from priors.base import Prior
from priors.guidance.base import Guidance
from priors.prompts import Prompt
from priors.view_prior import check_told_words
from suite.geometry.cameras import CameraSampler
from suite.geometry.mesh import Mesh
from suite.io.mesh_checks import remark_on_size
from suite.io.meshes import load_mesh
from suite.run import Run
from suite.schedules import Cosine, Schedule, as_schedule
from suite.task import Optimization

log = logging.getLogger(__name__)
PAINTED_FACES = 100_000  # a step draws them all


class TextureMesh(Optimization):
    """Distils a prior into the colours of a mesh.

    Args:
        mesh: A .glb, .gltf, .obj, .ply, .stl or .off file, of any size and place.
        prompt: What it shall look like.
        prior: The frozen diffusion model.
        guidance: The rule that turns its opinion into a gradient.
        field: The colours around the mesh; its density plays no part.
        background, cameras, shading: As of text_to_3d.
        axes: Of the file: "world" (+Z up, +X front), "gltf" (+Y up, +Z front), "y_up", or "auto": by its suffix.
        faces: Of the mesh that is kept, at most; more are decimated.
        texture: Side of the baked texture in pixels; 0 gives vertex colours on the faces as they are.
        material: What the mesh is made of beside its colour, lit by an environment instead of `shading`; null is
            colour alone.
        normal_map: Keep in a texture what decimation takes from the shape; always with a material.
        steps: Steps of optimization.
        decay: What the learning rates are multiplied by, a number or schedule.
        products: What is made at the end; its `mesh` plays no part.
    """

    def __init__(
        self,
        *,
        mesh: str,
        prompt: Prompt | str,
        prior: Prior,
        guidance: Guidance,
        field: Field,
        cameras: CameraSampler,
        background: Background | None = None,
        shading: Shading | None = None,
        axes: str = "auto",
        faces: int = 10_000,
        texture: int = 1024,
        material: Pbr | None = None,
        normal_map: bool = False,
        steps: int = 300,
        decay: float | int | Sequence | Schedule = Cosine(1.0, 0.1),
        products: Products | None = None,
    ) -> None:
        if faces < 4 or (texture and not 64 <= texture <= 8192):
            raise ValueError(f"faces must be at least 4, texture 0 or 64 to 8192, got {faces} and {texture}.")
        if texture and faces > MOST_FACES:
            raise ValueError(
                f"A textured mesh has at most {MOST_FACES} faces, got {faces}: texture=0 keeps more."
            )
        if (material or normal_map) and not texture:
            raise ValueError("A material and a normal map are kept in textures: type texture=1024.")
        check_told_words(prior)
        self.prompt = Prompt(text=prompt) if isinstance(prompt, str) else prompt
        self.mesh = load_mesh(mesh, axes=axes)
        remark_on_size(self.mesh, mesh)
        self.world_from_unit = placed(self.mesh.bounds)
        unit_from_world = torch.linalg.inv(self.world_from_unit)
        self.whole = self.mesh.transformed(unit_from_world)
        self.shape = thinned(self.whole)
        self.material, self.normal_map = material, normal_map or material is not None
        self.prior, self.guidance, self.field = prior.requires_grad_(False), guidance, field
        self.background, self.shading = background or SolidBackground(random=1.0), shading
        self.cameras, self.faces, self.texture = cameras, faces, texture
        self.steps, self.decay, self.products = steps, as_schedule(decay), products or Products()

    def parameter_groups(self) -> list[dict]:
        of_material = self.material.parameter_groups(self.decay) if self.material else []
        return self.field.parameter_groups(self.decay) + of_material

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        progress, device = step / self.steps, next(self.field.parameters()).device
        self.field.set_progress(progress)
        if self.material:
            self.material.set_progress(progress)
        self.shape = self.shape.to(device)
        cameras = self.cameras.sample(generator).to(device)
        lighting = self.shading.draw(cameras, progress, generator) if self.shading else None
        rendering = render_surface(
            self.shape,
            self.albedo,
            cameras,
            background=self.background,
            lighting=lighting,
            material=self.material,
            generator=generator,
        )
        condition = self.prior.embed(self.prompt.seen_from(cameras), cameras)
        return self.guidance(
            self.prior, rendering.images, condition, generator=generator, progress=progress
        ).loss

    def albedo(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of places on the mesh, its longest side being 1."""
        return self.field(points).albedo

    def finish(self, run: Run) -> dict:
        shape = self.shape.to("cpu") if len(self.whole.faces) != len(self.shape.faces) else self.whole
        if self.texture and len(shape.faces) > self.faces:
            log.info("%d faces are decimated to %d for the texture.", len(shape.faces), self.faces)
            shape = shape.decimated(self.faces)
        device = next(self.field.parameters()).device
        painted = colored(shape, self.albedo, self.texture, device=device, radius=self.field.radius)
        maps, light = None, self.material.light if self.material else None
        if self.normal_map and painted.texture is not None:
            fine = self.whole if len(painted.faces) < len(self.whole.faces) else None
            maps = baked_maps(painted, material=self.material, fine=fine, device=device)
        kept = painted.transformed(self.world_from_unit)
        return self.products.of_mesh(painted, run, self.prompt.text, kept=kept, maps=maps, light=light)


def thinned(mesh: Mesh) -> Mesh:
    """With at most PAINTED_FACES faces: what pictures of some hundred pixels can show."""
    if len(mesh.faces) <= PAINTED_FACES:
        return mesh
    log.info("%d faces are decimated to %d for the pictures.", len(mesh.faces), PAINTED_FACES)
    return mesh.decimated(PAINTED_FACES)


def placed(bounds: Float[Tensor, "2 3"]) -> Float[Tensor, "4 4"]:
    """The matrix that puts a unit thing where the mesh is: its centre, its longest side."""
    matrix = torch.eye(4)
    matrix[:3, :3] *= (bounds[1] - bounds[0]).max()
    matrix[:3, 3] = bounds.mean(0)
    return matrix
