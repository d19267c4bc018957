"""What a view-conditioned prior is asked: procedural things, one given view and some wanted ones of each; and what
needs no prior to answer, the nearest object of its training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.train.train_novel_view import pictures_of
from suite.toyworld.dataset import random_spec, specs_by_kind
from suite.toyworld.objects import ObjectSpec, build
from suite.toyworld.paints import COLORS
from suite.toyworld.render import Lights
from suite.toyworld.view_pairs import (
    SPLITS,
    Viewpoints,
    random_viewpoints,
    seen_from,
    still_light,
)
from suite.types import Images

# The given pictures' cameras (azimuth, elevation, distance): few, so that training objects are rendered once for all.
GIVEN = ((20, 15, 1.8), (-60, 30, 1.6), (120, 5, 2.0), (-150, 20, 1.8), (60, 45, 2.1), (-25, 0, 1.7))
PLAIN_LIGHT = Lights(
    np.array([[0.0, 0.0, 1.0]], np.float32), np.full(1, 0.8, np.float32), np.full(1, 0.25, np.float32)
)


@dataclass(frozen=True)
class Question:
    """One thing: its given view is the first of its viewpoints, the others are wanted."""

    split: str
    spec: ObjectSpec
    viewpoints: Viewpoints
    light: Lights
    given: int  # index into GIVEN


def questions(split: str, things: int, views: int, seed: int) -> list[Question]:
    """`things` things of a split, each kind as often as any other, the given camera one of GIVEN."""
    random = np.random.default_rng([seed, list(SPLITS).index(split)])
    specs = _by_kind(split)
    order: list[str] = []
    while len(order) < things:
        order += random.permutation(list(specs)).tolist()
    asked = []
    for number, kind in enumerate(order[:things]):
        spec = random_spec({kind: specs[kind]}, random)
        wanted = random_viewpoints(spec.prompt, views, random)
        fields = ("azimuth_deg", "elevation_deg", "distance")
        first = GIVEN[number % len(GIVEN)]
        viewpoints = replace(wanted, **{f: (float(x), *getattr(wanted, f)) for f, x in zip(fields, first)})
        asked.append(Question(split, spec, viewpoints, still_light(random), number % len(GIVEN)))
    return asked


def _by_kind(split: str) -> dict[str, list[ObjectSpec]]:
    """A split's objects of natural size without options, by kind."""
    return specs_by_kind(lambda spec: SPLITS[split](spec) and spec.size == "" and not spec.option)


def training_objects() -> list[ObjectSpec]:
    """Every kind in every colour that training shows, plain, of natural size, without options."""
    specs = [spec for of_kind in _by_kind("train").values() for spec in of_kind if spec.pattern == "plain"]
    assert {spec.color for spec in specs} == set(COLORS)
    return specs


def nearest_views(
    asked: Sequence[Question], given: Float[Tensor, "n 3 h w"], size: int, *, coarse: int = 32
) -> Float[Tensor, "n v 3 h w"]:
    """The wanted views of the training object whose render is nearest to each given picture.

    Args:
        coarse: Pictures are compared at this size.
    """
    bank = training_objects()
    renders = bank_renders(bank, sorted({question.given for question in asked}), coarse)
    found = []
    for question, picture in zip(asked, resized(given, coarse)):
        distance = (renders[question.given] - picture).square().mean((1, 2, 3))
        surface = build(bank[int(distance.argmin())])
        images = seen_from(surface, question.viewpoints, question.light, size=size)
        found.append(pictures_of(images)[1:])
    return torch.stack(found)


def bank_renders(bank: Sequence[ObjectSpec], given: Sequence[int], size: int) -> dict[int, Images]:
    """Every object from the cameras of GIVEN that are wanted, by the camera's number."""
    places = Viewpoints("", *(tuple(float(GIVEN[g][k]) for g in given) for k in range(3)))
    seen = np.stack([seen_from(build(spec), places, PLAIN_LIGHT, size=size) for spec in bank], axis=1)
    return {g: pictures_of(images) for g, images in zip(given, seen)}


def resized(images: Images, size: int) -> Float[Tensor, "b 3 y x"]:
    """Pictures of another size, averaged when they become smaller."""
    if images.shape[-1] == size:
        return images
    return torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True).clamp(0, 1)
