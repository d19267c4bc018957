"""How many faces has an object? Two indices against the Janus problem of score distillation.

    janus_index        mean over views from behind of P(front) / (1 - P(overhead)), by the judge: 0 where they
                       look like a back or a side, 1 where a second face looks back
    mirror_difference  sum |I(a) - flip I(180 deg - a)| / sum of the union of both masks: no judge, no prior

The mirror plane x = 0 takes the camera at azimuth a to 180 deg - a and flips its picture: an object whose
back is its front's mirror image has the mirror difference 0, and so does one without a front (a mushroom).
`two_faced` plants the defect: the front half and its mirror image. The indices are calibrated on it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.metrics.judge import Judge, load_judge
from suite.toyworld.captions import VIEWS
from suite.toyworld.objects import Surface
from suite.types import Images, Masks

BEHIND_DEG = (
    150.0  # azimuths beyond are views from behind, clear of where side views begin, whichever face they show
)
LEVEL_DEG = 45.0  # elevations above show the top


@dataclass(frozen=True)
class Janus:
    """Whether an object shows its face at the back.

    Args:
        index: Mean probability of "front" from behind, in [0, 1].
        faces: Places around the object at which "front" is the likeliest word; 1 is right.
        front: Probability of "front" (given that it is not overhead) for each view.
    """

    index: float
    faces: int
    front: Float[Tensor, " b"]


def janus_index(images: Images, cameras: Cameras, judge: Judge | None = None) -> Janus:
    """The index of an object that has a front (+X), from views around it.

    Args:
        images: Views on plain backgrounds, 16 around it by custom.
        cameras: Of the pictures; views from above LEVEL_DEG are left out.

    Raises:
        ValueError: No view is from behind.
    """
    azimuth = cameras.azimuth_deg.cpu()
    level = cameras.elevation_deg.cpu() <= LEVEL_DEG
    behind = (azimuth.abs() >= BEHIND_DEG) & level
    if not bool(behind.any()):
        raise ValueError(
            f"The Janus index needs views from behind: azimuths beyond {BEHIND_DEG:g} and elevations up to "
            f"{LEVEL_DEG:g} degrees, as Cameras.orbit(list(range(0, 360, 22)), 15) gives."
        )
    views = (judge or load_judge()).look(images).view.cpu()
    level_views = [i for i, word in enumerate(VIEWS) if word != "overhead view"]
    front = views[:, level_views].softmax(1)[:, VIEWS.index("front view")]
    around = front[level][azimuth[level].argsort()] > 0.5
    faces = int((around & ~around.roll(1)).sum()) if not bool(around.all()) else 1
    return Janus(float(front[behind].mean()), faces, front)


def mirror_difference(images: Images, masks: Masks, cameras: Cameras) -> float:
    """How much an object differs from its mirror image in the plane between its front and its back.

    Args:
        images: Views on one plain background, lit symmetrically (light at the camera).
        masks: What the object covers in them.
        cameras: Of the pictures: with each azimuth a also 180 - a, at one elevation.

    Raises:
        ValueError: A camera has no partner.
    """
    azimuth, elevation = cameras.azimuth_deg.cpu(), cameras.elevation_deg.cpu()
    apart = (180 - azimuth[:, None] - azimuth[None] + 180) % 360 - 180
    cost = apart.abs() + (elevation[:, None] - elevation[None]).abs()
    nearest, partner = cost.min(1)
    if bool((nearest > 0.5).any()):
        lonely = azimuth[nearest.argmax()]
        raise ValueError(
            f"mirror_difference needs cameras in pairs: the azimuth {lonely:g} has no partner at "
            f"{180 - lonely:g} degrees."
        )
    flipped, covered = images[partner].flip(-1), torch.maximum(masks, masks[partner].flip(-1))
    difference = ((images - flipped).abs().mean(1, keepdim=True) * covered).sum()
    return float(difference / covered.sum().clamp(min=1))


def two_faced(surface: Surface) -> Surface:
    """The front half of a surface and its mirror image behind it: a planted Janus.

    Faces that cross the plane x = 0 are flattened onto it.
    """
    front = surface.vertices[surface.faces][..., 0].max(1) > 0
    used, faces = np.unique(surface.faces[front], return_inverse=True)
    faces = faces.reshape(-1, 3).astype(np.int32)
    vertices, mirror = surface.vertices[used].copy(), np.array([-1, 1, 1], np.float32)
    vertices[:, 0] = vertices[:, 0].clip(min=0)
    normals = surface.normals[used]
    return replace(
        surface,
        vertices=np.concatenate([vertices, vertices * mirror]),
        faces=np.concatenate([faces, faces[:, ::-1] + len(used)]).astype(np.int32),
        normals=np.concatenate([normals, normals * mirror]),
        colors=np.tile(surface.colors[used], (2, 1)),
        patterned=np.tile(surface.patterned[used], 2),
    )
