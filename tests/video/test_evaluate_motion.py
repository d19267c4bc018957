"""`suite evaluate_motion`: what is asked, how it is judged, and that a stopped run goes on."""

import json
from dataclasses import replace

import pytest
import torch

from suite.errors import UserError
from suite.metrics.clip_judge import ClipJudge
from suite.run import Run
from suite.toyworld.motions import CLIP_MOTIONS, held_out_motion
from video.evaluate_motion import EvaluateMotion
from video.motion.building import fresh
from video.motion.files import save_lora
from video.motion.lora import fresh_lora
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


def renamed(label):
    return replace(label, caption="a red car")


def test_a_run(task, tmp_path, monkeypatch):
    """Every measure beside the true clips' own; clips made before a stop are taken from the run directory."""
    asked = task()
    with Run(tmp_path / "run") as run:
        true, label = asked.true_clip(0)
        first = asked.made_clip(0, label, true, run)
        made, sampled = [], asked.sampled
        monkeypatch.setattr(
            asked, "sampled", lambda number, *given: made.append(number) or sampled(number, *given)
        )
        assert torch.equal(asked.made_clip(0, renamed(label), torch.rand(3, 3, 64, 64), run), first)
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
        assert held_out_motion(label.name, label.motion) and label.caption.endswith(f", {label.motion}")
        assert label.name in label.caption and label.color in label.caption
        found = asked.judged(frames, label)
        assert len(found["named"]) == 8 and len(found["motion"]) == 1
        shares += found["named"]
    assert sum(shares) / len(shares) > 0.8


def test_motions_are_judged_among_those_that_can_be_asked_for(task):
    """Where that is one motion, its clips are right and all others wrong, whatever the judge likes best."""
    asked = task(motions=("sliding left", "spinning"))
    asked.motions_known = ("spinning",)
    for number in range(4):
        frames, label = asked.true_clip(number)
        assert asked.judged(frames, label)["motion"] == [float(label.motion == "spinning")]


def test_noise_follows_from_the_number(task):
    """Clip 1 from seed 0 is clip 0 from seed 1: clips do not depend on how many are made."""
    true, label = torch.zeros(3, 3, 64, 64), renamed(task().true_clip(0)[1])
    one = task().sampled(1, label, true)
    assert torch.equal(one, task(seed=1).sampled(0, label, true))
    assert not torch.equal(one, task().sampled(0, label, true))
    assert torch.equal(one, task().sampled(1, label, 1 - true)), "words alone are given"


def test_each_motion_with_its_own_lora(task, tiny_prior, tmp_path):
    """A clip of a motion that has a MotionLoRA is that of `loras=`; those of others are as without."""
    motion = fresh(tiny_prior("sd15").unet)
    lora = fresh_lora(motion.adapter, rank=2)
    for up in lora.up:
        torch.nn.init.normal_(up, generator=torch.Generator().manual_seed(0))
    for parameter in motion.parameters():  # so that what the LoRA changes is seen
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    folder = tmp_path / "loras"
    save_lora(lora, folder / "raising_both_arms.safetensors")
    plain = task(motion=motion)
    true, label = plain.true_clip(0)
    arms, other = (replace(label, motion=name) for name in ("raising both arms", "spinning"))
    own = task(motion=motion, motion_loras=str(folder))
    assert torch.equal(own.sampled(0, other, true), plain.sampled(0, other, true))
    everywhere = task(motion=motion, loras={str(folder / "raising_both_arms.safetensors"): 1.0})
    made = own.sampled(0, arms, true)
    assert torch.equal(made, everywhere.sampled(0, arms, true))
    assert not torch.equal(made, plain.sampled(0, arms, true))


def test_from_the_true_first_frame(task, tmp_path):
    """Held, it is what the autoencoder makes of it; of the others their distance from the truth is measured."""
    asked = task(way="replace")
    with Run(tmp_path / "run") as run:
        asked.run(run)
    measures = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    true = [asked.true_clip(k)[0] for k in range(2)]
    mse = [(frames[:1] - frames[1:]).square().mean((1, 2, 3)) for frames in true]
    by_hand = torch.stack([(-10 * x.log10()).mean() for x in mse]).mean()
    assert measures["repeated"] == pytest.approx(float(by_hand), rel=1e-3) and measures["psnr"] < 30
    made = asked.sampled(0, renamed(asked.true_clip(0)[1]), true[0])
    coded = asked.prior.decode(asked.prior.encode(true[0][:1]))
    torch.testing.assert_close(made[:1], coded, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a red car"}, "leave out prompt="),
        ({"clips": 0}, "clips must be positive"),
        ({"frames": 1}, "at least 2 frames"),
        ({"motions": ("flying",)}, "flying"),
        ({"clip_judge": "nowhere"}, "suite train_clip_judge"),
        ({"motion_loras": "nowhere"}, "nowhere has no MotionLoRA that is named after a motion"),
    ],
)
def test_what_cannot_be_asked(task, options, message):
    with pytest.raises((UserError, ValueError), match=message):
        task(**options)
