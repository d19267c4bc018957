"""Frames of clips as pictures with labels."""

import numpy as np
import pytest

from suite.toyworld.clip_frames import ClipFrames
from suite.toyworld.clips import Clips


def test_frames_are_those_of_the_clips():
    """Three frames of each clip, one after the other, with its name and colour; people are people; no view is told."""
    shares = (0.5, 0.0, 0.5)
    frames = ClipFrames(shares=shares, views=3, size=16).batch(12, 5, 6)
    clips = Clips(frames=3, size=16, split="all", shares=shares, camera=0.1).batch(4, 5, 6)
    assert np.array_equal(frames.images, clips.frames.reshape(12, 16, 16, 3))
    for number, label in enumerate(frames.labels):
        clip = clips.labels[number // 3]
        assert (label.color, label.caption, label.view) == (clip.color, clip.caption, "")
        assert label.name == ("person" if clip.source == "person" else clip.name)
    assert {label.source for label in frames.labels} == {"object", "person"}


def test_clips_are_shown_whole():
    with pytest.raises(ValueError, match="count=10 must be a multiple of views=4"):
        ClipFrames().batch(10, 0, 0)
