"""Threads: results in order, ranges cut without gaps."""

import threading

import pytest
import torch

from nerf.threads import run_in_threads, slices


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_their_order(two_threads):
    """Whatever runs first, results come in the order of the calls; with two threads, off the main thread."""
    assert run_in_threads([lambda k=k: k * k for k in range(50)]) == [k * k for k in range(50)]
    assert threading.main_thread() not in run_in_threads([threading.current_thread] * 3)


def test_errors_come_through(two_threads):
    """What a call raises is raised to the caller."""

    def fail():
        raise KeyError("no such ray")

    with pytest.raises(KeyError, match="no such ray"):
        run_in_threads([fail, fail])


@pytest.mark.parametrize("count", [0, 1, 99, 4096, 4097, 100_001])
def test_slices_cover_the_range(two_threads, count):
    """The pieces follow one another from 0 to count; small ranges stay whole."""
    pieces = slices(count)
    assert pieces[0][0] == 0 and pieces[-1][1] == count
    assert all(a[1] == b[0] for a, b in zip(pieces, pieces[1:]))
    assert len(pieces) == (2 if count >= 4096 else 1)
