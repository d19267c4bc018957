"""Context windows: they cover, never repeat, wrap only if looped, and change nothing where frames are independent."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from priors.base import Condition
from suite.diffusion.classifier_free import guided
from suite.diffusion.noise import NoiseSchedule, Prediction, per_sample
from suite.diffusion.samplers import Grid, ddim, heun
from suite.errors import UserError
from suite.rng import generator
from video.windows import SCHEDULES, WEIGHTS, Windowed, Windows, halved, windows


class Toy:
    """A prior of clips `b f c y x` that answers with a function of x_t and what each frame is told."""

    batch_conditions = False
    kind = "x_0"

    def __init__(self, answer) -> None:
        self.schedule, self.answer, self.seen = NoiseSchedule.cosine(), answer, []

    def predict(self, x_t, t, condition):
        told = condition.tensors["number"]
        each = told.reshape(len(x_t), -1, 1, 1, 1)  # one a clip, or one a frame
        self.seen.append(x_t.shape[1])
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=self.answer(x_t, each), kind=self.kind)


def by_itself(x, told):
    """Each frame from itself and what it is told."""
    return torch.tanh(0.7 * x + told) - 0.3 * x.mean((2, 3, 4), keepdim=True)


def smoothing(x, told):
    """A moving average over nine frames of what the window holds; its ends lack neighbours."""
    b, f = x.shape[:2]
    rows = x.flatten(2).transpose(1, 2).reshape(-1, 1, f)
    mean = torch.nn.functional.avg_pool1d(rows, 9, 1, 4, count_include_pad=False)
    return mean.reshape(b, -1, f).transpose(1, 2).reshape(x.shape) + 0 * told


def told(*numbers) -> Condition:
    return Condition({"number": torch.tensor(numbers)}, Condition({"number": torch.zeros(len(numbers))}))


@st.composite
def layouts(draw):
    length = draw(st.integers(1, 24))
    options = Windows(
        schedule=draw(st.sampled_from(SCHEDULES)),
        weights=draw(st.sampled_from(WEIGHTS)),
        length=length,
        overlap=draw(st.integers(0, length - 1)),
        strides=draw(st.integers(1, 4)),
    )
    return options, draw(st.integers(1, 100)), draw(st.integers(0, 1000))


@given(layouts())
def test_every_frame_is_covered(layout):
    """Every frame is in a window and has weight; windows are full, hold no frame twice, and none is there twice."""
    options, frames, step = layout
    total, found = torch.zeros(frames), options.at(frames, step)
    for window, weight in found:
        assert len(set(window)) == len(window) == len(weight) == min(options.length, frames)
        assert bool((weight > 0).all())
        total[list(window)] += weight
    assert bool((total > 0).all())
    assert len({window for window, _ in found}) == len(found)


@given(layouts())
def test_only_looped_windows_wrap(layout):
    """Frames of a window are in order at one distance; looped ones go on at the start, others never."""
    options, frames, step = layout
    for window in windows(options, frames, step):
        gaps = {b - a for a, b in zip(window, window[1:])}
        if options.schedule != "looped":
            assert len(gaps) <= 1 and all(gap > 0 for gap in gaps)
        else:
            assert len({gap % frames for gap in gaps}) <= 1


@given(layouts())
def test_a_short_clip_is_one_full_window(layout):
    """F <= L: the clip itself, with equal weights where they could matter; looped ones begin elsewhere."""
    options, frames, step = layout
    frames = min(frames, options.length)
    (window,) = windows(options, frames, step)
    assert sorted(window) == list(range(frames))
    if options.schedule != "looped" or step == 0:
        assert window == tuple(range(frames))


def test_looped_windows_wrap_and_move():
    """48 frames in windows of 24: some window joins the end to the start, at other places at the next step."""
    options = Windows(schedule="looped", length=24, overlap=4)
    wraps = [
        [w for w in windows(options, 48, step) if any(a > b for a, b in zip(w, w[1:]))] for step in (0, 1, 2)
    ]
    assert all(wraps) and wraps[0] != wraps[1] != wraps[2]


def test_static_windows_by_hand():
    """0, L - o, ..., the last pulled back; at every step the same. Twenty frames in windows of 8 that share 2."""
    options = Windows(schedule="static", length=8, overlap=2)
    assert [w[0] for w in windows(options, 20, 0)] == [0, 6, 12] == [w[0] for w in windows(options, 20, 5)]
    assert [w[0] for w in windows(options, 21, 0)] == [0, 6, 12, 13]


def test_uniform_windows_by_hand():
    """Twelve apart, shifted by 0, 6, 3 and 9 of it at the first four steps; the ends always have a window."""
    options = Windows(length=16, overlap=4)
    starts = [[w[0] for w in windows(options, 40, step)] for step in range(4)]
    assert starts == [[0, 12, 24], [0, 6, 18, 24], [0, 3, 15, 24], [0, 9, 21, 24]]


def test_strides_add_windows_of_distant_frames():
    """Level 2 takes every second frame, level 3 would need 4 L frames and is left out."""
    found = windows(Windows(length=8, overlap=2, strides=3), 20, 0)
    assert {w[1] - w[0] for w in found} == {1, 2} and tuple(range(0, 16, 2)) in found


def test_bits_are_reversed():
    """The van der Corput sequence in base 2."""
    assert [halved(k) for k in range(8)] == [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]


def test_weights_by_hand():
    """Pyramid to the middle; overlap-linear on inner edges alone."""
    pyramid, linear = Windows(length=5, overlap=2), Windows(weights="overlap-linear", length=5, overlap=2)
    assert pyramid.weigh((0, 1, 2, 3, 4), 9).tolist() == [1, 2, 3, 2, 1]
    third = pytest.approx([1, 1, 1, 2 / 3, 1 / 3])
    assert linear.weigh((0, 1, 2, 3, 4), 9).tolist() == third
    assert linear.weigh((4, 5, 6, 7, 8), 9).flip(0).tolist() == third
    assert linear.weigh((0, 1, 2, 3, 4), 5).tolist() == [1] * 5


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_independent_frames_are_the_full_result(schedule, weights):
    """A frame-wise denoiser through windows gives what it gives without, to the last bit, with a text a frame too."""
    prior, options = Toy(by_itself), Windows(schedule=schedule, weights=weights, length=8, overlap=3)
    x = torch.randn(2, 29, 3, 4, 4, generator=generator(0, 0, "x"))
    grid = Grid.of(prior.schedule, 5)
    per_frame = told(*(torch.arange(2 * 29) / 10).tolist())
    for condition in (told(0.1, -0.4), per_frame):
        whole = ddim(prior, x, condition, steps=grid, scale=3.0)
        prior.seen.clear()
        parts = ddim(Windowed(prior, options, grid.t), x, condition, steps=grid, scale=3.0)
        assert torch.equal(whole, parts)
        assert set(prior.seen) == {8}


def test_a_step_is_told_by_its_time():
    """The windows at the k-th time of a grid are those of step k: both sides of guidance see the same ones."""
    prior, options = Toy(smoothing), Windows(length=8, overlap=2)
    grid = Grid.of(prior.schedule, 7)
    through = Windowed(prior, options, grid.t)
    assert [through.step(t.float()[None]) for t in grid.t] == list(range(7))
    x = torch.randn(1, 20, 1, 2, 2, generator=generator(0, 0, "x"))
    t = grid.t[3:4].float()
    once = through.predict(x, t, told(0.0)).raw
    torch.testing.assert_close(guided(through, x, t, told(0.0), 5.0).raw, once, atol=1e-5, rtol=1e-5)
    assert not torch.equal(once, through.predict(x, grid.t[4:5].float(), told(0.0)).raw)


def jumps(options: Windows, sampler=ddim) -> torch.Tensor:
    """How much each frame of 64 differs from the next after sampling a prior that smooths over time."""
    prior = Toy(smoothing)
    grid = Grid.of(prior.schedule, 24)
    x = torch.randn(1, 64, 64, 4, 4, generator=generator(0, 0, "x"))
    made = sampler(Windowed(prior, options, grid.t), x, told(0.0), steps=grid)
    return (made[0, 1:] - made[0, :-1]).square().mean((1, 2, 3)).sqrt()


@pytest.mark.parametrize("sampler", [ddim, heun])
def test_moving_windows_leave_no_seam(sampler):
    """The largest jump is within 1.5 times the mean; with windows side by side it is 16 times that elsewhere."""
    still = Windows(schedule="static", weights="flat", length=16, overlap=0)
    borders = torch.tensor([15, 31, 47])
    elsewhere = torch.ones(63, dtype=torch.bool)
    elsewhere[borders] = False
    apart, moving = jumps(still, sampler), jumps(Windows(length=16, overlap=4), sampler)
    assert bool((apart[borders] > 10 * apart[elsewhere].mean()).all())
    assert moving.max() < 1.5 * moving.mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "batched"}, "windows='batched' is not one of: uniform, static, looped"),
        ({"weights": "round"}, "windows.weights='round' is not one of: pyramid, flat, overlap-linear"),
        ({"overlap": 16}, "windows.overlap must be at least 0 and less than windows.length, got 16 and 16"),
        ({"length": 0}, "windows.overlap must be at least 0 and less than windows.length, got 4 and 0"),
        ({"strides": 0}, "windows.strides must be at least 1, got 0"),
    ],
)
def test_impossible_windows_are_refused(options, message):
    """One line that says what is possible."""
    with pytest.raises(UserError, match=message):
        Windows(**options)


def test_no_frames_have_no_windows():
    """A mistake of the caller."""
    with pytest.raises(ValueError, match="frames >= 1 and step >= 0, got 0 and 0"):
        windows(Windows(), 0, 0)
