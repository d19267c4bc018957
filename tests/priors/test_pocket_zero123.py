"""The shipped view-conditioned prior: small, and right about things it never saw."""

import pytest
import torch
from torch import Tensor

from priors.checkpoints import SHIPPED
from priors.evaluate_novel_view import EvaluateNovelView
from priors.train.train_shape_memory import examined
from priors.view_questions import questions
from priors.zero123 import load
from suite.metrics.images import psnr, ssim
from suite.run import Run
from suite.settings import Settings
from suite.toyworld.view_pairs import HELD_OUT_KINDS


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> tuple[Tensor, Tensor, Tensor]:
    """Given, made and true views of eight things of either split."""
    task = EvaluateNovelView(prior=load("pocket_zero123"), things=8, views=1, steps=10)
    asked = [q for split in task.splits for q in questions(split, 8, 1, 3)]
    images = torch.stack([task.true_views(question) for question in asked])
    run = Run(tmp_path_factory.mktemp("views"), settings=Settings(device="cpu"))
    return images[:, 0], task.sample(asked, images[:, 0], run)[:, 0], images[:, 1]


def test_it_is_small():
    """At most 30 MB, weights in half precision."""
    files = [path for path in SHIPPED["pocket_zero123"].rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6


def test_it_shows_the_other_side_of_what_it_never_saw(views):
    """Held-out compositions and kinds, from noise: nearer than the picture itself."""
    given, made, true = views
    for split in (slice(0, 8), slice(8, 16)):
        nearness, copied = psnr(made[split], true[split]).mean(), psnr(given[split], true[split]).mean()
        assert nearness > max(15, copied + 1)
        assert ssim(made[split], true[split]).mean() > 0.57


def test_it_heeds_picture_and_camera(views):
    """Its views are nearer to what was asked than to what was asked of another thing."""
    _, made, true = views
    own, other = psnr(made, true), psnr(made, true.roll(1, 0))
    assert (own > other).float().mean() >= 0.9


@pytest.mark.parametrize(
    ("split", "decibels", "structure"), [("held_out", 20.5, 0.81), ("held_out_kinds", 17.7, 0.72)]
)
def test_its_own_views_are_right(split, decibels, structure):
    """What it expects to see of sixteen other things; its card has the numbers of more."""
    prior = load("pocket_zero123", start=0.0)
    task = EvaluateNovelView(prior=prior, things=16, views=2, splits=(split,))
    asked = questions(split, 16, 2, 7)
    images = torch.stack([task.true_views(question) for question in asked])
    made, true = task.volume_views(asked, images[:, 0]).flatten(0, 1), images[:, 1:].flatten(0, 1)
    assert psnr(made, true).mean() > decibels and ssim(made, true).mean() > structure


def test_it_remembers_shapes():
    """Of held-out compositions it names nearly all; of kinds that it never saw none is in its memory."""
    memory = load("pocket_zero123").volume.memory
    assert not set(HELD_OUT_KINDS) & set(memory.config.shapes)
    assert examined(memory, 5, 64, batches=2)["named"] > 0.85
