"""Camera moves by crops, on a picture with one dot."""

import pytest
import torch

from suite.errors import UserError
from video.motion.cameras import MOVES, check_move, moved


def dot_path(move: str, x: float, y: float) -> torch.Tensor:
    """Where a dot at (x right, y up, in [-1, 1]) is seen in each of 5 frames, in the same units."""
    side, centre = 96, torch.linspace(-1, 1, 97)[:-1] + 1 / 96
    spot = torch.exp(-((centre[None] - x) ** 2 + (centre[:, None] + y) ** 2) / 0.01)
    seen = moved(spot.expand(1, 5, 3, side, side), move, 64, amount=0.3)[0, :, 0]
    grid = torch.linspace(-1, 1, 65)[:-1] + 1 / 64
    mass = seen.sum((1, 2))
    return torch.stack([(seen.sum(1) * grid).sum(1) / mass, -(seen.sum(2) * grid).sum(1) / mass], dim=1)


@pytest.mark.parametrize(
    ("move", "x", "y"),
    [("pan_left", 1, 0), ("pan_right", -1, 0), ("tilt_up", 0, -1), ("tilt_down", 0, 1)],
)
def test_what_is_seen_goes_the_other_way(move, x, y):
    """A window of side 0.7 that moves by 0.3 each way about the middle: a dot there moves by 0.6 / 0.7."""
    path = dot_path(move, 0.0, 0.0)
    torch.testing.assert_close(path[-1] - path[0], torch.tensor([x, y]) * 0.6 / 0.7, atol=0.02, rtol=0)
    assert path[2].abs().max() < 0.02


def test_zooming_scales_about_the_middle():
    """In: from the whole picture to 0.7 of it. Out is the same backwards."""
    path = dot_path("zoom_in", 0.3, 0.0)[:, 0]
    torch.testing.assert_close(path, 0.3 / (1 - 0.3 * torch.linspace(0, 1, 5)), atol=0.02, rtol=0)
    torch.testing.assert_close(dot_path("zoom_out", 0.3, 0.0)[:, 0], path.flip(0), atol=0.02, rtol=0)


def test_rolling_turns_the_other_way():
    """A camera that rolls clockwise sees the world turn anticlockwise, by twice 0.3 of a right angle."""
    path = dot_path("roll_clockwise", 0.3, 0.0)
    angles = torch.rad2deg(torch.atan2(path[:, 1], path[:, 0]))
    torch.testing.assert_close(angles, torch.linspace(-27.0, 27.0, 5), atol=1.0, rtol=0)
    torch.testing.assert_close(dot_path("roll_anticlockwise", 0.3, 0.0), path.flip(0), atol=0.02, rtol=0)


@pytest.mark.parametrize("move", MOVES)
def test_nothing_from_beyond_the_border_is_seen(move):
    """The window stays inside the picture: a white clip on which the border is marked shows little of the mark."""
    inside = torch.ones(1, 5, 3, 64, 64)
    inside[..., 0, :] = inside[..., -1, :] = inside[..., :, 0] = inside[..., :, -1] = 0
    assert (moved(inside, move, 64, amount=0.3) < 0.01).float().mean() < 0.02


def test_moves_that_do_not_exist():
    """Both options say what is possible."""
    with pytest.raises(
        UserError, match="camera='spin' is not one of: pan_left, .*roll_anticlockwise; empty for none"
    ):
        check_move("spin", 0.3)
    with pytest.raises(UserError, match="camera_amount must be above 0 and at most 0.5, got 0.9"):
        check_move("pan_left", 0.9)
