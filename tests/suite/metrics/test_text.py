import math

import numpy as np
import pytest
import torch

from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.metrics.judge import Judge, Verdict, World
from suite.metrics.text import Claim, all_claims, claim_of, ranks_among, scores, text_agreement
from suite.toyworld.captions import VIEWS
from suite.toyworld.objects import build, parse
from suite.toyworld.render import render

WORLD = World(
    kinds=("car", "mushroom"),
    fronts=("car", "horse", "person"),
    real=("horse", "cup of coffee"),
    colors=("red", "blue"),
    patterns=("plain", "striped"),
    views=VIEWS,
)
SURE, UNSURE = math.log(0.9), math.log(0.1)


def verdict_of(answers):
    """A verdict with 0.9 for the given answers and the rest spread evenly; "" is undecided."""
    rows = {head: torch.full((len(answers), len(options)), 0.0) for head, options in WORLD.heads.items()}
    for head, options in WORLD.heads.items():
        for row, answer in zip(rows[head], answers):
            row[:] = 1 / len(options)
            if answer.get(head):
                row[:] = 0.1 / (len(options) - 1)
                row[options.index(answer[head])] = 0.9
    return Verdict(WORLD, **{head: row.log() for head, row in rows.items()})


class Oracle(Judge):
    """A judge that says what it was told to."""

    def __init__(self, answers):
        super().__init__(world=WORLD, widths=(4, 4, 4, 4))
        self.answers = answers

    def look(self, images, batch=128):
        return verdict_of(self.answers)


@pytest.mark.parametrize(
    ("prompt", "claim"),
    [
        ("a red car", Claim("car", "red", "plain")),
        ("a red car, side view", Claim("car", "red", "plain", "side view")),
        (
            "A tall striped blue mushroom, sliding left, back view",
            Claim("mushroom", "blue", "striped", "back view"),
        ),
        ("a car", Claim("car", None, "plain")),
        ("a red automobile", Claim("car", "red", "plain")),
        ("a horse, front view", Claim("horse", view="front view")),
        ("cup of coffee", Claim("cup of coffee")),
        ("a person in a red shirt and blue trousers, waving", Claim("person")),
        ("a child in a red shirt and a blue skirt", Claim("person")),
    ],
)
def test_what_prompts_say(prompt, claim):
    """Kind (synonyms too), colour, pattern and view; a missing pattern is plain, a missing colour is any."""
    assert claim_of(prompt, WORLD) == claim


@pytest.mark.parametrize("prompt", ["a red teapot", "a zebra", "a red carr", "", "a red car, in the rain"])
def test_prompts_outside_the_world_are_refused(prompt):
    """A kind that it has not learnt, no kind at all, a misspelling, nothing, and words it cannot see."""
    with pytest.raises(
        UserError, match="cannot tell whether a picture shows.*outside its world.*car, mushroom"
    ):
        claim_of(prompt, WORLD)


def test_misspelt_prompts_get_a_hint():
    """The nearest names are offered."""
    with pytest.raises(UserError, match="Did you mean mushroom?"):
        claim_of("a red mushrom", WORLD)


def test_score_is_the_sum_of_log_probabilities():
    """log p(prompt) = log p(name) + log p(colour) + log p(pattern), what is not said left out."""
    verdict = verdict_of([{"name": "car", "color": "red", "pattern": "plain"}, {"name": "horse"}])
    claims = [
        Claim("car", "red", "plain"),
        Claim("car", "blue", "plain"),
        Claim("car", None, "plain"),
        Claim("horse"),
    ]
    half, fifth = math.log(0.5), math.log(0.1 / 4)
    expected = [
        [3 * SURE, 2 * SURE + UNSURE, 2 * SURE, fifth],
        [fifth + 2 * half, fifth + 2 * half, fifth + half, SURE],
    ]
    torch.testing.assert_close(scores(verdict, claims), torch.tensor(expected))


def test_all_claims_are_kinds_times_colours_times_patterns_and_the_others():
    """2 kinds x 2 colours x 2 patterns, 2 real objects, a person."""
    assert len(set(all_claims(WORLD))) == len(all_claims(WORLD)) == 2 * 2 * 2 + 2 + 1


def test_rank_counts_what_scores_higher():
    """The right prompt is first, the other colour second; pictures that disagree make a tie."""
    verdict = verdict_of(
        [{"name": "car", "color": "red", "pattern": "plain"}, {"name": "car", "color": "blue"}]
    )
    ranks, together = ranks_among(verdict, Claim("car", "red", "plain"))
    assert ranks.tolist() == [1, 3] and together == 1
    ranks, together = ranks_among(verdict, Claim("car", "blue", "plain"))
    assert ranks.tolist() == [2, 1] and together == 1
    assert ranks_among(verdict, Claim("car", "blue", "striped"))[1] > 1
    assert ranks_among(verdict, Claim("car", "blue", "plain"), [Claim("mushroom", "blue", "plain")])[1] == 1


def test_shares_of_views():
    """Three of four views are a car, two of these red: named in 2 of 4, name in 3, colour in 3."""
    answers = [
        {"name": "car", "color": "red", "pattern": "plain", "view": "front view"},
        {"name": "car", "color": "red", "pattern": "plain", "view": "side view"},
        {"name": "car", "color": "blue", "pattern": "striped", "view": "side view"},
        {"name": "horse", "color": "red", "pattern": "plain", "view": "side view"},
    ]
    cameras = Cameras.orbit([0.0, 90.0, 180.0, -90.0], 15.0)
    images = torch.rand(4, 3, 64, 64)
    found = text_agreement(images, "a red car", cameras=cameras, judge=Oracle(answers))
    assert (found.named, found.name, found.color, found.pattern, found.view) == (0.5, 0.75, 0.75, 0.75, 0.75)
    assert found.r_precision == 0.5 and found.rank == 1
    horse = text_agreement(images, "a horse", judge=Oracle(answers))
    assert (horse.named, horse.color, horse.view, horse.r_precision) == (0.25, None, None, 0.25)
    among = text_agreement(
        images,
        "a horse",
        prompts=["a horse", "a person in a red shirt and blue shorts"],
        judge=Oracle(answers),
    )
    assert among.rank == 1 and among.r_precision == 1.0
    assert text_agreement(images, "a red mushroom", cameras=cameras, judge=Oracle(answers)).view is None


def test_true_objects_agree_with_their_prompts():
    """16 views of true objects: the shipped judge names at least 14 of them, and not a false prompt."""
    azimuth = torch.arange(16) * 22.5
    cameras = Cameras.orbit(azimuth, 15.0)
    pairs = {
        "a red mushroom": "a red house",
        "a blue car": "a yellow car",
        "a striped green teapot": "a green cat",
    }
    for prompt, wrong in pairs.items():
        surface = build(parse(prompt))
        pictures = render(surface, cameras.world_from_camera.numpy(), np.full(16, 40.0))
        images = torch.from_numpy(pictures.images).movedim(-1, 1)
        true = text_agreement(images, prompt, cameras=cameras)
        assert true.named >= 14 / 16 and true.r_precision >= 12 / 16 and true.rank == 1, (prompt, true)
        false = text_agreement(images, wrong, cameras=cameras)
        assert false.named <= 2 / 16 and false.rank > 1, (wrong, false)
