"""Camera moves by crops: a clip as if the camera had panned, zoomed or rolled (AnimateDiff, Sec. 4.3).

A window of side s (in pictures of side 1) moves over the frames; its progress p is 0 at the first and 1 at the last.

    pan, tilt    the window goes from one border to the other: (1 - s) in all; panning left, what is seen goes right
    zoom         its side goes from 1 to s, or back
    roll         it turns by 2 arcs, and is so small that its corners stay inside: s = 1 / (cos + sin) of the arc
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError

Window = tuple[float, float, float, float]
"""Its centre (x right, y down; the picture is [-1, 1]^2), half its side, how far it is turned (clockwise, radians)."""


def _slide(dx: float, dy: float) -> Callable[[float, float], Window]:
    return lambda p, a: ((2 * p - 1) * dx * a, (2 * p - 1) * dy * a, 1 - a, 0.0)


def _roll(direction: float) -> Callable[[float, float], Window]:
    def window(p: float, a: float) -> Window:
        arc = math.pi / 2 * a
        side = 1 / (math.cos(arc) + math.sin(arc))
        return 0.0, 0.0, side, direction * (2 * p - 1) * arc

    return window


# of progress p in [0, 1] and amount a in (0, 0.5]; a is the part of the picture that the window leaves out
MOVES: dict[str, Callable[[float, float], Window]] = {
    "pan_left": _slide(-1, 0),
    "pan_right": _slide(1, 0),
    "tilt_up": _slide(0, -1),
    "tilt_down": _slide(0, 1),
    "zoom_in": lambda p, a: (0.0, 0.0, 1 - a * p, 0.0),
    "zoom_out": lambda p, a: (0.0, 0.0, 1 - a * (1 - p), 0.0),
    "roll_clockwise": _roll(1),
    "roll_anticlockwise": _roll(-1),
}


def check_move(move: str, amount: float | int) -> None:
    """Raises:
    UserError: There is no such move, or the amount is out of range.
    """
    if move and move not in MOVES:
        raise UserError(f"camera={move!r} is not one of: {', '.join(MOVES)}; empty for none.")
    if not 0 < amount <= 0.5:
        raise UserError(f"camera_amount must be above 0 and at most 0.5, got {amount}.")


def moved(
    frames: Float[Tensor, "b f 3 h w"], move: str, size: int, *, amount: float | int = 0.33
) -> Float[Tensor, "b f 3 s s"]:
    """Clips as a moving camera would see them.

    Args:
        frames: Of square pictures, best larger than `size`.
        move: One of MOVES; empty only scales.
        size: Of the result.
        amount: The part of the picture that the window leaves out, in (0, 0.5]; of a quarter turn, for rolls.
    """
    b, f = frames.shape[:2]
    windows = [
        MOVES[move](k / max(f - 1, 1), float(amount)) if move else (0.0, 0.0, 1.0, 0.0) for k in range(f)
    ]
    theta = torch.tensor(
        [
            [[s * math.cos(r), -s * math.sin(r), x], [s * math.sin(r), s * math.cos(r), y]]
            for x, y, s, r in windows
        ]
    ).to(frames)
    grid = F.affine_grid(theta, [f, 3, size, size], align_corners=False).repeat(b, 1, 1, 1)
    seen = F.grid_sample(
        frames.flatten(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return seen.unflatten(0, (b, f))
