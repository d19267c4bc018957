"""What an optimized field leaves behind: a mesh, a turntable, a sheet of views; and whether it is healthy."""

import logging
from pathlib import Path

import torch
from torch import Tensor

from nerf.background import Background, SolidBackground
from nerf.fields.base import Field
from nerf.materials.lighting import EnvironmentLight
from nerf.meshing.extraction import MeshExtractor, export
from nerf.meshing.level import NoSurface
from nerf.meshing.views import field_views
from nerf.renderers.baked import baked_views
from nerf.renderers.base import Renderer
from nerf.truth import Truth
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.io.surface_maps import SurfaceMaps
from suite.metrics.meshes import mesh_report
from suite.run import Run
from suite.types import Masks
from suite.viz import Render, Views, contact_sheet, mesh_views, turntable

log = logging.getLogger(__name__)
JUDGED = ("named", "name_right", "color_right")


class Products:
    """What is made of a field when its optimization ends.

    Args:
        mesh: How the mesh is made.
        frames, size: Of the turntable: frames in a turn, height and width of a panel in pixels.
        views: Pictures in the contact sheet.
        truth: Measures against what the prompt names, if that is known.
    """

    def __init__(
        self,
        *,
        mesh: MeshExtractor | None = None,
        frames: int = 48,
        size: int = 128,
        views: int = 8,
        truth: Truth | None = None,
    ) -> None:
        if frames < 1 or size < 16 or views < 1:
            raise ValueError(
                f"Products needs frames >= 1, size >= 16 and views >= 1, got {frames=}, {size=}, {views=}."
            )
        self.mesh, self.frames, self.size, self.views = mesh or MeshExtractor(), frames, size, views
        self.truth = truth

    def __call__(
        self,
        field: Field,
        renderer: Renderer,
        background: Background,
        run: Run,
        prompt: str = "",
        *,
        folder: str = "",
    ) -> dict:
        """Writes meshes/, videos/turntable.mp4 and images/views.png into the run; returns measures.

        The sheet shows the volume, the turntable the mesh (or, where there is none, the volume). What a prompt
        names is what the result is measured against, with images/judged.png. `folder` is one inside the run, for
        a stage that is not the last.
        """
        device = next(field.parameters()).device
        volume = volume_views(field, renderer, background)
        sheet = run.path(folder, "images", "views.png")
        contact_sheet(volume, sheet, views=self.views, size=self.size, at_once=1, device=device)
        measures, mesh = {"faces": 0}, None
        try:
            extracted = self.mesh(field, renderer)
            measures, mesh = extracted.measures(), extracted.mesh
            log.info("Mesh: %s.", mesh_report(mesh).line())
            export(mesh, run.path(folder, "meshes", "mesh.glb").parent)
        except NoSurface as error:
            log.warning("No mesh: %s", error)
        shown = volume if mesh is None else mesh_views(mesh)
        video, where = (
            run.path(folder, "videos", "turntable.mp4"),
            device if mesh is None else torch.device("cpu"),
        )
        turntable(shown, video, frames=self.frames, size=self.size, device=where)
        if self.truth is None or not prompt:
            return measures
        plain = volume_views(field, renderer, SolidBackground(color=[self.truth.background] * 3).to(device))
        judged = run.path(folder, "images", "judged.png")
        found = self.truth(prompt, mesh, plain, sheet=judged, device=device)
        if (
            folder and mesh is not None
        ):  # a later stage is judged by its mesh: so is this one, beside its volume
            by_mesh = self.truth.look(prompt, mesh_views(mesh))
            found |= {f"mesh_{name}": by_mesh[name] for name in JUDGED if name in by_mesh}
        return measures | found

    def of_mesh(
        self,
        mesh: Mesh,
        run: Run,
        prompt: str = "",
        *,
        kept: Mesh | None = None,
        maps: SurfaceMaps | None = None,
        light: EnvironmentLight | None = None,
    ) -> dict:
        """The same of a mesh as it is. Where another one is `kept`, that is exported, and no shape is compared.

        Args:
            maps: Of its material, exported with it.
            light: What the pictures with these maps are lit by.
        """
        export(kept or mesh, run.path("meshes", "mesh.glb").parent, maps=maps)
        plain, where = mesh_views(mesh), torch.device("cpu")
        shown = baked_views(mesh, maps, light.to(where)) if maps and light else plain
        contact_sheet(
            shown, run.path("images", "views.png"), views=self.views, size=self.size, at_once=1, device=where
        )
        turntable(
            shown, run.path("videos", "turntable.mp4"), frames=self.frames, size=self.size, device=where
        )
        found = mesh_report(kept or mesh)
        log.info("Mesh: %s.", found.line())
        if self.truth is None or not prompt:
            return found.measures()
        compared, judged = None if kept else mesh, run.path("images", "judged.png")
        return found.measures() | self.truth(prompt, compared, plain, sheet=judged, device=where)


def volume_views(field: Field, renderer: Renderer, background: Background) -> Render:
    """A function of cameras that draws the volume; without normals, which cost as much again."""

    def render(cameras: Cameras) -> Views:
        return field_views(field, renderer, cameras, background=background, normals=False)

    return render


def write_preview(
    field: Field, renderer: Renderer, background: Background, path: Path, *, views: int = 4, size: int = 96
) -> None:
    """A row of pictures from around the object."""
    device = next(field.parameters()).device
    render = volume_views(field, renderer, background)
    contact_sheet(render, path, views=views, size=size, columns=views, device=device)


class SceneHealth:
    """Notices a scene that has vanished, or swallowed the camera, from the mean opacity of its pictures.

    Args:
        empty_below, saturated_above: Mean opacities that end a run.
        after: Progress before which nothing is said: a scene may start as anything.
    """

    def __init__(
        self, *, empty_below: float = 0.005, saturated_above: float = 0.98, after: float = 0.2
    ) -> None:
        self.empty_below, self.saturated_above, self.after = empty_below, saturated_above, after
        self.opacity, self.progress = 0.5, 0.0

    def note(self, opacity: Masks, progress: float) -> Tensor:
        """Remember the pictures of a step; returns their mean opacity."""
        self.opacity, self.progress = opacity.detach().mean(), progress
        return self.opacity

    def verdict(self) -> str | None:
        """Why going on makes no sense, or None."""
        opacity = float(self.opacity)
        if self.progress < self.after:
            return None
        if opacity < self.empty_below:
            return (
                f"the scene is empty (mean opacity {opacity:.4f}): lower the weight of regularizer.opacity, or "
                "raise the guidance scale or the density's blob_height"
            )
        if opacity > self.saturated_above:
            return (
                f"the scene fills every picture (mean opacity {opacity:.3f}): raise the weight of "
                "regularizer.opacity, or lower the learning rate or the density's gain"
            )
        return None
