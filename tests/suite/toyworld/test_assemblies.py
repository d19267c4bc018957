"""Random assemblies of primitives."""

import numpy as np
import pytest

from suite.toyworld.assemblies import MIRRORED, random_assembly


def things(count: int) -> list:
    return [random_assembly(np.random.default_rng(seed)) for seed in range(count)]


def test_a_thing_follows_from_its_seed():
    one, again, other = (random_assembly(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.vertices, again.vertices) and np.array_equal(one.colors, again.colors)
    assert one.vertices.shape != other.vertices.shape or not np.allclose(one.vertices, other.vertices)


def test_things_are_normalised_and_whole():
    """Boxes about the origin with a longest side of 1, unit normals, faces that name vertices."""
    for thing in things(40):
        low, high = thing.vertices.min(0), thing.vertices.max(0)
        np.testing.assert_allclose(low + high, 0, atol=1e-5)
        assert (high - low).max() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(np.linalg.norm(thing.normals, axis=1), 1, atol=1e-3)
        assert 0 <= thing.faces.min() and thing.faces.max() < len(thing.vertices)
        assert 0 <= thing.colors.min() and thing.colors.max() <= 1


def test_most_are_symmetric():
    """The highest and widest points of left and right are the same in about MIRRORED of them."""
    alike = []
    for thing in things(150):
        left, right = (thing.vertices[side * thing.vertices[:, 1] > 1e-4] for side in (1, -1))
        boxes = [np.stack([p[:, [0, 2]].min(0), p[:, [0, 2]].max(0)]) for p in (left, right)]
        alike.append(np.allclose(*boxes, atol=0.02))
    assert MIRRORED - 0.1 < np.mean(alike) < MIRRORED + 0.15
