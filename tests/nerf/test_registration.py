"""The principal point of a picture's camera follows what is seen."""

import pytest
import torch

from nerf.registration import REACH, Registration
from suite.geometry.cameras import Cameras

CAMERA = Cameras.orbit(0.0, 0.0, 2.0, 40.0, height=20, width=40)


def dot(x: int, y: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 20, 40)
    mask[..., y, x] = 2.0
    return mask


def test_a_point_lands_where_the_mask_is():
    """The world's origin, rendered in the middle, is moved onto the mask at (24, 8); a few steps suffice."""
    followed = Registration(rate=0.5)
    for _ in range(12):
        pixels, _ = followed.camera(CAMERA).project(torch.zeros(1, 3))
        x, y = (pixels[0, 0] - 0.5).round().long().tolist()
        followed.note(dot(x, y), dot(24, 8))
    pixels, _ = followed.camera(CAMERA).project(torch.zeros(1, 3))
    assert (pixels[0, 0] - torch.tensor([24.5, 8.5])).abs().max() < 1


def test_it_stays_near_the_middle_and_where_nothing_is_seen():
    """Never more than REACH away; an empty rendering, or rate 0, moves nothing."""
    followed = Registration(rate=1.0)
    for _ in range(5):
        followed.note(dot(0, 0), dot(39, 19))
    assert followed.shift.tolist() == pytest.approx([REACH, REACH])
    copied = Registration()
    copied.load_state_dict(followed.state_dict())
    assert torch.equal(copied.shift, followed.shift)
    for still, seen in ((Registration(), torch.zeros(1, 1, 20, 40)), (Registration(rate=0.0), dot(0, 0))):
        still.note(seen, dot(39, 19))
        assert still.camera(CAMERA) is CAMERA
    with pytest.raises(ValueError, match="needs rate in .0, 1., got 2"):
        Registration(rate=2.0)
