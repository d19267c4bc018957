"""toyworld under a light that stands still, so that one surface has one colour from everywhere."""

import numpy as np

from suite.geometry.cameras import Cameras
from suite.toyworld.objects import Surface
from suite.toyworld.render import Lights, Pictures, render

LIGHT, AMBIENT, DIFFUSE = (0.56, 0.37, 0.74), 0.6, 0.45  # mostly from above


def stills(surface: Surface, cameras: Cameras, *, background: float | int = 1.0) -> Pictures:
    """Pictures of a surface on a grey of level `background`, of the cameras' size."""
    n = len(cameras)
    lights = Lights(
        np.tile(np.asarray(LIGHT, np.float32), (n, 1)),
        np.full(n, AMBIENT, np.float32),
        np.full(n, DIFFUSE, np.float32),
    )
    return render(
        surface,
        cameras.world_from_camera.cpu().numpy(),
        cameras.fov_deg.cpu().numpy(),
        height=cameras.height,
        width=cameras.width,
        lights=lights,
        background=np.full((n, 3), background, np.float32),
    )
