"""`suite evaluate_motion`: what is asked, how it is judged, and that a stopped run goes on."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.metrics.clip_judge import ClipJudge
from suite.run import Run
from suite.toyworld.motions import CLIP_MOTIONS, held_out_motion
from video.evaluate_motion import EvaluateMotion
from video.windows import Windows


@pytest.fixture
def task(tiny_prior, tmp_path):
    ClipJudge(motions=CLIP_MOTIONS, widths=(4, 8, 8, 8)).save(tmp_path / "clip_judge")
    asked = {
        "clips": 2,
        "frames": 3,
        "steps": 1,
        "clip_judge": str(tmp_path / "clip_judge"),
        "windows": Windows(),
    }
    return lambda **options: EvaluateMotion(prior=tiny_prior("sd15"), **(asked | options))


def test_a_run(task, tmp_path, monkeypatch):
    """Every measure beside the true clips' own; clips made before a stop are taken from the run directory."""
    asked = task()
    with Run(tmp_path / "run") as run:
        first = asked.made_clip(0, asked.true_clip(0)[1].caption, run)
        made, sampled = [], asked.sampled
        monkeypatch.setattr(
            asked, "sampled", lambda number, caption: made.append(number) or sampled(number, caption)
        )
        assert torch.equal(asked.made_clip(0, "something else", run), first)
        asked.run(run)
    assert made == [1]
    measures = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    for name in ("named", "motion", "true_named", "true_motion"):
        assert 0 <= measures[name] <= 1
    assert measures["flicker"] > 1.5, "random weights make noise, which flickers more than true clips"
    assert (tmp_path / "run" / "images" / "made_and_true.png").exists()
    assert not list((tmp_path / "run" / "clips").glob("*.safetensors"))


def test_true_clips_are_named_and_held_out(task):
    """The judge of pictures names most true frames; what is asked for are pairs that training never shows."""
    asked, shares = task(frames=8, motions=("sliding left", "spinning", "waving")), []
    for number in range(6):
        frames, label = asked.true_clip(number)
        assert held_out_motion(label.name, label.motion) and label.motion in label.caption
        found = asked.judged(frames, label)
        assert len(found["named"]) == 8 and len(found["motion"]) == 1
        shares += found["named"]
    assert sum(shares) / len(shares) > 0.8


def test_noise_follows_from_the_number(task):
    """Clip 1 from seed 0 is clip 0 from seed 1: clips do not depend on how many are made."""
    one = task().sampled(1, "a red car")
    assert torch.equal(one, task(seed=1).sampled(0, "a red car"))
    assert not torch.equal(one, task().sampled(0, "a red car"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a red car"}, "leave out prompt="),
        ({"clips": 0}, "clips must be positive"),
        ({"frames": 1}, "at least 2 frames"),
        ({"motions": ("flying",)}, "flying"),
        ({"clip_judge": "nowhere"}, "suite train_clip_judge"),
    ],
)
def test_what_cannot_be_asked(task, options, message):
    with pytest.raises((UserError, ValueError), match=message):
        task(**options)
