"""Views of one thing from Zero-1-to-3's cameras."""

import numpy as np
import pytest
import torch

from suite.toyworld.dataset import random_spec, specs_by_kind
from suite.toyworld.objects import build, held_out, parse
from suite.toyworld.view_pairs import (
    DISTANCE,
    HELD_OUT_KINDS,
    LIKE,
    SPAN,
    SPLITS,
    Thing,
    ViewPairs,
    coded_depth,
    depth_of,
    pictures_from,
    repainted,
    seen_from,
    still_light,
    stretched,
)


def test_a_batch_follows_from_its_number():
    """The same number gives the same strips of views, another gives others; the cameras are within the contract."""
    pairs = ViewPairs(size=16, views=3)
    one, again, other = (pairs.batch(4, 0, number) for number in (5, 5, 6))
    assert one.images.shape == (4, 16, 48, 3) and np.array_equal(one.images, again.images)
    assert one.labels == again.labels != other.labels
    distances = [d for label in one.labels for d in label.distance]
    assert len(distances) == 12 and min(distances) >= DISTANCE[0] and max(distances) <= DISTANCE[1]


def test_views_are_on_white_and_of_one_thing():
    """The corners are white, the middle is not; the same viewpoint again gives the same picture, in the same light."""
    pairs = ViewPairs(size=32, views=2, split="held_out_kinds")
    batch = pairs.batch(6, 0, 0)
    views = batch.images.reshape(6, 32, 2, 32, 3).transpose(0, 2, 1, 3, 4)
    assert (views[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 1).all() and (
        views[:, :, 12:20, 12:20] < 0.99
    ).any((2, 3, 4)).all()
    light = still_light(np.random.default_rng(0))
    image = seen_from(build(parse("red car")), batch.labels[0], light, size=32)
    assert np.array_equal(image, seen_from(build(parse("red car")), batch.labels[0], light, size=32))


def test_splits_share_nothing():
    """Training shows neither held-out compositions nor held-out kinds, and these two are apart as well."""
    random, drawn = np.random.default_rng(0), {}
    for split in SPLITS:
        pairs = ViewPairs(split=split)
        drawn[split] = {pairs.spec(random) for _ in range(300)}
    assert not any(held_out(spec) or spec.kind in HELD_OUT_KINDS for spec in drawn["train"])
    assert all(held_out(spec) and spec.kind not in HELD_OUT_KINDS for spec in drawn["held_out"])
    assert {spec.kind for spec in drawn["held_out_kinds"]} == set(HELD_OUT_KINDS)


def test_lights_point_mostly_down_and_are_exposed():
    """Unit directions, weights that sum to 1.05."""
    random = np.random.default_rng(0)
    lights = [still_light(random) for _ in range(200)]
    up = np.array([light.directions[0, 2] for light in lights])
    assert up.mean() > 0.5
    for light in lights:
        assert np.linalg.norm(light.directions) == pytest.approx(
            1
        ) and light.ambient + light.diffuse == pytest.approx(1.05)


def test_fancy_objects_are_rarer():
    """12 plain, 72 with one of pattern, size, option (1/2), 132 with two (1/4), 72 with all (1/10): 12 / 88.2 plain."""
    specs = {"car": specs_by_kind(lambda spec: spec.kind == "car")["car"]}
    assert len(specs["car"]) == 288
    random = np.random.default_rng(0)
    drawn = [random_spec(specs, random) for _ in range(2000)]
    plain = sum(spec.pattern == "plain" and not spec.size and not spec.option for spec in drawn)
    assert plain / 2000 == pytest.approx(12 / 88.2, abs=0.025)


def test_repainted_things_keep_their_shape_and_other_colours():
    """Only what is like the colour that goes is painted, and only that may have a pattern."""
    truck, patterns = build(parse("red truck")), set()
    for seed in range(12):
        painted = repainted(truck, np.random.default_rng(seed))
        changed = (painted.colors != truck.colors).any(1)
        assert painted.vertices is truck.vertices and changed.any() and not changed.all()
        assert not (changed & ~painted.patterned).any()
        old = truck.colors[painted.patterned]
        assert np.abs(old - old.mean(0)).max() < 2 * LIKE
        assert np.array_equal(painted.colors[~painted.patterned], truck.colors[~painted.patterned])
        patterns.add(painted.pattern)
    assert len(patterns) > 1 and "plain" in patterns


def test_shapes_are_named():
    """A kind whatever its paint; nothing for people and assemblies."""
    batch = ViewPairs(size=16, views=2, shares=(1, 0, 0, 0, 0)).batch(8, 0, 0)
    assert [label.shape for label in batch.labels] == [parse(label.name).kind for label in batch.labels]
    for shares in ((0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)):
        batch = ViewPairs(size=16, views=2, shares=shares).batch(3, 0, 0)
        assert [label.shape for label in batch.labels] == [""] * 3


def test_a_stretched_thing_has_its_shape_at_another_scale():
    """Its vertices are those of the shape times its scale; the longest side is 1 again."""
    random = np.random.default_rng(0)
    thing = Thing("a red car", build(parse("red car")), "car")
    other = stretched(thing, random)
    np.testing.assert_allclose(other.surface.vertices, thing.surface.vertices * other.scale, atol=1e-6)
    assert np.ptp(other.surface.vertices, axis=0).max() == pytest.approx(1, abs=1e-6)
    assert np.std(other.scale) > 0.01 and other.shape == "car"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "test"}, "A split is train, held_out, held_out_kinds"),
        ({"views": 1}, "A pair needs two views"),
        ({"repaint": -0.1}, "repaint is a share from 0 to 1, got -0.1"),
        ({"stretch": 1.5}, "stretch is a share from 0 to 1, got 1.5"),
        (
            {"shares": (0, 1, 0, 0, 0)},
            "shares=.0.0, 0.0, 0.0, 0.0, 0.0. must be 5 numbers, none negative, not all 0",
        ),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        ViewPairs(**options)


def test_depths_in_a_byte():
    """The fourth channel gives back what the renderer measured, half a byte's step away; nothing stays nothing."""
    batch = ViewPairs(size=32, views=2, depths=True).batch(3, 0, 0)
    assert batch.images.shape == (3, 32, 64, 4)
    assert np.array_equal(batch.images[..., :3], ViewPairs(size=32, views=2).batch(3, 0, 0).images)
    light = still_light(np.random.default_rng(0))
    viewpoints = batch.labels[0]
    pictures = pictures_from(build(parse("red car")), viewpoints, light, size=32)
    bytes_ = np.round(coded_depth(pictures, viewpoints) * 255)
    depth = depth_of(torch.from_numpy(bytes_ / 255), torch.tensor(viewpoints.distance)).numpy()
    seen = pictures.masks > 0.5
    assert seen.any() and not depth[~seen].any()
    assert np.abs(depth - pictures.depth)[seen].max() <= SPAN / 255 * 1.01
