"""The pool of training pictures."""

from collections import Counter

import pytest
import torch

from suite.rng import generator
from suite.toyworld.dataset import Scenes
from suite.toyworld.pool import Pool


def pool(**options) -> Pool:
    """A small one."""
    return Pool(Scenes(size=16), **({"batch": 4, "reuse": 2, "size": 3, "seed": 0} | options))


def test_a_draw_follows_from_its_step():
    """A pool that begins at any step draws what an uninterrupted one draws there, also after going back."""
    through = pool()
    seen = [through.draw(step, generator(0, step, "step")) for step in range(12)]
    for step in (5, 3, 11):
        images, labels = pool().draw(step, generator(0, step, "step"))
        assert torch.equal(images, seen[step][0]) and labels == seen[step][1]
    images, labels = through.draw(3, generator(0, 3, "step"))
    assert torch.equal(images, seen[3][0]) and labels == seen[3][1]


def test_pictures_are_those_of_the_scenes():
    """Every drawn picture is one of the newest batches of the scenes, to half a step of 8 bits, with its label."""
    scenes, drawn = Scenes(size=16), pool()
    images, labels = drawn.draw(9, generator(0, 9, "step"))
    batches = [scenes.batch(4, 0, number) for number in (3, 4, 5)]
    for image, label in zip(images, labels):
        errors = {
            float((torch.from_numpy(truth).movedim(-1, 0) - image).abs().max()): its
            for batch in batches
            for truth, its in zip(batch.images, batch.labels)
        }
        assert min(errors) <= 0.5 / 255 + 1e-6 and errors[min(errors)] == label


def test_reuse_is_how_often_a_picture_comes():
    """Over many steps a picture is drawn `reuse` times on average."""
    drawn, counts = pool(reuse=3), Counter()
    for step in range(90):
        counts.update(image.numpy().tobytes() for image in drawn.draw(step, generator(0, step, "step"))[0])
    assert sum(counts.values()) / len(counts) == pytest.approx(3, rel=0.2)


def test_what_belongs_together_is_drawn_together():
    """Pairs of a batch stay pairs, in their order."""
    drawn, pairs = pool(together=2), set()
    for number in range(3, 6):
        labels = Scenes(size=16).batch(4, 0, number).labels
        pairs |= {labels[:2], labels[2:]}
    _, labels = drawn.draw(9, generator(0, 9, "step"))
    assert {tuple(labels[:2]), tuple(labels[2:])} <= pairs
    with pytest.raises(ValueError, match="batch=4 does not hold whole groups of 3"):
        pool(together=3)


def test_counts_below_one_are_refused():
    """No batch, no pool."""
    with pytest.raises(ValueError, match="batch, reuse and pool must be at least 1, got 4, 0 and 3"):
        pool(reuse=0)
