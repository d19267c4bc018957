"""Pictures of a field as `suite.viz` and the search for a surface want them."""

import torch

from nerf.background import Background
from nerf.fields.base import Field
from nerf.renderers.base import Renderer
from suite.geometry.cameras import Cameras
from suite.viz import Views

VIEWS_AT_ONCE = 4  # the renderer cuts a batch into pieces by rays, but keeps the whole batch's pictures


def device_of(field: Field) -> torch.device:
    """Where the field computes."""
    return next((tensor.device for tensor in field.state_dict().values()), torch.device("cpu"))


@torch.no_grad()
def field_views(
    field: Field,
    renderer: Renderer,
    cameras: Cameras,
    *,
    background: Background | None = None,
    normals: bool = True,
) -> Views:
    """The volume rendered without light or jitter; the pictures are on the CPU.

    Args:
        normals: Also give normals, which costs as much again as the rest.
    """
    cameras = cameras.to(device_of(field))
    pieces = []
    for k in range(0, len(cameras), VIEWS_AT_ONCE):
        some = cameras[k : k + VIEWS_AT_ONCE]
        rays = some.rays()
        rendering = renderer(field, rays, background=background, normals=normals)
        # the renderer measures depth along each ray, Views along the view axis
        axis = -some.world_from_camera[:, None, None, :3, 2]
        cosine = (rays.directions * axis).sum(-1)[:, None]
        direction = rendering.normals
        if direction is not None:
            direction = torch.nn.functional.normalize(direction, dim=1)
        found = (rendering.images, rendering.opacity, rendering.depth * cosine, direction)
        pieces.append([None if x is None else x.cpu() for x in found])
    joined = [None if column[0] is None else torch.cat(column) for column in zip(*pieces, strict=True)]
    return Views(*joined)
