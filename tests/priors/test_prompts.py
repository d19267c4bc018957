"""View-dependent words and Perp-Neg's weights against their published values."""

import math

import pytest

from priors.prompts import (
    FRONT_FROM_BEHIND,
    FRONT_TO_SIDE,
    SIDE_TO_BACK,
    Prompt,
    ViewPrompts,
    f,
    perp_neg_weights,
    view_of,
    view_weights,
)
from suite.errors import UserError
from suite.geometry.cameras import Cameras

AROUND = Cameras.orbit([0.0, 44.0, -44.0, 46.0, -90.0, 134.0, 136.0, 180.0, -170.0, 10.0])
WORDS = ["front"] * 3 + ["side"] * 3 + ["back"] * 3 + ["front"]


def test_view_words_by_azimuth():
    """Front within 45 degrees, back beyond 135, side between, both to the left and to the right."""
    views = Prompt(text="a car").seen_from(AROUND)
    assert [blend for blend in views.positive] == [((f"a car, {word} view", 1.0),) for word in WORDS]
    assert views.negative == ("",) * 10 and views.perpendicular == () and len(views) == 10


def test_insisting_pushes_away_from_the_prompt_without_its_view():
    """A prompt that says no view is unwanted as itself: Perp-Neg's perpendicular part of that is nothing."""
    views = ViewPrompts.insisting(["a car, back view", "a red, round car"], 0.5)
    ((unwanted, weight),) = views.perpendicular
    assert unwanted == ("a car", "a red, round car") and weight.tolist() == [-0.5, -0.5]
    assert views.positive == ViewPrompts.of_texts(["a car, back view", "a red, round car"]).positive
    for texts, weight in ((["a car"], 0.5), (["a car, back view"], 0.0)):
        assert ViewPrompts.insisting(texts, weight) == ViewPrompts.of_texts(texts)


def test_overhead_above_sixty_degrees():
    """From above the word is overhead whatever the azimuth, in both kinds of wording."""
    above = Cameras.orbit([0.0, 90.0, 180.0], [61.0, 75.0, 90.0])
    for views in ("discrete", "interpolated"):
        texts = Prompt(text="a car", views=views).seen_from(above).texts
        assert texts == ("a car, overhead view", "")
    assert view_of(0.0, 59.0) == "front" and view_of(0.0, -80.0) == "front"


def test_interpolation_is_linear_in_azimuth_and_symmetric():
    """30 degrees is 2/3 front and 1/3 side; 120 is 2/3 side and 1/3 back; the ends are pure."""
    assert dict(view_weights(30.0, 0.0)) == pytest.approx({"front": 2 / 3, "side": 1 / 3})
    assert dict(view_weights(-120.0, 0.0)) == pytest.approx({"side": 2 / 3, "back": 1 / 3})
    for azimuth, view in ((0.0, "front"), (90.0, "side"), (-90.0, "side"), (180.0, "back"), (-180.0, "back")):
        assert view_weights(azimuth, 0.0) == ((view, 1.0),)
    for azimuth in range(-180, 181, 7):
        assert sum(w for _, w in view_weights(float(azimuth), 0.0)) == pytest.approx(1)
        assert view_weights(float(azimuth), 0.0) == view_weights(float(azimuth) + 360, 0.0)


def test_perp_neg_weights_at_the_published_points():
    """f from 1.574 to 0 (front and side), .394 to 0 (side, from the back), 1.967 to 1.574 (front, so)."""
    assert (f(0.0, FRONT_TO_SIDE), f(1.0, FRONT_TO_SIDE)) == pytest.approx((1.574, 0.0), abs=1e-3)
    assert (f(0.0, SIDE_TO_BACK), f(1.0, SIDE_TO_BACK)) == pytest.approx((0.394, 0.0), abs=1e-3)
    assert (f(0.0, FRONT_FROM_BEHIND), f(1.0, FRONT_FROM_BEHIND)) == pytest.approx((1.967, 1.574), abs=1e-3)
    assert f(0.5, SIDE_TO_BACK) == pytest.approx(math.exp(-0.25) - 0.606)
    assert dict(perp_neg_weights(0.0, 0.0)) == pytest.approx({"front": 0.0, "side": -1.574}, abs=1e-3)
    assert dict(perp_neg_weights(180.0, 0.0)) == pytest.approx({"side": -0.394, "front": -1.967}, abs=1e-3)
    assert [w for _, w in perp_neg_weights(0.0, 70.0)] == [0.0, 0.0]


def test_perp_neg_texts_follow_the_views():
    """One unwanted text and weight a view and column; none of them rewards."""
    views = Prompt(text="a car", views="interpolated", perp_neg=True).seen_from(AROUND)
    (first, w_first), (second, w_second) = views.perpendicular
    assert first[0] == "a car, front view" and second[0] == "a car, side view"
    assert first[7] == "a car, side view" and second[7] == "a car, front view"
    assert w_first.shape == w_second.shape == (10,) and bool((w_first <= 0).all() & (w_second <= 0).all())


def test_own_words_own_texts_and_negative():
    """view_words changes the words, view_texts the whole text; the negative goes everywhere."""
    prompt = Prompt(
        text=" a temple ",
        negative="blurry",
        view_words={"back": "seen from behind"},
        view_texts={"front": "a temple with a red gate"},
    )
    views = prompt.seen_from(Cameras.orbit([0.0, 90.0, 180.0]))
    texts = [blend[0][0] for blend in views.positive]
    assert texts == ["a temple with a red gate", "a temple, side view", "a temple, seen from behind"]
    assert views.negative == ("blurry",) * 3


def test_no_view_words():
    """views="none" says the same to every camera."""
    assert Prompt(text="a car", views="none").seen_from(AROUND).texts == ("a car", "")


def test_texts_are_listed_once():
    """of_texts keeps order and repetition; texts lists each once."""
    views = ViewPrompts.of_texts(["a", "b", "a"], negative="no")
    assert len(views) == 3 and views.texts == ("a", "b", "no")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"text": "  "}, 'The prompt is empty. Say what to make, as prompt="a red mushroom"'),
        ({"text": "a", "perp_neg": True}, "needs views=interpolated, got views=discrete"),
        (
            {"text": "a", "view_words": {"top": "top view"}},
            r"view_words has \['top'\]; the views are: front, side",
        ),
        ({"text": "a", "view_texts": {"rear": "x"}}, r"view_texts has \['rear'\]"),
        ({"text": "a", "views": "none", "view_words": {"back": "x"}}, "has no effect with views=none"),
    ],
)
def test_mistakes_are_explained(options, message):
    """Each impossible prompt says what would do."""
    with pytest.raises(UserError, match=message):
        Prompt(**options)
