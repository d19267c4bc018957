"""Close looks: some pictures of a batch show a part of the object from the same place, larger.

A prior whose pictures are small cannot ask for detail that its pictures do not show; a part of the object fills
them with more of it. A close look is a camera of its own, which looks at another point through a narrower field of
view: exactly that part of the larger picture but for the turn of the image plane. So priors that are told cameras
need nothing else; those that are told words alone expect a whole object, and pull on its parts accordingly.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.geometry.transforms import look_at
from suite.schedules import Schedule, as_schedule


class Closeups:
    """Turns some cameras of a batch to a part of the object.

    Args:
        share: Probability for each picture, a number or schedule; 0 never.
        zoom: How many times larger the part is seen, drawn between these.
    """

    def __init__(
        self, *, share: float | int | Sequence | Schedule = 0.5, zoom: Sequence[float | int] = (2.0, 2.0)
    ) -> None:
        if len(zoom) != 2 or not 1 <= zoom[0] <= zoom[1]:
            raise ValueError(f"Closeups needs zoom=[low, high] with 1 <= low <= high, got {list(zoom)}.")
        self.share, self.zoom = as_schedule(share), (float(zoom[0]), float(zoom[1]))
        for progress in (0.0, 0.5, 1.0):
            if not 0 <= self.share(progress) <= 1:
                raise ValueError(f"Closeups needs share in [0, 1], got {self.share(progress)}.")

    def __call__(
        self, cameras: Cameras, places: Float[Tensor, "v 3"], progress: float, generator: torch.Generator
    ) -> Cameras:
        """The same cameras, some of them close.

        Args:
            places: Of the object: one of them is what a close camera looks at.
        """
        n, device = len(cameras), generator.device
        u = torch.rand(3, n, generator=generator, device=device).to(cameras.fov_deg)
        if len(places) == 0:
            return cameras
        close = u[0] < self.share(progress)
        target = places.detach()[(u[1] * len(places)).long().clamp_max(len(places) - 1)].to(u)
        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * u[2]
        fov = 2 * torch.rad2deg(torch.atan(torch.tan(torch.deg2rad(cameras.fov_deg) / 2) / zoom))
        turned = look_at(cameras.position, target, torch.tensor([0.0, 0, 1]).to(u).expand(n, 3))
        return replace(
            cameras,
            world_from_camera=torch.where(close[:, None, None], turned, cameras.world_from_camera),
            fov_deg=torch.where(close, fov, cameras.fov_deg),
        )
