"""Motions by hand arithmetic; phases; the rule of held-out pairs."""

import numpy as np
import pytest

from suite.toyworld.motions import (
    CAMERA_MOTIONS,
    CLIP_MOTIONS,
    CYCLES,
    MOTIONS,
    PEOPLE,
    PEOPLE_MOTIONS,
    held_out_motion,
    random_phases,
    shot_at,
)
from suite.toyworld.objects import kinds

BASE = np.array(
    [[0.0, 0, 1, 1.8], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
)  # at (1.8, 0, 0), looks along -X


def test_there_are_enough_motions():
    """Ten of objects (the image prior's own, in their order), and those of cameras and people; no word twice."""
    assert MOTIONS == (
        "sliding left", "sliding right", "rising", "falling", "bouncing", "growing", "shrinking", "wobbling",
        "rolling", "spinning",
    )  # fmt: skip
    assert len(CAMERA_MOTIONS) == 7 and len(PEOPLE_MOTIONS) == 9
    assert len(set(CLIP_MOTIONS)) == len(CLIP_MOTIONS) == 26


def test_cameras_move_as_the_words_say():
    """At the end of a pan to the left the camera is 0.25 to its left; tilted up it looks up; orbits keep a radius."""
    camera, _ = shot_at(BASE, "panning left", 1.0)
    np.testing.assert_allclose(camera[:3, 3], [1.8, -0.25, 0], atol=1e-12)  # its right is +Y
    camera, _ = shot_at(BASE, "tilting up", 1.0)
    np.testing.assert_allclose(-camera[:3, 2], [-np.cos(np.deg2rad(8)), 0, np.sin(np.deg2rad(8))], atol=1e-12)
    camera, _ = shot_at(BASE, "orbiting", 1.0)
    angle = np.deg2rad(75)
    np.testing.assert_allclose(camera[:3, 3], [1.8 * np.cos(angle), 1.8 * np.sin(angle), 0], atol=1e-12)
    zooms = [shot_at(BASE, "zooming in", phase)[1] for phase in (0, 0.5, 1)]
    np.testing.assert_allclose(zooms, [0.55, 0.55 * 1.9**0.5, 0.55 * 1.9])


def test_opposite_motions_mirror_each_other():
    """Left is right run backwards, up is down, in is out."""
    for one, other in (
        ("panning left", "panning right"),
        ("tilting up", "tilting down"),
        ("zooming in", "zooming out"),
    ):
        for phase in (0.0, 0.3):
            a, b = shot_at(BASE, one, phase), shot_at(BASE, other, 1 - phase)
            np.testing.assert_allclose(a[0], b[0], atol=1e-12)
            assert a[1] == pytest.approx(b[1])


def test_phases_are_even_and_stay_in_bounds():
    """Steps are equal; motions that are no cycle stay in [0, 1] and show at least 0.7 of themselves."""
    random = np.random.default_rng(0)
    for motion in CLIP_MOTIONS:
        for _ in range(20):
            phases = random_phases(motion, 16, random)
            np.testing.assert_allclose(np.diff(phases), phases[1] - phases[0], atol=1e-12)
            low, high = CYCLES.get(motion, (0.7, 1.0))
            assert low <= phases[-1] - phases[0] <= high + 1e-12
            assert motion in CYCLES or (0 <= phases[0] and phases[-1] <= 1 + 1e-12)


def test_people_begin_and_end_their_gestures():
    """What is no cycle begins in standing; a cycle is at 1.25 where it was at 0.25."""
    for name in PEOPLE_MOTIONS:
        if name in CYCLES:
            assert PEOPLE[name](0.25) == PEOPLE[name](1.25)
        else:
            assert PEOPLE[name](0.0).left_arm == PEOPLE["bowing"](0.0).left_arm


def test_held_out_pairs():
    """About one in eight; no kind loses half of its motions, and each motion is held out of some kinds."""
    table = np.array([[held_out_motion(kind, motion) for motion in CLIP_MOTIONS] for kind in kinds()])
    assert 0.09 < table.mean() < 0.16
    assert table.mean(1).max() < 0.5 and table.sum(0).min() >= 1
