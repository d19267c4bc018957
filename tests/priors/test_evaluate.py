import json

import numpy as np
import pytest
import torch

from priors.analytic import GaussianPrior
from priors.base import Condition, Prior
from priors.evaluate import BARS, EvaluatePrior, shares_right, table
from priors.exact_views import ExactViews
from priors.trials import Trial, held_out_specs, seen_prompt, trials, true_picture
from suite.diffusion.noise import NoiseSchedule
from suite.errors import UserError
from suite.metrics.judge import load_judge
from suite.metrics.text import claim_of
from suite.run import Run
from suite.settings import Settings
from suite.toyworld.captions import VIEWS
from suite.toyworld.objects import held_out, kinds, parse
from suite.toyworld.paints import COLORS


class TruePrior(Prior):
    """Knows the true picture of every prompt, and nothing else: x_0_hat is that picture."""

    kind, latent_channels, factor, resolution = "x_0", 3, 1, 64

    def __init__(self):
        super().__init__()
        self.schedule = NoiseSchedule.from_scheduler_config(
            {"beta_schedule": "scaled_linear", "beta_end": 0.012}
        )
        self.texts = []

    def encode(self, images):
        return images * 2 - 1

    def decode(self, latents):
        return (latents / 2 + 0.5).clamp(0, 1)

    def encode_text(self, texts):
        self.texts += texts
        return Condition({"text": torch.arange(len(self.texts) - len(texts), len(self.texts))})

    def network(self, x_t, t, condition):
        prompts = [self.texts[i] for i in condition.tensors["text"]]
        groups = ["person" if " shirt " in prompt else "seen" for prompt in prompts]
        return torch.stack([self.encode(true_picture(Trial(g, p), {})) for g, p in zip(groups, prompts)])


def evaluate(tmp_path, prior, **options):
    task = EvaluatePrior(prior=prior, **options)
    task.known_objects = lambda: []
    with Run(tmp_path, task="evaluate_prior", settings=Settings(device="cpu")) as run:
        task.run(run)
    return json.loads((tmp_path / "report.json").read_text())["measures"]


def test_a_prior_that_shows_the_truth_passes(tmp_path):
    """True pictures are named right: kind, colour, view, held-out compositions, people."""
    measures = evaluate(tmp_path, TruePrior(), samples=150, steps=1, scale=1.0, perp_neg=0.0)
    for name in ("kind", "color", "view", "held_out", "person", "kind_among_kinds"):
        assert measures[name] >= 0.95, (name, measures[name])
    assert measures["kind_samples"] == 60 and measures["held_out_samples"] == 30
    assert "real" not in measures and (tmp_path / "images" / "samples_and_truth.png").exists()


def test_a_prior_that_knows_nothing_fails(tmp_path):
    """Noise is named right no more often than by chance."""
    measures = evaluate(tmp_path, GaussianPrior(), samples=60, steps=2, scale=1.0)
    assert measures["kind"] < 0.2 and measures["held_out"] < 0.1 and measures["view"] < 0.7


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp_2m"])
def test_samples_depend_on_their_number_alone(tmp_path, sampler):
    """Whatever the batch size, and ancestral sampling draws noise in every step. A second run takes finished pictures
    from the disk."""
    asked = trials(20, [], np.random.default_rng(0))
    found = []
    for batch in (20, 3):
        task = EvaluatePrior(prior=GaussianPrior(), samples=20, steps=3, batch=batch, sampler=sampler)
        with Run(tmp_path / str(batch), settings=Settings(device="cpu")) as run:
            found.append(task.sample(asked, run))
            evaluations = task.prior.evaluations
            assert torch.equal(task.sample(asked, run), found[-1]) and task.prior.evaluations == evaluations
    assert (found[0] - found[1]).abs().max() <= 1 / 255
    assert found[0].std() > 0.05


def test_trials_are_balanced_and_follow_from_the_seed():
    """Every kind among the first 55 seen, every real object once; held out is only what is asked as such."""
    real = [f"thing {i}" for i in range(50)]
    asked, again = (trials(200, real, np.random.default_rng(4)) for _ in range(2))
    assert asked == again != trials(200, real, np.random.default_rng(5))
    by_group = {g: [t.prompt for t in asked if t.group == g] for g in ("seen", "held_out", "real", "person")}
    assert {group: len(prompts) for group, prompts in by_group.items()} == {
        "seen": 80, "held_out": 40, "real": 72, "person": 8
    }  # fmt: skip
    assert {parse(p.partition(",")[0]).kind for p in by_group["seen"][:55]} == set(kinds())
    assert len(set(by_group["real"][:50])) == 50
    assert not any(held_out(parse(p.partition(",")[0])) for p in by_group["seen"])
    assert all(held_out(parse(p)) for p in by_group["held_out"])
    assert not [t for t in trials(200, [], np.random.default_rng(0)) if t.group == "real"]


def test_view_words_are_said_of_things_with_a_front():
    """Of others never."""
    random = np.random.default_rng(0)
    for kind in kinds():
        view = seen_prompt(kind, random).partition(", ")[2]
        assert (view in VIEWS) == kinds()[kind].front


def test_held_out_specs_are_all_of_them():
    """One colour a kind; one pattern for every third kind."""
    plain = [spec for spec in held_out_specs() if spec.pattern == "plain"]
    assert {(s.kind, s.color) for s in plain} == {
        (kind, color) for kind in kinds() for color in COLORS if held_out(parse(f"{color} {kind}"))
    }
    patterned = {s.kind for s in held_out_specs() if s.pattern != "plain" and s.color == "red"}
    assert len(patterned) >= len(kinds()) / 3


def test_shares_by_hand():
    """The judge's answers about true pictures of other prompts count as wrong."""
    judge = load_judge()
    asked = [
        Trial("seen", "a blue car, front view"),
        Trial("seen", "a blue duck, side view"),
        Trial("held_out", "a red cat"),
    ]
    shown = [
        Trial("seen", "a blue car, back view"),
        Trial("seen", "a green duck, side view"),
        Trial("seen", "a red cat"),
    ]
    verdict = judge.look(torch.stack([true_picture(trial, {}) for trial in shown]))
    shares, counts = shares_right(verdict, asked, [claim_of(t.prompt, judge.world) for t in asked])
    assert shares == {
        "kind": 1.0, "color": 0.5, "view": 0.5, "held_out": 1.0, "pattern": 1.0, "kind_among_kinds": 1.0,
        "front_view": 0.0, "side_view": 1.0,
    }  # fmt: skip
    assert counts["kind"] == 2 and counts["held_out"] == 1


def test_table_says_what_passes():
    """A measure at its bar passes, one below fails, one without a bar is shown, a missing one is named."""
    lines = table({"kind": 0.95, "color": 0.9499, "person": 0.5}, {"kind": 100, "color": 100, "person": 10})
    assert "pass" in lines[0] and "FAIL" in lines[1] and "bar" not in lines[2]
    missing = [line.split()[0] for line in lines[3:]]
    assert missing == [name for name in BARS if name not in ("kind", "color")]


def test_true_pictures_without_the_mesh_are_grey():
    """A real object that is not at hand leaves its place empty."""
    assert float(true_picture(Trial("real", "a zeppelin"), {}).std()) < 1e-6


@pytest.mark.parametrize("option", ["samples", "steps", "batch"])
def test_bad_options_are_refused(option):
    """Nothing to do."""
    with pytest.raises(UserError, match="samples, steps and batch must be positive"):
        EvaluatePrior(prior=GaussianPrior(), **{option: 0})
    with pytest.raises(UserError, match="perp_neg=-1 must not be negative"):
        EvaluatePrior(prior=GaussianPrior(), perp_neg=-1)


def test_a_prior_of_views_is_refused():
    """It is not told words."""
    with pytest.raises(UserError, match="ExactViews is not told words, but a picture. Type prior=pocket"):
        EvaluatePrior(prior=ExactViews())
