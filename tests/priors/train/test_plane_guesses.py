"""Planes of symmetry that are told in training: as often right as they are said to be."""

import math

import pytest
import torch

from priors.symmetry import Planes
from priors.train.plane_guesses import UNTOLD, plane_surprise, right_planes, told_planes, true_planes
from suite.rng import generator
from suite.toyworld.view_pairs import Viewpoints


def seen(plane_deg: float, azimuth_deg: float) -> Viewpoints:
    return Viewpoints("", (azimuth_deg, 7.0), (0.0, 0.0), (1.8, 1.8), plane_deg=plane_deg)


def test_planes_are_relative_to_the_first_camera():
    """In a mirror they are on the other side."""
    things = [seen(90.0, 30.0), seen(90.0, 30.0), seen(math.nan, 30.0)]
    found = true_planes(things, torch.tensor([False, True, False]))
    assert found[:2].tolist() == [60, -60] and bool(found[2].isnan())


def test_they_are_right_as_often_as_they_are_said_to_be():
    things, turned = [seen(0.0, float(i % 360)) for i in range(20_000)], torch.zeros(20_000).bool()
    planes = told_planes(things, turned, generator(0, 0, "planes"))
    right = right_planes(planes, things, turned)
    known = planes.sure > 0
    assert float((~known).float().mean()) == pytest.approx(UNTOLD, abs=0.01)
    assert torch.equal(known, right.isfinite())
    for low, high in ((0.35, 0.6), (0.6, 0.8), (0.8, 1.0)):
        some = known & (planes.sure > low) & (planes.sure < high)
        assert float(right[some].mean()) == pytest.approx(float(planes.sure[some].mean()), abs=0.03)


def test_nobody_knows_of_things_without_a_plane():
    things, turned = [seen(math.nan, 10.0), seen(0.0, 10.0), seen(0.0, 10.0)], torch.zeros(3).bool()
    right = right_planes(
        Planes(torch.tensor([0.0, 172.0, -10.0]), torch.tensor([1.0, 1.0, 0.0])), things, turned
    )
    assert right.isnan().tolist() == [True, False, True] and float(right[1]) == 1
    assert float(plane_surprise(torch.tensor([5.0, 0.0, -5.0]), right)) == pytest.approx(math.log(2))
    assert float(plane_surprise(torch.zeros(3), torch.full((3,), torch.nan))) == 0
