"""`suite prepare_objects`: the folder of captioned real objects that toyworld's prior learns beside its own.

Which models are kept, what they are called and how they stand was decided by looking at each of the 820 and
is the table suite/assets/objects/sweethome3d.csv. Left out: look-alikes (one door, one window, a few chairs),
featureless boxes, and what is too thin to be recognised at 64 pixels.
"""

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.rasterizer import render_mesh
from suite.io.images import contact_sheet, write_image
from suite.io.meshes import AXES
from suite.io.weights import write_atomically
from suite.task import Task
from suite.toyworld.baking import bake
from suite.toyworld.materials import INVISIBLE, Part, read_parts, transformed
from suite.toyworld.real_objects import (
    RealObject,
    mesh_of,
    read_object,
    save_object,
    slug,
    table,
    write_captions,
)
from suite.toyworld.sweethome import Model, models

if TYPE_CHECKING:
    from suite.run import Run

CHOICES = Path(__file__).resolve().parent.parent / "assets/objects/sweethome3d.csv"
HIDDEN_GLASS = (
    0.7  # opacity below which glass is left out, for objects that are seen through it (an aquarium)
)


@dataclass(frozen=True)
class Choice:
    """What was decided about a model.

    Args:
        source: The model's id in its catalogue.
        caption: What it is called.
        azimuth_deg: It is turned about +Z by this,
        tilt_deg: then about +Y; 90 stands up what lies on its back.
        hide_glass: Whether it is seen through its glass.
        front: Whether front and back can be told apart.
    """

    source: str
    caption: str
    azimuth_deg: float = 0.0
    tilt_deg: float = 0.0
    hide_glass: bool = False
    front: bool = True


class PrepareObjects(Task):
    """A folder for `load_objects`: one .npz an object, captions.csv, LICENSES.csv, images/contact_sheet.png.

    Args:
        source: The package's folder, its .deb, a .sh3f or a zip; by default the installed package.
        max_edge: Longest edge of textured triangles, the longest side of an object being 1.
        max_faces: About how many faces an object has at most.
        choices: A table like suite/assets/objects/sweethome3d.csv, which is the default.
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        max_edge: float = 0.03,
        max_faces: int = 30_000,
        choices: str | None = None,
    ) -> None:
        if not max_edge > 0 or max_faces < 100:
            raise ValueError(
                f"prepare_objects needs max_edge > 0, max_faces >= 100; got {max_edge}, {max_faces}."
            )
        self.source, self.max_edge, self.max_faces = source, max_edge, max_faces
        self.choices = read_choices(choices or CHOICES)

    def run(self, run: "Run") -> None:
        with tempfile.TemporaryDirectory() as scratch:
            found = {model.id: model for model in models(self.source, Path(scratch))}
            chosen = [choice for choice in self.choices if choice.source in found]
            if not chosen:
                raise UserError(
                    f"None of the {len(found)} models in the source is in the table of objects to keep."
                )
            objects = []
            for choice in chosen:
                objects.append(self._prepared(choice, found[choice.source], run))
                run.log.info("%d of %d: %s", len(objects), len(chosen), choice.caption)
        objects.sort(key=lambda item: item.id)
        write_captions(run.directory, objects)
        columns = ("id", "caption", "licence", "creator", "source")
        rows = [[getattr(item, column) for column in columns] for item in objects]
        write_atomically(run.path("LICENSES.csv"), table(columns, rows))
        write_image(run.path("images", "contact_sheet.png"), pictures(objects))
        run.write_report({"objects": len(objects), "faces": sum(len(item.mesh.faces) for item in objects)})

    def _prepared(self, choice: Choice, model: Model, run: "Run") -> RealObject:
        path = run.path(f"{slug(choice.caption)}.npz")
        if not path.exists():  # else an earlier run was stopped
            parts = oriented(model, choice)
            save_object(path, mesh_of(bake(parts, max_edge=self.max_edge, max_faces=self.max_faces)))
        return RealObject(
            id=path.stem,
            caption=choice.caption,
            mesh=read_object(path),
            licence=model.licence,
            creator=model.creator,
            category=model.category,
            source=model.id,
            front=choice.front,
        )


def read_choices(path: str | Path) -> list[Choice]:
    """The rows of a table that are kept."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["keep"] == "yes"]
    except (OSError, KeyError) as error:
        raise UserError(f"{path} is not a table with the columns source, keep, caption: {error}") from error
    kept = [
        Choice(
            source=row["source"],
            caption=row["caption"],
            azimuth_deg=float(row.get("azimuth_deg") or 0),
            tilt_deg=float(row.get("tilt_deg") or 0),
            hide_glass=row.get("glass") == "hide",
            front=row.get("front") != "no",
        )
        for row in rows
    ]
    captions = [slug(choice.caption) for choice in kept]
    for name in captions:
        if not name or captions.count(name) > 1:
            raise UserError(f"{path} has the caption {name!r} more than once: each object needs its own.")
    return kept


def oriented(model: Model, choice: Choice) -> list[Part]:
    """The model's parts in its catalogue's proportions, +X front, +Z up."""
    parts = read_parts(model.path, invisible=HIDDEN_GLASS if choice.hide_glass else INVISIBLE)
    parts = transformed(parts, model.rotation)
    points = np.concatenate([part.vertices for part in parts])
    stretch = model.size / np.maximum(np.ptp(points, axis=0), 1e-9)
    if stretch.max() < 4 * stretch.min():  # else the thickness of something flat: noise
        parts = transformed(parts, np.diag(stretch / stretch.max()))
    turn = _about("z", choice.azimuth_deg)
    return transformed(parts, _about("y", choice.tilt_deg) @ turn @ AXES["gltf"][:3, :3].double().numpy())


def _about(axis: str, degrees: float) -> Float[ndarray, "3 3"]:
    """Rotation about +Z (+X towards +Y) or about +Y (+Z towards +X)."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    if axis == "z":
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def pictures(objects: list[RealObject], size: int = 96) -> Float[torch.Tensor, "3 H W"]:
    """All objects with their captions, each seen from the front and from 40 degrees beside it."""
    camera = Cameras.orbit([0.0, 40.0], [15.0, 20.0], [1.8, 1.8], [40.0, 40.0], height=size, width=size)
    seen = [torch.cat(list(render_mesh(item.mesh, camera).images), dim=2) for item in objects]
    return contact_sheet(
        torch.stack(seen), columns=min(12, len(seen)), labels=[item.caption for item in objects]
    )
