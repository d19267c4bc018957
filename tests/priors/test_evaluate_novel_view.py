"""Measuring views of held-out things: the questions, the baselines, the report."""

import json

import pytest
import torch

from priors.analytic import GaussianPrior
from priors.evaluate_novel_view import EvaluateNovelView, table
from priors.train.train_novel_view import pictures_of
from priors.train.view_denoiser import ViewTraining
from priors.view_questions import GIVEN, nearest_views, questions, training_objects
from priors.zero123 import Zero123Prior, load
from suite.errors import UserError
from suite.geometry.frustum_volumes import render_volumes
from suite.metrics.images import psnr
from suite.run import Run
from suite.settings import Settings
from suite.toyworld.objects import ObjectSpec, held_out
from suite.toyworld.view_pairs import HELD_OUT_KINDS, ViewPairs, cameras_of


@pytest.fixture(scope="module")
def prior() -> Zero123Prior:
    """An untrained one."""
    pictures = pictures_of(ViewPairs(size=32, views=2).batch(2, 0, 0).images)
    return ViewTraining(pictures, size=32, widths=(32, 32), width=32, layers=1, autocast=False).prior()


def evaluate(prior, **options) -> EvaluateNovelView:
    return EvaluateNovelView(prior=prior, **({"things": 2, "views": 1, "steps": 1, "size": 32} | options))


def test_questions_are_of_their_split_and_balanced():
    """Kinds equally often; the given camera first; the same from the same seed, others from another."""
    asked = questions("held_out_kinds", 8, 3, 0)
    assert sorted(q.spec.kind for q in asked) == sorted(2 * HELD_OUT_KINDS)
    assert asked[3].viewpoints == questions("held_out_kinds", 8, 3, 0)[3].viewpoints
    assert asked[3].viewpoints != questions("held_out_kinds", 8, 3, 1)[3].viewpoints
    cameras = cameras_of([question.viewpoints for question in asked], 32)
    assert len(cameras) == 8 * 4
    for k, question in enumerate(asked):
        given = [float(x[4 * k]) for x in (cameras.azimuth_deg, cameras.elevation_deg, cameras.distance)]
        assert given == pytest.approx(GIVEN[question.given], abs=1e-3)
    compositions = questions("held_out", 30, 1, 0)
    assert all(held_out(q.spec) and q.spec.kind not in HELD_OUT_KINDS for q in compositions)
    assert len({q.spec.kind for q in compositions}) == 30


def test_the_nearest_object_is_found_and_shown(prior, monkeypatch):
    """A thing that is in the bank finds itself: its views are the true ones. One that is not gets another's."""
    bank = [ObjectSpec("car", "red"), ObjectSpec("mushroom", "blue"), ObjectSpec("house", "green")]
    monkeypatch.setattr("priors.view_questions.training_objects", lambda: bank)
    asked = questions("train", 2, 2, 0)
    asked = [type(q)(q.split, spec, q.viewpoints, q.light, q.given) for q, spec in zip(asked, bank[1:])]
    task = evaluate(prior)
    true = [task.true_views(question) for question in asked]
    found = nearest_views(asked, torch.stack([images[0] for images in true]), 32)
    for images, views in zip(true, found):
        assert torch.equal(images[1:], views)
    monkeypatch.setattr("priors.view_questions.training_objects", lambda: bank[:1])
    (other, _) = nearest_views(asked, torch.stack([images[0] for images in true]), 32)
    assert float(psnr(other, true[0][1:]).max()) < 30


def test_the_bank_is_what_training_shows():
    """Plain, of all kinds but those held out, in all colours but those held out: 51 kinds in 11 of 12 colours."""
    bank = training_objects()
    assert len(bank) == 51 * 11 and not any(held_out(spec) for spec in bank)
    assert not {spec.kind for spec in bank} & set(HELD_OUT_KINDS)


def test_measures_of_the_truth_and_of_white(prior):
    """True views are perfect, white ones have the PSNR of white."""
    task = evaluate(prior, things=3, views=2)
    asked = [q for split in task.splits for q in questions(split, 3, 2, 0)]
    truth = torch.stack([task.true_views(question)[1:] for question in asked])
    white = torch.ones_like(truth)
    found = task.measures(asked, truth, {"prior": truth, "copy": white, "nearest": truth})
    assert found["psnr_held_out"] == 60 and found["ssim_held_out_kinds_nearest"] == pytest.approx(1)
    by_hand = (-10 * torch.log10((truth[:3] - 1).square().mean((2, 3, 4)))).mean()
    assert found["psnr_held_out_copy"] == pytest.approx(float(by_hand), rel=1e-4)


def test_samples_do_not_depend_on_the_batch(prior, tmp_path):
    """Every view has noise of its own."""
    found = []
    for batch in (8, 3):
        task = evaluate(prior, things=2, views=2, batch=batch, splits=["held_out"])
        asked = questions("held_out", 2, 2, 0)
        given = torch.stack([task.true_views(question)[0] for question in asked])
        with Run(tmp_path / str(batch), settings=Settings(device="cpu")) as run:
            found.append(task.sample(asked, given, run))
    assert found[0].shape == (2, 2, 3, 32, 32)
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)
    assert torch.equal(task.noise(1), task.noise(1)) and not torch.equal(task.noise(1), task.noise(2))


def test_the_run_reports_the_prior_beside_the_baselines(prior, tmp_path, monkeypatch):
    """Report, pictures; an untrained prior fails."""
    monkeypatch.setattr("priors.view_questions.training_objects", lambda: [ObjectSpec("car", "red")])
    with Run(tmp_path, task="evaluate_novel_view", settings=Settings(device="cpu")) as run:
        evaluate(prior).run(run)
    measures = json.loads((tmp_path / "report.json").read_text())["measures"]
    assert measures["views_each_split"] == 2 and (tmp_path / "images" / "views.png").exists()
    for split in ("held_out", "held_out_kinds"):
        for measure in ("psnr", "ssim"):
            assert all(f"{measure}_{split}{suffix}" in measures for suffix in ("", "_copy", "_nearest"))
    assert measures["psnr_held_out"] < measures["psnr_held_out_nearest"]


def test_the_table_says_what_passes():
    """At the bar passes, below fails; training objects have no bar."""
    names = [
        f"{m}_{s}{x}"
        for m in ("psnr", "ssim")
        for s in ("held_out", "train")
        for x in ("", "_copy", "_nearest")
    ]
    lines = table(dict.fromkeys(names, 0.8) | {"psnr_held_out": 17.99}, ["held_out", "train"])
    assert "FAIL" in lines[0] and "pass" in lines[1] and not any("bar" in line for line in lines[2:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"things": 0}, "must be positive"),
        ({"splits": []}, "there must be a split"),
        ({"splits": ["held_out", "test"]}, "splits has 'test'; they are: train, held_out, held_out_kinds"),
        ({"prior": GaussianPrior()}, "GaussianPrior knows no views of a picture. Type prior=pocket_zero123"),
    ],
)
def test_bad_options_say_what_to_type(options, words, prior):
    with pytest.raises(UserError, match=words):
        EvaluateNovelView(**({"prior": prior} | options))


def test_the_volumes_own_views_stand_beside(tmp_path, monkeypatch):
    """Of a prior that has a volume: what lies beside x_t, before it is encoded, in a column of its own."""
    monkeypatch.setattr("priors.view_questions.training_objects", lambda: [ObjectSpec("car", "red")])
    task = EvaluateNovelView(prior=load("pocket_zero123"), things=1, views=2, steps=1)
    with Run(tmp_path, task="evaluate_novel_view", settings=Settings(device="cpu")) as run:
        task.run(run)
    assert "volume" in (tmp_path / "log.txt").read_text()
    (question,) = questions("held_out", 1, 2, 0)
    images, cameras = task.true_views(question), cameras_of([question.viewpoints], 64)
    _, volume = task.prior.look(images[:1], cameras[:1])
    seen = render_volumes(volume.expand(2, -1, -1, -1, -1), cameras[torch.tensor([0, 0])], cameras[1:])
    found = json.loads((tmp_path / "report.json").read_text())["measures"]["psnr_held_out_volume"]
    assert found == pytest.approx(float(psnr(seen.clamp(0, 1), images[1:]).mean()), abs=0.01)
