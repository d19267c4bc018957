"""Views sampled from noise, from what is expected, and from between."""

import pytest
import torch

from priors.train.train_novel_view import pictures_of
from priors.view_questions import questions
from priors.view_sampling import sampled
from priors.zero123 import load
from suite.errors import UserError
from suite.rng import generator
from suite.toyworld.objects import build
from suite.toyworld.view_pairs import cameras_of, seen_from


@pytest.fixture(scope="module")
def asked():
    """The shipped prior, a picture, its camera, and two wanted ones."""
    question = questions("held_out", 1, 2, 0)[0]
    views = pictures_of(seen_from(build(question.spec), question.viewpoints, question.light))
    cameras = cameras_of([question.viewpoints], 64)
    return load("pocket_zero123"), views, cameras


def test_it_begins_where_it_is_told(asked):
    """At 0 what is expected, unchanged; the later sampling begins the nearer to that; at 1 only the noise counts."""
    prior, views, cameras = asked
    one, wanted = views[:1].expand(2, -1, -1, -1), cameras[1:]
    reference = cameras[torch.zeros(2).long()]
    condition = prior.embed(["", ""], wanted, one, reference=reference)
    expected = prior.expected(wanted, one, reference=reference)
    noise = torch.randn(2, 12, 16, 16, generator=generator(0, 0, "noise"))
    options = {"steps": 10, "scale": 1.0}
    made = {s: sampled(prior, noise, condition, expected, start=s, **options) for s in (0, 0.2, 0.8, 1)}
    assert made[0] is expected
    away = [float((made[s] - expected).square().mean()) for s in (0.2, 0.8)]
    assert 0 < away[0] < away[1]
    torch.testing.assert_close(made[1], sampled(prior, noise, condition, **options))


def test_what_is_shown_is_expected_as_what_is_given(asked):
    """`show` once says the same as a picture and camera with each question."""
    prior, views, cameras = asked
    prior.show(views[:1], cameras[:1])
    one, reference = views[:1].expand(2, -1, -1, -1), cameras[torch.zeros(2).long()]
    given = prior.expected(cameras[1:], one, reference=reference)
    torch.testing.assert_close(prior.expected(cameras[1:]), given, atol=1e-4, rtol=1e-4)


def test_bad_starts(asked):
    prior, noise = asked[0], torch.zeros(1, 12, 16, 16)
    nothing = prior.encode_text([""])
    for start in (-0.1, 1.5):
        with pytest.raises(UserError, match="start is a time from 0"):
            sampled(prior, noise, nothing, steps=2, scale=1.0, start=start)
    with pytest.raises(UserError, match="cannot tell what it expects to see. Type start=1"):
        sampled(prior, noise, nothing, steps=2, scale=1.0, start=0.5)
    with pytest.raises(UserError, match="Type prior.start=1"):
        load("pocket_zero123", start=2.0)
