"""Context windows: a clip of any length from motion modules of few frames (AnimateDiff-Evolved's context).

    prediction_f = sum_w weight_w(f) prediction_w(f) / sum_w weight_w(f)        over the windows w that hold frame f

    static     0, L - o, 2 (L - o), ..., the last one pulled back to the end: the same windows at every step
    uniform    the same distance apart, but shifted by another part of it at every step, so that no seam stays
    looped     evenly around a circle, shifted by another part of it at every step: the last frame leads to the first

    F, L, o    frames of the clip, of a window, of the overlap        h(k)    the shift at step k, in [0, 1)

h is the bit reversal of k (van der Corput's sequence): 0, 1/2, 1/4, 3/4, ..., which soon has been everywhere. All
windows are full; none holds a frame twice.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import Condition
from suite.diffusion.noise import Kind, NoiseSchedule, Prediction, per_sample
from suite.errors import UserError
from suite.types import Times

Window = tuple[int, ...]
"""The numbers of its frames, in the order in which the motion modules see them."""

SCHEDULES, WEIGHTS = ("uniform", "static", "looped"), ("pyramid", "flat", "overlap-linear")
BITS = 64


@dataclass(frozen=True)
class Windows:
    """How windows lie on a clip.

    Args:
        schedule: uniform, static or looped.
        weights: pyramid counts a window's middle most, flat counts all alike, overlap-linear fades where windows meet.
        length: Frames of a window: those of the clips that motion modules were trained on, mostly 16.
        overlap: Frames that neighbouring windows share, at least.
        strides: 1 takes neighbouring frames; 2 adds windows of every second frame, 3 of every fourth, and so on, as
            far as the clip is long enough: more of one piece, for more time.

    Raises:
        UserError: A choice that does not exist, or windows that do not cover a clip.
    """

    schedule: str = "uniform"
    weights: str = "pyramid"
    length: int = 16
    overlap: int = 4
    strides: int = 1

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UserError(f"windows={self.schedule!r} is not one of: {', '.join(SCHEDULES)}.")
        if self.weights not in WEIGHTS:
            raise UserError(f"windows.weights={self.weights!r} is not one of: {', '.join(WEIGHTS)}.")
        if not 0 <= self.overlap < self.length:
            raise UserError(
                "windows.overlap must be at least 0 and less than windows.length, got "
                f"{self.overlap} and {self.length}."
            )
        if self.strides < 1:
            raise UserError(f"windows.strides must be at least 1, got {self.strides}.")

    def at(self, frames: int, step: int) -> list[tuple[Window, Float[Tensor, " l"]]]:
        """The windows of a step, each with the weights of its frames, all above 0."""
        return [(w, self.weigh(w, frames)) for w in windows(self, frames, step)]

    def weigh(self, window: Window, frames: int) -> Float[Tensor, " l"]:
        """The weight of each frame of a window."""
        n = len(window)
        up = torch.arange(1, n + 1, dtype=torch.float32)
        if self.weights == "flat":
            return torch.ones(n)
        if self.weights == "pyramid":
            return torch.minimum(up, up.flip(0))
        inner = n < frames and self.schedule == "looped"  # a circle has no ends
        ramp = (up / (self.overlap + 1)).clamp(max=1)
        start = ramp if inner or window[0] > 0 else torch.ones(n)
        end = ramp.flip(0) if inner or window[-1] < frames - 1 else torch.ones(n)
        return torch.minimum(start, end)


def windows(options: Windows, frames: int, step: int) -> list[Window]:
    """The windows of a step over a clip of so many frames; together they hold every frame.

    Raises:
        ValueError: No frames, or a negative step.
    """
    if frames < 1 or step < 0:
        raise ValueError(f"Windows need frames >= 1 and step >= 0, got {frames} and {step}.")
    if frames <= options.length:
        first = round(frames * halved(step)) if options.schedule == "looped" else 0
        return [tuple((first + k) % frames for k in range(frames))]
    found: list[Window] = []
    for stride in _strides(options, frames):
        reach = stride * (options.length - 1) + 1  # from a window's first frame to its last
        hop = max(1, stride * options.length - options.overlap)
        if options.schedule == "looped":
            starts = _around(frames, hop, step)
        else:
            shift = int(hop * halved(step)) if options.schedule == "uniform" else 0
            starts = _along(frames - reach, hop, shift)
        found += [tuple((j + stride * k) % frames for k in range(options.length)) for j in starts]
    return list(dict.fromkeys(found))


def halved(step: int) -> float:
    """The bit reversal of a number, as a part of 1: 0, 1/2, 1/4, 3/4, 1/8, ..."""
    return int(f"{step:0{BITS}b}"[::-1], 2) / 2**BITS


def _strides(options: Windows, frames: int) -> Iterator[int]:
    """1, 2, 4, ...: those at which a window fits the clip without holding a frame twice."""
    for level in range(options.strides):
        if options.length << level <= frames:
            yield 1 << level


def _along(last: int, hop: int, shift: int) -> list[int]:
    """Starts from 0 to `last`, at most `hop` apart: shift, shift + hop, ... and both ends."""
    return sorted({0, last, *range(shift, last, hop)})


def _around(frames: int, hop: int, step: int) -> list[int]:
    """Starts around a circle, at most `hop` apart, as evenly as whole numbers allow."""
    count = math.ceil(frames / hop)
    first = round(frames * halved(step))
    return [(first + k * frames // count) % frames for k in range(count)]


class Windowed:
    """A prior of clips that looks through windows: for samplers it is the prior itself.

    The step, by which windows move, is told by the time that is asked about: both sides of classifier-free guidance,
    and each evaluation of a sampler of higher order, see the same windows.

    Args:
        prior: Predicts clips `b f c y x` of as many frames as a window has; conditions one a clip or one a frame.
        windows: How they lie.
        times: Those at which the sampler asks (`Grid.t`), descending.
    """

    batch_conditions = False

    def __init__(self, prior: Any, windows: Windows, times: Float[Tensor, " n"]) -> None:
        self.prior, self.windows, self.times = prior, windows, times.double().cpu()
        self.schedule: NoiseSchedule = prior.schedule
        self.kind: Kind = prior.kind

    def step(self, t: Times) -> int:
        """The number of the sampler's time that is nearest."""
        return int((self.times - float(t[0])).abs().argmin())

    def predict(self, x_t: Float[Tensor, "b f *cyx"], t: Times, condition: Condition) -> Prediction:
        """The mean of what the prior says in each window.

        A running mean: where all windows say the same it is that, to the last bit.
        """
        clips, frames = x_t.shape[:2]
        raw, total = torch.zeros_like(x_t), torch.zeros(frames, device=x_t.device)
        for window, weight in self.windows.at(frames, self.step(t)):
            index, weight = torch.tensor(window, device=x_t.device), weight.to(x_t.device)
            total[index] += weight
            share = (weight / total[index]).reshape(1, -1, *[1] * (x_t.dim() - 2))
            said = self.prior.predict(x_t[:, index], t, of_frames(condition, clips, frames, index)).raw
            before = raw[:, index]
            raw[:, index] = torch.where(share == 1, said, before + share * (said - before))
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=raw, kind=self.kind)


def of_frames(condition: Condition, clips: int, frames: int, index: Tensor) -> Condition:
    """The condition of some frames: what is one a clip stays, but tensors named frames.* have one row a frame each."""
    if len(condition) == clips:
        tensors = condition.tensors.items()
        return Condition({name: x[:, index] if name.startswith("frames.") else x for name, x in tensors})
    rows = torch.arange(clips * frames, device=index.device).reshape(clips, frames)[:, index].flatten()
    return condition[rows]
