"""Values that change during a run, as functions of progress = step / steps in [0, 1].

An option that may be scheduled takes a number, a list of points `[[0, 0.98], [0.5, 0.5]]`, or one of these
classes by `_target_`, and turns it into a schedule with `as_schedule`:

    max_time: {_target_: suite.schedules.Cosine, start: 0.98, end: 0.5}
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


class Schedule(ABC):
    """A number that depends on progress."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """The value at `progress` in [0, 1]; outside, the value at the nearer end."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value all along."""

    value: float

    def __call__(self, progress: float) -> float:
        return self.value


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from `start` to `end` between the progresses `begin` and `until`; flat outside them."""

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _check_interval(self)

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * _fraction(progress, self.begin, self.until)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from `start` to `end` between `begin` and `until`: flat at both ends."""

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _check_interval(self)

    def __call__(self, progress: float) -> float:
        fraction = _fraction(progress, self.begin, self.until)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * fraction))


@dataclass(frozen=True)
class Sqrt(Schedule):
    """start + (end - start) sqrt(progress): fast at first (HiFA, Zhu et al. 2023, arXiv:2305.18766)."""

    start: float
    end: float

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * math.sqrt(_fraction(progress, 0.0, 1.0))


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Straight lines through `points`, pairs of (progress, value) in ascending progress; flat outside them.

    Two points at one progress make a jump; at the jump itself the later one holds.
    """

    points: Sequence

    def __post_init__(self) -> None:
        if not self.points or any(isinstance(p, int | float | str) or len(p) != 2 for p in self.points):
            raise ValueError(f"Piecewise needs points [[progress, value], ...], got {self.points}.")
        object.__setattr__(self, "points", tuple((float(at), float(value)) for at, value in self.points))
        places = [at for at, _ in self.points]
        if places != sorted(places) or places[0] < 0 or places[-1] > 1:
            raise ValueError(f"Piecewise needs progresses in [0, 1] in ascending order, got {places}.")

    def __call__(self, progress: float) -> float:
        before = [point for point in self.points if point[0] <= progress]
        after = [point for point in self.points if point[0] > progress]
        if not before or not after:
            return before[-1][1] if before else after[0][1]
        (begin, start), (until, end) = before[-1], after[0]
        return start + (end - start) * (progress - begin) / (until - begin)


def as_schedule(value: float | int | Schedule | Sequence) -> Schedule:
    """A number becomes a constant, a list of points a piecewise line; a schedule stays as it is."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(float(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Piecewise(value)
    raise ValueError(
        f"A schedule is a number, a list of points [[progress, value], ...] or a class of suite.schedules, "
        f"got {value!r}."
    )


def _fraction(progress: float, begin: float, until: float) -> float:
    """How far `progress` is from `begin` to `until`, in [0, 1]."""
    return min(max((progress - begin) / (until - begin), 0.0), 1.0)


def _check_interval(schedule: Linear | Cosine) -> None:
    begin, until = schedule.begin, schedule.until
    if not 0 <= begin < until <= 1:
        raise ValueError(
            f"{type(schedule).__name__} needs 0 <= begin < until <= 1, got begin={begin}, until={until}."
        )
