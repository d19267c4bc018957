"""Schedules over progress, against values worked out by hand."""

import pytest

from suite.schedules import Constant, Cosine, Linear, Piecewise, Sqrt, as_schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(3.0), [3.0, 3.0, 3.0, 3.0, 3.0]),
        (Linear(1.0, 5.0), [1.0, 2.0, 3.0, 4.0, 5.0]),
        (Linear(1.0, 5.0, begin=0.25, until=0.75), [1.0, 1.0, 3.0, 5.0, 5.0]),
        (Cosine(1.0, 0.0), [1.0, 0.8535533905932737, 0.5, 0.14644660940672627, 0.0]),
        (Cosine(2.0, 0.0, begin=0.5, until=1.0), [2.0, 2.0, 2.0, 1.0, 0.0]),
        (Sqrt(1.0, 0.0), [1.0, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5, 0.0]),
        (Piecewise([[0.0, 0.0], [0.5, 1.0], [1.0, 5.0]]), [0.0, 0.5, 1.0, 3.0, 5.0]),
        (Piecewise([[0.25, 2.0], [0.75, 4.0]]), [2.0, 2.0, 3.0, 4.0, 4.0]),
        (Piecewise([[0.0, 1.0], [0.5, 1.0], [0.5, 7.0]]), [1.0, 1.0, 7.0, 7.0, 7.0]),
    ],
)
def test_values_at_quarters(schedule, expected):
    """The value at progress 0, 1/4, 1/2, 3/4, 1 is the one worked out by hand."""
    assert [schedule(k / 4) for k in range(5)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [Linear(1.0, 5.0), Cosine(1.0, 5.0), Sqrt(1.0, 5.0)])
def test_flat_outside_the_run(schedule):
    """Before 0 and after 1 the nearer end holds."""
    assert (schedule(-1.0), schedule(2.0)) == (1.0, 5.0)


def test_what_becomes_a_schedule():
    """A number is a constant, points a piecewise line, a schedule itself."""
    line = Linear(0.0, 1.0)
    assert as_schedule(2) == Constant(2.0)
    assert as_schedule([[0, 1], [1, 3]])(0.5) == 2.0
    assert as_schedule(line) is line


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: as_schedule("fast"), "A schedule is a number, a list of points"),
        (lambda: as_schedule(True), "A schedule is a number, a list of points"),
        (lambda: Piecewise([]), r"Piecewise needs points \[\[progress, value\], ...\], got \[\]"),
        (lambda: Piecewise([1.0, 2.0]), "Piecewise needs points"),
        (lambda: Piecewise([[0.5, 1.0], [0.2, 1.0]]), "in ascending order, got"),
        (lambda: Piecewise([[0.0, 1.0], [1.5, 1.0]]), r"progresses in \[0, 1\]"),
        (lambda: Linear(0.0, 1.0, begin=0.5, until=0.5), "Linear needs 0 <= begin < until <= 1"),
        (lambda: Cosine(0.0, 1.0, begin=-1.0), "Cosine needs 0 <= begin < until <= 1, got begin=-1.0"),
    ],
)
def test_what_is_no_schedule(make, message):
    """Errors say what a schedule is."""
    with pytest.raises(ValueError, match=message):
        make()
