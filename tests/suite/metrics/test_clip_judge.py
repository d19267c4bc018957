"""The judge of motions: what it is shown, that it can tell motions apart, and its files."""

import json

import pytest
import torch
from torch.nn import functional as F

from suite.errors import UserError
from suite.metrics.clip_judge import FRAMES, SIZE, ClipJudge, load_clip_judge, shown
from suite.metrics.train_clip_judge import TrainClipJudge
from suite.metrics.wear import at_uneven_pace, trembling, unsteady_clips, worn_clips
from suite.rng import generator


def bars(count: int, seed: int, *, frames: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of a bright bar that moves left (0) or right (1), through a place near the middle at any pace."""
    draw = generator(seed, 0, "bars")
    to_right = torch.randint(2, (count,), generator=draw)
    start = torch.rand(count, generator=draw) * 12 + 26
    pace = (torch.rand(count, generator=draw) + 0.5) * (2 * to_right - 1) * 16 / frames
    middle = start[:, None] + pace[:, None] * (torch.arange(frames) - (frames - 1) / 2)
    bar = ((torch.arange(64) - middle[..., None]).abs() < 4).float()
    return bar[:, :, None, None, :].expand(-1, -1, 3, 64, -1).contiguous(), to_right


def test_what_is_shown():
    """16 frames of 32 pixels, from first to last, and their change: none in a still clip."""
    clip = torch.arange(31.0)[None, :, None, None, None].expand(1, -1, 3, 64, 48) / 31
    seen = shown(clip)
    assert seen.shape == (1, FRAMES, 6, SIZE, SIZE)
    torch.testing.assert_close(seen[0, :, 0, 5, 5], torch.arange(0, 31, 2) / 31 * 4 - 2)
    assert seen[0, :-1, 3:].min() > 0.2 and float(seen[0, -1, 3:].abs().max()) == 0
    assert float(shown(clip[:, :1].expand(-1, 4, -1, -1, -1))[:, :, 3:].abs().max()) == 0


def test_it_learns_which_way_a_bar_moves():
    """Forty steps on bars that move left or right; then all others are named right, backwards the other way."""
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        judge = ClipJudge(motions=("left", "right"), widths=(4, 8, 8, 8))
    optimizer = torch.optim.Adam(judge.parameters(), 0.01)
    for step in range(40):
        clips, right = bars(8, step)
        F.nll_loss(judge(clips), right).backward()
        optimizer.step()
        optimizer.zero_grad()
    clips, right = bars(24, 1000)
    judge.eval()
    assert judge.named(clips) == [judge.motions[k] for k in right]
    assert judge.named(clips.flip(1)) == [judge.motions[1 - k] for k in right]
    assert judge.named(bars(4, 1, frames=40)[0]) == [judge.motions[k] for k in bars(4, 1)[1]]
    assert judge.named(clips, among=("left",)) == ["left"] * 24


def test_wear_moves_nothing():
    """A third of the clips stays as it is; in the others the bar is where it was, in every frame."""
    clips, _ = bars(10, 3)
    clips = 0.3 + 0.4 * clips
    worn = worn_clips(clips, generator(0, 0, "wear"))
    assert torch.equal(worn[:3], clips[:3]) and not torch.equal(worn[3:], clips[3:])
    x = torch.arange(64.0)
    for part in (worn, clips):
        assert part.shape == clips.shape and 0 <= part.min() and part.max() <= 1
    weight = worn.mean((2, 3)) - worn.mean((2, 3)).quantile(0.5, dim=-1, keepdim=True)
    weight = torch.where(weight > 0.5 * weight.amax(-1, keepdim=True), weight, 0)
    true = clips.mean((2, 3)) - 0.3
    difference = (weight * x).sum(-1) / weight.sum(-1) - (true * x).sum(-1) / true.sum(-1)
    assert float(difference.abs().max()) < 1.0


def test_an_uneven_pace_goes_the_same_way():
    """From the first frame to the last, never backwards: with 1 slow in the middle, with -1 at both ends."""
    numbers = torch.arange(17.0)[None, :, None, None, None].expand(3, -1, 3, 4, 4)
    seen = at_uneven_pace(numbers, torch.tensor([[0.9], [0.0], [-0.9]]))[:, :, 0, 0, 0]
    assert torch.equal(seen[:, [0, 8, 16]], torch.tensor([0.0, 8, 16]).expand(3, 3))
    assert seen.diff(dim=1).min() >= 0 and torch.equal(seen[1], torch.arange(17.0))
    hurried, eased = seen[0, 4], seen[2, 4]
    assert [float(hurried), float(eased)] == [round(4 + 16 * 0.9 / 6.2832), round(4 - 16 * 0.9 / 6.2832)]


def test_trembling_is_by_parts_of_half_a_side():
    """A whole field of 1/16 to the right shows what was two pixels further right in 64; none shows the same."""
    clips, _ = bars(2, 5, frames=4)
    by = torch.zeros(2, 4, 2, 8, 8)
    torch.testing.assert_close(trembling(clips, by), clips, atol=1e-5, rtol=0)
    by[:, :, 0] = 1 / 16
    torch.testing.assert_close(trembling(clips, by)[..., :-2], clips[..., 2:], atol=1e-5, rtol=0)


def test_unsteady_clips_go_the_same_way():
    """Each bar still goes from about its first place to its last."""
    clips, right = bars(12, 7)
    places = [
        part.mean((2, 3)).argmax(-1).float() for part in (clips, unsteady_clips(clips, generator(0, 0, "u")))
    ]
    assert not torch.equal(*places)
    assert (places[0] - places[1])[:, [0, -1]].abs().max() <= 6
    assert torch.equal((places[1][:, -1] > places[1][:, 0]).long(), right)


def test_its_files(tmp_path):
    """What is loaded says what was saved says, but for half precision; a missing or other file is named."""
    judge = ClipJudge(motions=("left", "right"), widths=(4, 8, 8, 8)).eval()
    judge.save(tmp_path)
    again, (clips, _) = load_clip_judge(tmp_path), bars(3, 0)
    assert again.motions == judge.motions
    torch.testing.assert_close(again(clips), judge(clips), atol=2e-2, rtol=0)
    (tmp_path / "clip_judge.json").rename(tmp_path / "other.json")
    with pytest.raises(UserError, match="suite train_clip_judge"):
        load_clip_judge(tmp_path / "nowhere")


@pytest.mark.parametrize("options", [{"steps": 0}, {"test_batches": 0}])
def test_what_cannot_be_trained(options):
    with pytest.raises(ValueError, match="at least 1"):
        TrainClipJudge(**options)


def test_training_from_the_command_line(tmp_path):
    """Two steps, and the measures of each question; another training goes on from what it gave."""
    from suite.run import Run

    task = TrainClipJudge(steps=2, batch=4, pool=2, widths=(4, 8, 8, 8), test_batches=1)
    with Run(tmp_path / "run") as run:
        task.run(run)
    measures = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]
    assert (
        0 <= measures["motion"] <= 1 and (tmp_path / "run" / "clip_judge" / "clip_judge.safetensors").exists()
    )
    made = tmp_path / "run" / "clip_judge"
    again = TrainClipJudge(init=str(made), widths=(4, 8, 8, 8)).judge
    torch.testing.assert_close(again.head.weight, load_clip_judge(made).head.weight)
    with pytest.raises(
        UserError, match=r"tells other motions apart or has other widths: \[4, 8, 8, 8\] for 26"
    ):
        TrainClipJudge(init=str(made))
