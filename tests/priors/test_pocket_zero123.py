"""The shipped view-conditioned prior: small, and right about things it never saw."""

import pytest
import torch
from torch import Tensor

from priors.checkpoints import SHIPPED
from priors.evaluate_novel_view import EvaluateNovelView
from priors.view_questions import questions
from priors.zero123 import load
from suite.metrics.images import psnr, ssim
from suite.run import Run
from suite.settings import Settings


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
    """Held-out compositions and kinds: nearer than the picture itself. Its card says how far it is from its bars."""
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
