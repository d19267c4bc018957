"""How right is what was made? Measures against the truth, at the end of a run whose prompt names a known thing.

    shape    the extracted mesh against the true one, both as `suite.metrics.geometry` compares them: after the
             scale, shift and turn about +Z that fit best; lengths in longest sides of the true object
    look     views of the volume, named by the independent judge
    detail   unlit views of both, as `suite.metrics.sharpness` compares them

Of the true mesh only what can be seen from outside counts (`suite.geometry.visibility`), as no picture tells
about the rest; the volume IoU takes all of it. A prompt outside the known world is not measured, with a line
in the log that says so.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from suite.errors import UserError
from suite.geometry.cameras import Cameras, orbit_path
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import render_mesh
from suite.geometry.visibility import outer_surface
from suite.io.images import contact_sheet, write_image
from suite.metrics.geometry import compare_meshes
from suite.metrics.janus import janus_index
from suite.metrics.judge import SHIPPED, Judge, load_judge
from suite.metrics.sharpness import compare_sharpness
from suite.metrics.text import claim_of, text_agreement
from suite.metrics.volumes import volume_iou
from suite.toyworld.dataset import Named
from suite.toyworld.lookup import Things, without_article, without_view
from suite.toyworld.render import Lights, render
from suite.types import Images
from suite.viz import Render

log = logging.getLogger(__name__)
Measures = dict[str, float | int]


class Truth:
    """Measures what was made of a prompt.

    Args:
        objects: A folder of captioned meshes whose shapes are known beside toyworld's, as `suite
            prepare_objects` makes; a prompt that names one of them is compared with it.
        views, size: Pictures around the object for the judge, and their side in pixels.
        elevation_deg, distance: Of these pictures' cameras.
        background: Grey level behind the object in them.
        judge: Folder of the judge; empty takes the shipped one.

    Raises:
        UserError: There is no such folder of objects.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        views: int = 16,
        size: int = 64,
        elevation_deg: float | int = 15.0,
        distance: float | int = 1.8,
        background: float | int = 0.75,
        judge: str = "",
    ) -> None:
        if views < 4 or size < 8 or not 0 <= background <= 1:
            raise ValueError(
                "Truth needs views >= 4, size >= 8 and a grey level background in [0, 1], "
                f"got {views=}, {size=}, {background=}."
            )
        self.things, self.judge = Things(objects), Path(judge) if judge else SHIPPED
        self.background = float(background)
        self.cameras = orbit_path(views, elevation_deg, distance, 40.0, height=size, width=size)

    def __call__(
        self,
        prompt: str,
        mesh: Mesh | None,
        render: Render,
        *,
        sheet: str | Path | None = None,
        device: torch.device | str = "cpu",
    ) -> Measures:
        """All measures that can be taken.

        Args:
            mesh: What was extracted; None where nothing was.
            render: Draws the object on a grey of level `background`.
            sheet: Where to write the judged pictures, each with what the judge sees in it.
            device: Of the cameras for `render`.
        """
        return self.shape(prompt, mesh) | self.look(prompt, render, sheet=sheet, device=device)

    def shape(self, prompt: str, mesh: Mesh | None) -> Measures:
        """chamfer, f_score, volume_iou, normal_consistency, turned_deg (of the alignment), sharpness and
        detail_match of a coloured mesh; or nothing."""
        thing = self._thing(prompt)
        if thing is None or mesh is None:
            return {}
        truth = true_mesh(thing)
        try:
            found = compare_meshes(mesh, outer_surface(truth))
        except ValueError as error:
            log.warning("The mesh is not compared with the true one: %s", error)
            return {}
        aligned = mesh.to("cpu").transformed(found.alignment.matrix)
        found = replace(found, volume_iou=volume_iou(aligned, truth))
        lengths = {"chamfer": found.chamfer, "f_score": found.f_score, "volume_iou": found.volume_iou}
        others = {"normal_consistency": found.normal_consistency, "turned_deg": found.alignment.azimuth_deg}
        found_there = lengths | others | sharpness_beside(aligned, thing)
        return {name: round(value, 4) for name, value in found_there.items()}

    def look(
        self,
        prompt: str,
        render: Render,
        *,
        sheet: str | Path | None = None,
        device: torch.device | str = "cpu",
    ) -> Measures:
        """Shares of views in which the judge finds the prompt right, or nothing.

        named (name and, where the prompt says one, colour), name_right, color_right, pattern_right, view_right
        (of things with a front), r_precision and rank among all that the judge can tell apart; janus_index and
        janus_faces of things with a front.
        """
        try:
            judge = load_judge(self.judge)
            claim = claim_of(prompt, judge.world)
        except UserError as error:
            log.info("The pictures are not judged. %s", _first_sentence(error))
            return {}
        images = _pictures(render, self.cameras.to(device))
        if sheet is not None:
            write_image(sheet, labelled(images, judge))
        agreement = text_agreement(images, prompt, cameras=self.cameras, judge=judge)
        measures = {
            "named": agreement.named,
            "name_right": agreement.name,
            "color_right": agreement.color,
            "pattern_right": agreement.pattern,
            "view_right": agreement.view,
            "r_precision": agreement.r_precision,
            "rank": agreement.rank,
        }
        if claim.name in judge.world.fronts:
            janus = janus_index(images, self.cameras, judge)
            measures |= {"janus_index": round(janus.index, 4), "janus_faces": janus.faces}
        return {name: value for name, value in measures.items() if value is not None}

    def _thing(self, prompt: str) -> Named | None:
        """What the prompt names. The shape is known without a colour too: "a mushroom"."""
        words = without_view(prompt)
        try:
            return self.things.named(words)
        except UserError as error:
            try:
                return self.things.named(f"red {without_article(words)}")
            except UserError:
                log.info("The true shape is not known. %s", _first_sentence(error))
                return None


def true_mesh(thing: Named) -> Mesh:
    """The exact mesh of a thing, coloured."""
    surface = thing.surface
    return Mesh(
        torch.from_numpy(surface.vertices),
        torch.from_numpy(surface.faces).long(),
        vertex_colors=torch.from_numpy(surface.colors),
    )


def sharpness_beside(mesh: Mesh, thing: Named, *, views: int = 8, size: int = 128) -> dict[str, float]:
    """Sharpness and match of an aligned mesh's colours, unlit, beside the true ones; nothing where there is no
    colour or no detail."""
    if mesh.texture is None and mesh.vertex_colors is None:
        return {}
    cameras = orbit_path(views, 15.0, 1.8, 40.0, height=size, width=size)
    black, every = np.zeros((views, 3), np.float32), np.ones(views, np.float32)
    true = render(
        thing.surface, cameras.world_from_camera.numpy(), cameras.fov_deg.numpy(), height=size, width=size,
        lights=Lights(black, every, 0 * every), background=black,
    )  # fmt: skip
    made = render_mesh(mesh, cameras, shading="none", background=(0.0, 0.0, 0.0))
    images, masks = torch.from_numpy(true.images).movedim(-1, 1), torch.from_numpy(true.masks)[:, None]
    found = compare_sharpness(made.images, made.masks, images, masks)
    return {} if found is None else {"sharpness": found.sharpness, "detail_match": found.match}


def labelled(images: Images, judge: Judge) -> torch.Tensor:
    """The pictures in rows of eight with what the judge sees in each."""
    verdict = judge.look(images)
    named = zip(verdict.best("name"), verdict.best("color"))
    labels = [name if name not in judge.world.kinds else f"{color} {name}" for name, color in named]
    return contact_sheet(images, 8, labels)


def _pictures(render: Render, cameras: Cameras) -> Images:
    pieces = [render(cameras[k : k + 4]).images for k in range(0, len(cameras), 4)]
    return torch.cat(pieces).cpu().float().clamp(0, 1)


def _first_sentence(error: Exception) -> str:
    return f"{' '.join(str(error).split()).split('. ')[0].rstrip('.')}."
