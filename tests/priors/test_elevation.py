"""The elevation of a picture follows from whether silhouettes fit one solid."""

import pytest
import torch

from priors.elevation import (
    ABOVE,
    ABOVE_AT,
    AZIMUTHS,
    FALLBACK_DEG,
    agreement,
    estimate_elevation,
    judged,
    silhouettes,
)
from priors.exact_views import ExactViews
from priors.reference import Picture
from suite.geometry.cameras import Cameras
from suite.toyworld.lookup import Things
from suite.toyworld.stills import stills
from suite.toyworld.view_pairs import FOV_DEG


def cameras(elevation: float, size: int = 40) -> Cameras:
    azimuth = [30.0, *(30.0 + a for a in AZIMUTHS), *(30.0 + a for a in ABOVE_AT)]
    higher = [elevation] * (1 + len(AZIMUTHS)) + [elevation + ABOVE] * len(ABOVE_AT)
    return Cameras.orbit(azimuth, higher, 1.6, FOV_DEG, height=size, width=size)


def test_silhouettes_agree_at_the_true_elevation():
    """True masks of a car from 25 degrees belong to a solid there (IoU .9), and to none 15 degrees off (.05 less)."""
    masks = torch.from_numpy(stills(Things().named("a blue car").surface, cameras(25.0)).masks)[:, None]
    right, *wrong = (agreement(masks, cameras(elevation)) for elevation in (25.0, 10.0, 40.0))
    assert right > 0.9 and max(wrong) < right - 0.05


def test_a_ball_fits_at_any_elevation():
    """Its silhouette is the same disk from everywhere: the scores are one number, and nothing is claimed."""
    y, x = torch.meshgrid(torch.arange(40) - 19.5, torch.arange(40) - 19.5, indexing="ij")
    masks = ((x**2 + y**2) < 12**2).float().expand(12, 1, 40, 40)
    scores = {e: agreement(masks, cameras(float(e))) for e in (0, 20, 40)}
    assert max(scores.values()) - min(scores.values()) < 0.02
    found = judged({e: 0.9 for e in (0, 20, 40)})
    assert not found.reliable and found.elevation_deg == FALLBACK_DEG


def test_the_top_of_a_parabola():
    """Scores 1 - ((e - 23) / 100)^2 at steps of 10 peak at 23; at the ends of the candidates, there."""
    scores = {e: 1 - ((e - 23) / 100) ** 2 for e in range(-10, 61, 10)}
    assert judged(scores).elevation_deg == pytest.approx(23, abs=0.01) and judged(scores).reliable
    assert judged({e: e / 100 for e in (0, 10, 20)}).elevation_deg == 20


def test_silhouettes_are_what_is_not_white():
    """A pale object with a white hole: the hole is part of it, the background is not."""
    image = torch.ones(1, 3, 12, 12)
    image[..., 3:9, 3:9] = 0.85
    image[..., 5:7, 5:7] = 1.0
    found = silhouettes(image)
    assert float(found.sum()) == 36 and bool(found[0, 0, 5, 5])


@pytest.mark.parametrize("told", [False, True])
def test_a_pictures_elevation_is_found(told):
    """Through the exact prior's views of it, to 6 degrees at 32 pixels; a prior that is told the elevation is asked
    again for each candidate."""
    prior = ExactViews(things=["a blue car"], size=32)
    if told:
        prior.pose = "polar"
    picture = Picture(azimuth_deg=30.0, taken_from_deg=32.0)(prior, scene="a blue car")
    before = prior.evaluations
    found = estimate_elevation(prior, picture, steps=1, scale=1.0, candidates=(5, 20, 30, 45))
    assert found.reliable and abs(found.elevation_deg - 32) < 6
    assert prior.evaluations - before == (4 if told else 1) * (1 + len(AZIMUTHS) + len(ABOVE_AT))
