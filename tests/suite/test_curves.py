"""Charts: what is drawn where."""

import math
import re

import pytest

from suite import curves


def lines(svg: str) -> dict[str, list[tuple[float, float]]]:
    found = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', svg)
    return {kind: [tuple(map(float, pair.split(","))) for pair in text.split()] for kind, text in found}


def test_series_are_the_numbers_of_the_rows():
    """Text, booleans, nulls and infinities are left out, and what was logged only once."""
    rows = [
        {"step": 0, "loss": 1.0, "note": "x", "flag": True, "once": 1},
        {"step": 1, "loss": None},
        {"step": 2, "loss": 3, "stage": ""},
        {"step": 3, "loss": math.inf},
        {"loss": 5},
    ]
    assert curves.series(rows) == {"loss": [(0.0, 1.0), (2.0, 3.0)]}


def test_a_straight_line_is_straight():
    """y = x + 100 from 0 to 100: equal steps right and up (downwards in SVG), inside the frame, mean on the line."""
    drawn = lines(curves.chart("x", [(float(k), k + 100.0) for k in range(101)]))
    for line in drawn.values():
        (x0, y0), (x1, y1) = line[10], line[90]
        assert (x1 - x0) / (y0 - y1) == pytest.approx(
            (curves.WIDTH - 6 - curves.LEFT) / (curves.HEIGHT - curves.BOTTOM - curves.TOP), rel=0.05
        )
        assert all(0 <= x <= curves.WIDTH and 0 <= y <= curves.HEIGHT for x, y in line)


def test_decades_have_equal_heights():
    """10^-k: a logarithmic axis, so the k-th value lies k steps down."""
    svg = curves.chart("x", [(float(k), 10.0**-k) for k in range(7)])
    heights = [y for _, y in lines(svg)["raw"]]
    gaps = [b - a for a, b in zip(heights, heights[1:])]
    assert max(gaps) - min(gaps) < 0.3
    assert ">0.01<" in svg or ">0.001<" in svg


def test_outliers_do_not_flatten_the_rest():
    """One spike of a million among a thousand values in [0, 1] leaves the axis at [0, 1]."""
    points = [(float(k), k % 2 + 0.0) for k in range(1000)]
    points[500] = (500.0, 1e6)
    svg = curves.chart("x", points)
    assert ">0.5<" in svg and "e+0" not in svg.partition("<svg")[2]


@pytest.mark.parametrize("values", [[2.0, 2.0], [0.0, 0.0], [-1e-9, 1e-9], [1e12, 3e12]])
def test_flat_tiny_and_huge_curves_can_be_drawn(values):
    svg = curves.chart("<x>", [(float(k), y) for k, y in enumerate(values)])
    assert "nan" not in svg and "&lt;x&gt;" in svg


def test_long_curves_are_thinned():
    svg = curves.chart("x", [(float(k), math.sin(k / 500)) for k in range(20000)])
    assert all(len(line) <= 2 * curves.POINTS for line in lines(svg).values())
    assert len(svg) < 20000
