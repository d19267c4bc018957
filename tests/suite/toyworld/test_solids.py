"""Pictures and what fills their frustums."""

import numpy as np
import pytest

from suite.geometry.frustum_occupancy import FULL
from suite.toyworld.dataset import Named
from suite.toyworld.objects import build, parse
from suite.toyworld.solids import Solids
from suite.toyworld.view_pairs import (
    Thing,
    ViewPairs,
    cameras_of,
    pictures_from,
    random_viewpoints,
    still_light,
    stretched,
)


def test_a_batch_follows_from_its_number():
    solids = Solids(ViewPairs(size=32, shares=(0.4, 0, 0.1, 0.2, 0.3)), side=16)
    one, again, other = (solids.batch(4, 0, number) for number in (5, 5, 6))
    assert one.images.shape == (4, 32, 32, 3) and np.array_equal(one.images, again.images)
    for a, b, c in zip(one.labels, again.labels, other.labels):
        assert a.viewpoints == b.viewpoints != c.viewpoints
        assert np.array_equal(a.filled, b.filled) and a.filled.shape == (16, 16, 16)


@pytest.mark.parametrize("prompt", ["red car", "tall blue dog", "green mug", "wide yellow chair"])
def test_what_is_filled_is_what_is_seen(prompt):
    """Columns with something in them are the pixels of the thing."""
    random, surface = np.random.default_rng(0), build(parse(prompt))
    viewpoints = random_viewpoints("", 1, random)
    filled = Solids(ViewPairs(size=64)).filled(Thing("", surface), cameras_of([viewpoints], 64))
    seen = pictures_from(surface, viewpoints, still_light(random), size=64).masks[0]
    seen = seen.reshape(32, 2, 32, 2).mean((1, 3))
    column = filled.max(0) > 0
    assert not column[seen == 0].any() and column[seen > 0.9].mean() > 0.95


def test_open_surfaces_have_grids():
    """A real object, stretched or not, fills nearly what the same closed surface does."""
    surface = build(parse("red car"))
    solids = Solids(ViewPairs(real=[Named("toy", surface)], size=64))
    random = np.random.default_rng(0)
    for thing in (Thing("a toy", surface, "toy"), stretched(Thing("a toy", surface, "toy"), random)):
        camera = cameras_of([random_viewpoints("", 1, random)], 64)
        closed = solids.filled(Thing("a car", thing.surface, "car"), camera) > FULL / 2
        gridded = solids.filled(thing, camera) > FULL / 2
        assert (closed & gridded).sum() / (closed | gridded).sum() > 0.8


def test_real_objects_come_in_batches():
    solids = Solids(ViewPairs(real=[Named("toy", build(parse("red car")))], size=32, shares=(0, 1, 0, 0, 0)))
    (solid,) = solids.batch(1, 0, 0).labels
    assert solid.viewpoints.name == "a toy" and solid.filled.any() and solid.filled.max() <= FULL
    assert solid.filled.mean() / FULL == pytest.approx(0.02, abs=0.015)
