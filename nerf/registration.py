"""Where in its frame does a picture show the object's centre?

A picture is framed by its object's outline, and a prior turns the object about its centre, which need not lie in the
middle of the outline. The picture's camera keeps its place; its principal point p follows, step by step, the
difference between the centroids of the picture's mask m and of the rendering's opacity a:

    p <- p + rate (centroid(m) - centroid(a)),        in fractions of the frame, within +-REACH of its middle
"""

from dataclasses import replace

import torch
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.io.cutout import centroids
from suite.types import Masks

REACH = 0.2  # an object's centre is not farther from the middle of its outline


class Registration:
    """The principal point of the one camera of a picture.

    Args:
        rate: Share of the difference that is made up in a step; 0 leaves the middle.
    """

    def __init__(self, *, rate: float = 0.1) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"Registration needs rate in [0, 1], got {rate}.")
        self.rate, self.shift = rate, torch.zeros(2)

    def camera(self, camera: Cameras) -> Cameras:
        """The camera with this principal point."""
        if not bool(self.shift.any()):
            return camera
        return replace(camera, principal_point=(0.5 + self.shift)[None].to(camera.fov_deg))

    def note(self, opacity: Masks, mask: Masks) -> None:
        """Follow a rendering from this camera."""
        if self.rate == 0 or float(opacity.detach().sum()) < 1:  # nothing to be seen yet
            return
        step = (centroids(mask) - centroids(opacity.detach()))[0].cpu()
        self.shift = (self.shift + self.rate * step).clamp(-REACH, REACH)

    def state_dict(self) -> dict[str, Tensor]:
        """For checkpoints."""
        return {"shift": self.shift}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.shift = state["shift"].clone()
