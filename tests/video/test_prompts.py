"""Prompts that travel: piecewise linear in the embeddings, held before the first stop and after the last."""

import pytest
import torch

from suite.errors import UserError
from video.motion_prior import MotionPrior
from video.prompts import Travel


def test_between_stops_by_hand():
    """Frames 2 and 6: a quarter of the way is three quarters of the first and a quarter of the second."""
    travel = Travel.of({6: "b", 2: "a"}, 9)
    assert travel.at(0) == travel.at(2) == (("a", 1.0),) and travel.at(8) == travel.at(6) == (("b", 1.0),)
    assert travel.at(3) == (("a", 0.75), ("b", 0.25))
    assert [travel.nearest(f) for f in (0, 3, 5, 8)] == ["a", "a", "b", "b"]


def test_embeddings_are_mixed(tiny_prior):
    """The condition of the frame half-way is the mean of both texts' conditions; the negative is everywhere."""
    prior = MotionPrior(tiny_prior("sd15"), None)
    condition = prior.embed(Travel.of({"0": "a red car", "4": "a blue robot"}, 5, "ugly").prompts())
    red, blue, ugly = (
        prior.embed([text]).tensors["tokens"][0] for text in ("a red car", "a blue robot", "ugly")
    )
    tokens = condition.tensors["tokens"]
    assert len(tokens) == 5
    torch.testing.assert_close(tokens[2], (red + blue) / 2)
    torch.testing.assert_close(tokens[1], 0.75 * red + 0.25 * blue)
    torch.testing.assert_close(tokens[4], blue)
    torch.testing.assert_close(condition.negative.tensors["tokens"], ugly.expand(5, -1, -1))


def test_one_text_is_one_condition_a_clip():
    """So that guidance and the network's batches need no more than one."""
    assert len(Travel.of("a red car", 16).prompts()) == 1
    assert len(Travel.of({3: "a red car"}, 16).prompts()) == 1
    assert Travel.of(" a red car ", 16, " ugly ").texts == ("a red car", "ugly")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "The prompt has no stops"),
        ("  ", "The prompt at frame 0 is empty or no text"),
        ({0: "a", 4: None}, "The prompt at frame 4 is empty or no text: None"),
        ({"half": "a"}, "The stops of a prompt are frame numbers 0, 1, ..., got 'half'"),
        ({-1: "a"}, "The stops of a prompt are frame numbers 0, 1, ..., got -1"),
        (
            {0: "a", 16: "b"},
            "stop at frame 16, and the clip's frames are 0 to 15: move the stop, or make more",
        ),
    ],
)
def test_impossible_travels_are_refused(prompt, message):
    """One line that says what to do."""
    with pytest.raises(UserError, match=message):
        Travel.of(prompt, 16)
