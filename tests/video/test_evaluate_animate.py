"""`suite evaluate_animate`: baselines, measures and what is asked; with random networks."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.metrics.person_judge import PersonJudge
from suite.run import Run
from suite.toyworld.characters import describe
from suite.toyworld.motions import held_out_motion
from suite.toyworld.outfits import OUTFITS
from tests.video.animate.networks import animator
from video.animate.files import save
from video.evaluate_animate import EvaluateAnimate


@pytest.fixture(scope="module")
def given(tiny_prior, tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    save(animator(tiny_prior("sd15"), motion=True), folder / "animator")
    PersonJudge(outfits=tuple(OUTFITS), widths=(4, 8, 8)).save(folder / "judge")
    return folder


@pytest.fixture
def task(tiny_prior, given):
    asked = {"animator": str(given / "animator"), "person_judge": str(given / "judge")}
    asked |= {"clips": 2, "frames": 4, "steps": 1}
    return lambda **options: EvaluateAnimate(prior=tiny_prior("sd15"), **(asked | options))


def test_a_run(task, tmp_path):
    """Random networks are worse than both baselines; the true frames' own measures stand beside."""
    with Run(tmp_path / "run") as run:
        task().run(run)
    measures = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    assert measures["psnr"] < 15 < measures["repeat_psnr"] < measures["warp_psnr"] < 100
    assert measures["ssim"] < measures["warp_ssim"] < 1
    assert {"who", "joints", "true_who", "true_joints", "warp_joints"} <= measures.keys()
    assert (tmp_path / "run" / "images" / "made_true_warped.png").exists()
    assert not list((tmp_path / "run" / "clips").glob("*"))


def test_what_is_asked_is_held_out(task):
    for number in range(3):
        still, true, label = task().sample(number)
        assert held_out_motion(describe(label.outfit), label.motion) and label.outfit in OUTFITS.values()
        assert still.shape == (1, 3, 64, 64) and true.shape == (4, 3, 64, 64) and len(label.poses) == 5


def test_measures_of_perfect_answers(task):
    """True frames with a judge that finds every joint and knows everybody: all right."""
    asked = task()
    _, true, label = asked.sample(0)
    wanted = label.poses[1:]

    class Knows:
        def poses(self, frames) -> Poses:
            return wanted

        def who(self, frames) -> list[str]:
            return [asked.names[label.outfit]] * len(frames)

    asked.judge = Knows()
    found = asked.judged(true.clone(), true, label, wanted)
    assert found["psnr"] == [100] * 4 and found["ssim"] == pytest.approx([1] * 4)
    assert found["who"] == [1] * 4 and found["joints"] == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": 0}, "clips must be positive"),
        ({"frames": 1}, "at least 2 frames"),
        ({"frames": 40}, "8"),
        ({"motions": ("flying",)}, "flying"),
        ({"animator": "pocket"}, "belongs to other weights of this prior"),
        ({"person_judge": "nowhere"}, "suite train_person_judge"),
        ({"sampler": "magic"}, "sampler='magic'"),
    ],
)
def test_what_cannot_be_asked(task, options, message):
    with pytest.raises((UserError, ValueError), match=message):
        task(**options)


def test_poses_can_be_cut():
    """Some frames of poses are poses."""
    poses = Poses(torch.arange(6.0).reshape(3, 1, 2), torch.ones(3, 1), ("nose",), fps=8.0)
    assert poses[1:].points[0, 0].tolist() == [2.0, 3.0] and len(poses[:1]) == 1 and poses[1:].fps == 8.0
