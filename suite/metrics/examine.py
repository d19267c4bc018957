"""How good the judge is: its answers about true renders that it has not been trained on."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from suite.metrics.judge import Judge
from suite.toyworld.captions import VIEWS, view_word
from suite.toyworld.dataset import DISTANCE, FOV_DEG, Scenes, orbit, random_backgrounds, random_lights
from suite.toyworld.objects import build, kinds
from suite.toyworld.render import render

MARGIN_DEG = 5.0  # views this near to where one word ends and the next begins are nobody's mistake


def examine(judge: Judge, scenes: Scenes, *, batches: int, seed: int) -> dict[str, float]:
    """Accuracies on true renders.

    Names, colours and patterns are asked of the scenes' own pictures, every camera, light, background and
    motion included; views of kinds that have a front, from cameras at least MARGIN_DEG from a border between
    two words.

    Returns: name (over all), name_object, name_real, name_person, name_motion, color, pattern, view.
    """
    answers: dict[str, list[bool]] = defaultdict(list)
    for number in range(batches):
        batch = scenes.batch(128 - 128 % scenes.views, seed, number)
        verdict = judge.look(torch.from_numpy(batch.images).movedim(-1, 1))
        names, colors, patterns = (verdict.best(head) for head in ("name", "color", "pattern"))
        for label, name, color, pattern in zip(batch.labels, names, colors, patterns):
            answers["name"].append(name == label.name)
            answers[f"name_{label.source}"].append(name == label.name)
            if label.color:
                answers["color"].append(color == label.color)
                answers["pattern"].append(pattern == label.pattern)
    images, views = pictures_of_views(scenes, seed=seed, each=max(1, batches // 2))
    answers["view"] = [a == b for a, b in zip(judge.look(images).best("view"), views)]
    return {question: float(np.mean(right)) for question, right in sorted(answers.items())}


def pictures_of_views(scenes: Scenes, *, seed: int, each: int) -> tuple[Tensor, list[str]]:
    """`each` pictures of every kind that has a front, from clear views, and their view words."""
    random = np.random.default_rng([seed, 1])
    images, views = [], []
    for kind in (name for name in scenes.specs if kinds()[name].front):
        azimuth, elevation = clear_views(each, random)
        cameras = orbit(azimuth, elevation, random.uniform(*DISTANCE, each))
        spec = scenes.specs[kind][random.integers(len(scenes.specs[kind]))]
        pictures = render(
            build(spec), cameras, np.full(each, FOV_DEG), height=scenes.size, width=scenes.size,
            lights=random_lights(cameras, random), background=random_backgrounds(each, random),
        )  # fmt: skip
        images.append(torch.from_numpy(pictures.images).movedim(-1, 1))
        views += [view_word(a, e) for a, e in zip(azimuth, elevation)]
    return torch.cat(images), views


def clear_views(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and elevations in degrees: each word as often, none within MARGIN_DEG of another word."""
    azimuth, elevation = np.empty(count), np.empty(count)
    for i in range(count):
        word = VIEWS[random.integers(len(VIEWS))]
        while True:
            a, e = random.uniform(-180, 180), random.uniform(-12, 88)
            if e > 60 - MARGIN_DEG and word != VIEWS[3] or e < 60 + MARGIN_DEG and word == VIEWS[3]:
                continue
            if word == VIEWS[3] or {word} == set(_words_around(a)):
                azimuth[i], elevation[i] = a, e
                break
    return azimuth, elevation


def _words_around(azimuth_deg: float) -> Iterable[str]:
    return (view_word(azimuth_deg + turn, 0.0) for turn in (-MARGIN_DEG, MARGIN_DEG))
