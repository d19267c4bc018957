"""Things of others' parts."""

import numpy as np
import pytest

from suite.toyworld.hybrids import _groups, random_hybrid
from suite.toyworld.objects import kinds

NAMES = tuple(kinds())


def test_a_thing_follows_from_its_seed():
    one, again, other = (random_hybrid(np.random.default_rng(seed), NAMES) for seed in (3, 3, 4))
    assert np.array_equal(one.vertices, again.vertices) and np.array_equal(one.colors, again.colors)
    assert one.vertices.shape != other.vertices.shape or not np.allclose(one.vertices, other.vertices)


def test_things_are_normalised_and_whole():
    """Boxes about the origin with a longest side of 1, unit normals, faces that name vertices."""
    for seed in range(60):
        thing = random_hybrid(np.random.default_rng(seed), NAMES)
        low, high = thing.vertices.min(0), thing.vertices.max(0)
        np.testing.assert_allclose(low + high, 0, atol=1e-5)
        assert (high - low).max() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(np.linalg.norm(thing.normals[thing.faces], axis=-1), 1, atol=1e-3)
        assert 0 <= thing.faces.min() and thing.faces.max() < len(thing.vertices)


def test_pairs_stay_together():
    """A dog's ears are one group, its four legs another; the kind itself is what all groups make."""
    sizes = sorted(len(group) for group in _groups("dog", False))
    assert sizes.count(2) >= 2 and sizes[-1] == 4
    assert sum(sizes) == len(kinds()["dog"].build(False))


def test_only_these_kinds_give_parts():
    """Of one kind alone, every face count of a part is one of that kind's."""
    own = {len(part.faces) for option in (False, True) for group in _groups("mug", option) for part in group}
    for seed in range(10):
        thing = random_hybrid(np.random.default_rng(seed), ["mug"])
        assert _sums(own, len(thing.faces))


def _sums(parts: set[int], total: int) -> bool:
    """Whether some of the parts, each as often as one likes, have so many faces."""
    reached = {0}
    for count in range(1, total + 1):
        if any(count - part in reached for part in parts):
            reached.add(count)
    return total in reached
