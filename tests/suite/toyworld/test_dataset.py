"""Endless captioned pictures: deterministic, rightly labelled, without what is held out."""

from collections import Counter

import numpy as np
import pytest
import torch

from suite.geometry.cameras import Cameras
from suite.toyworld.captions import VIEWS, caption, view_word
from suite.toyworld.dataset import Named, Scenes, even_directions, orbit
from suite.toyworld.motions import MOTIONS, camera_at
from suite.toyworld.objects import ObjectSpec, build, held_out, parse
from suite.toyworld.vocabulary import vocabulary


def test_a_batch_follows_from_its_number():
    """The same seed and number give the same pictures and labels; another number gives others."""
    first, again = (Scenes().batch(8, 3, 5) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.labels == again.labels
    assert Scenes().batch(8, 3, 6).labels != first.labels


@pytest.mark.parametrize(("split", "expected"), [("train", False), ("held_out", True)])
def test_splits_keep_compositions_apart(split, expected):
    """Training shows no held-out composition; the held-out split shows nothing else."""
    scenes = Scenes(split=split, shares=(1.0, 0.0, 0.0, 0.0), view_words=0.0)
    labels = [label for number in range(8) for label in scenes.batch(16, 0, number).labels]
    assert {held_out(ObjectSpec(label.name, label.color, label.pattern)) for label in labels} == {expected}


def test_captions_say_what_is_seen():
    """Without view words the caption of an object parses to its label, but for colours left out at times."""
    scenes = Scenes(shares=(1.0, 0.0, 0.0, 0.0), view_words=0.0)
    labels = [label for number in range(6) for label in scenes.batch(16, 1, number).labels]
    said = [label for label in labels if label.color in label.caption]
    assert len(said) > 0.8 * len(labels)
    for label in said:
        spec = parse(label.caption)
        assert (spec.kind, spec.color, spec.pattern) == (label.name, label.color, label.pattern)


def test_every_word_is_in_the_vocabulary():
    """No caption holds a word that `vocabulary` does not list."""
    real = [Named("teddy bear", build(ObjectSpec("dog", "brown")))]
    known = {
        word for group in vocabulary(["teddy bear"]).values() for entry in group for word in entry.split()
    }
    scenes = Scenes(real=real)
    for number in range(12):
        for label in scenes.batch(16, 0, number).labels:
            assert set(label.caption.replace(",", " ").split()) <= known


@pytest.mark.parametrize(
    ("azimuth", "elevation", "word"),
    [(0, 0, "front view"), (44, 10, "front view"), (46, 10, "side view"), (-90, 0, "side view"),
     (180, 0, "back view"), (-136, 20, "back view"), (359, 0, "front view"), (120, 61, "overhead view")],
)  # fmt: skip
def test_view_words(azimuth, elevation, word):
    """Front within 45 degrees of +X, back beyond 135, overhead above 60 degrees of elevation."""
    assert view_word(azimuth, elevation) == word


def test_captions_leave_empty_parts_out():
    """Subject, doing and view are joined by commas."""
    assert caption("a red car", "side view", "sliding left") == "a red car, sliding left, side view"
    assert caption("a red car") == "a red car"


def test_orbit_is_the_twin_of_cameras():
    """The numpy cameras of the dataset equal `Cameras.orbit`."""
    azimuth, elevation, distance = np.array([10.0, -150.0]), np.array([5.0, 70.0]), np.array([1.7, 2.0])
    expected = Cameras.orbit(
        *(torch.tensor(a, dtype=torch.float32) for a in (azimuth, elevation, distance)), torch.full((2,), 40.0),
        height=8, width=8,
    )  # fmt: skip
    np.testing.assert_allclose(
        orbit(azimuth, elevation, distance), expected.world_from_camera.numpy(), atol=1e-5
    )


def test_motions_move_as_they_say():
    """A point at the origin seen by the moved camera: left of the middle at the end of "sliding left", and so on."""
    camera = orbit(np.array([70.0]), np.array([25.0]), np.array([1.8]))[0]

    def seen(motion: str, phase: float) -> np.ndarray:
        return (np.linalg.inv(camera_at(camera, motion, phase)) @ np.array([0, 0, 0, 1.0]))[:2]

    assert seen("sliding left", 1.0)[0] < -0.2 < 0.2 < seen("sliding left", 0.0)[0]
    assert seen("sliding right", 1.0)[0] > 0.2
    assert seen("rising", 1.0)[1] > 0.2 and seen("falling", 1.0)[1] < -0.2
    for motion in set(MOTIONS) - {"sliding left", "sliding right", "rising", "falling", "bouncing"}:
        np.testing.assert_allclose(seen(motion, 0.3), 0, atol=1e-9)


def test_unknown_split_is_refused():
    """The error lists the splits."""
    with pytest.raises(ValueError, match="train, held_out or all"):
        Scenes(split="test")


@pytest.mark.parametrize(
    "bad", [{"shares": (0, 1, 0, 0)}, {"view_shares": (-1, 1, 1, 1)}, {"view_shares": (0, 0, 0, 0)}]
)
def test_impossible_shares_are_refused(bad: dict[str, tuple[float, ...]]):
    """Nothing to draw from (real objects alone, and none given), a negative share, no share at all."""
    with pytest.raises(ValueError, match="must be 4 numbers, none negative, not all 0"):
        Scenes(**bad)


def test_even_views():
    """With even_views=1 each of the four words is true of a quarter of the pictures; with 0 as cameras fall."""
    counts = {
        even: Counter(label.view for label in Scenes(even_views=even).batch(400, 0, 0).labels)
        for even in (0.0, 1.0)
    }
    assert all(70 <= counts[1.0][view] <= 130 for view in VIEWS)
    assert counts[0.0]["overhead view"] < 75 < 130 < counts[0.0]["side view"]
    shares = np.array([0.3, 0.1, 0.2, 0.4])
    azimuth, elevation = even_directions(2000, shares, np.random.default_rng(0))
    words = Counter(view_word(a, e) for a, e in zip(azimuth, elevation))
    seen = np.array([words[view] for view in VIEWS]) / 2000
    np.testing.assert_allclose(seen, shares, atol=0.04)
    assert azimuth.min() < -170 < 170 < azimuth.max()


def test_view_shares():
    """A word of no share is never shown by an even view."""
    labels = Scenes(even_views=1.0, view_shares=(0, 1, 0, 3)).batch(200, 0, 0).labels
    words = Counter(label.view for label in labels if label.view)  # spinning things have none
    assert set(words) == {"side view", "overhead view"} and 120 <= words["overhead view"] <= 180
