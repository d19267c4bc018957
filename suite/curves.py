"""Line charts as inline SVG, drawn from the rows of metrics.jsonl. Colours are the page's (assets/page.css)."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 170, 46, 18, 8
POINTS = 300  # a line has at most about this many; more cannot be told apart
WINDOWS = 25  # the smooth line is a mean over this part of the run

Position = Callable[[float], float]


def series(rows: Sequence[Mapping]) -> dict[str, list[tuple[float, float]]]:
    """Name -> (step, value) of every number in the rows; that of a stage is "stage: name"."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        stage = f"{row['stage']}: " if row.get("stage") else ""
        for name, value in row.items():
            if name in ("step", "stage") or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if isinstance(row.get("step"), int | float) and math.isfinite(value):
                found.setdefault(stage + name, []).append((float(row["step"]), float(value)))
    return {name: points for name, points in found.items() if len(points) > 1}


def chart(name: str, points: Sequence[tuple[float, float]]) -> str:
    """One curve: the logged values faint, their running mean strong, the mean at the end as a number.

    The axis is logarithmic if the values are positive and span more than a factor of 50, and is cut where
    fewer than 1 % of the values lie outside.
    """
    low, high = _bounds([y for _, y in points])
    logarithmic = low > 0 and high > 50 * low
    smooth = _running_mean(points, logarithmic)
    across = _scale(points[0][0], points[-1][0], LEFT, WIDTH - 6, False)
    up = _scale(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    ticks = "".join(_tick(y, up(y)) for y in _ticks(low, high, logarithmic))
    ends = (
        f'<text x="{LEFT}" y="{HEIGHT - 4}">{_short(points[0][0])}</text>'
        f'<text x="{WIDTH - 6}" y="{HEIGHT - 4}" text-anchor="end">step {_short(points[-1][0])}</text>'
    )
    lines = "".join(
        f'<polyline class="{kind}" points="{_path(_thinned(line), across, up)}"/>'
        for kind, line in (("raw", points), ("mean", smooth))
    )
    return (
        f'<div class="chart"><b>{escape(name)}</b><span class="last">{_short(smooth[-1][1])}</span>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name, quote=True)}">'
        f"{ticks}{ends}{lines}</svg></div>"
    )


def _running_mean(points: Sequence[tuple[float, float]], logarithmic: bool) -> list[tuple[float, float]]:
    """At each point the mean of 1/WINDOWS of the points about it; the geometric one on a logarithmic axis."""
    half = len(points) // WINDOWS // 2
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + (math.log(max(y, 1e-300)) if logarithmic else y))
    means = []
    for k, (x, _) in enumerate(points):
        first, end = max(0, k - half), min(len(points), k + half + 1)
        mean = (sums[end] - sums[first]) / (end - first)
        means.append((x, math.exp(mean) if logarithmic else mean))
    return means


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    cut = len(ordered) // 100
    low, high = ordered[cut], ordered[-1 - cut]
    if high == low:
        pad = abs(high) * 0.1 or 1.0
        return low - pad, high + pad
    return low, high


def _scale(low: float, high: float, first: float, last: float, logarithmic: bool) -> Position:
    """Value -> position; values outside stay at the ends."""

    def position(value: float) -> float:
        value = min(max(value, low), high)
        if logarithmic:
            share = math.log(value / low) / math.log(high / low)
        else:
            share = (value - low) / ((high - low) or 1.0)
        return first + share * (last - first)

    return position


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round numbers between the ends: powers of ten, or about four steps of 1, 2 or 5."""
    if logarithmic:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        every = max(1, (last - first + 1) // 4)
        return [10.0**k for k in range(first, last + 1, every)]
    rough = (high - low) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _tick(value: float, y: float) -> str:
    return (
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 6}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{_short(value)}</text>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Every n-th point, and the last."""
    every = max(1, len(points) // POINTS)
    return [*points[:-1:every], points[-1]]


def _path(points: Sequence[tuple[float, float]], across: Position, up: Position) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)


def _short(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}"
