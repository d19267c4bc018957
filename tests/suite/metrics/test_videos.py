"""Measures of videos by hand arithmetic, and on clips whose flow is known."""

import math

import pytest
import torch

from suite.metrics.videos import (
    dynamic_degree,
    flicker,
    frame_psnr,
    frame_ssim,
    halfway_by_flow,
    judge_features,
    largest_jump,
    motion_smoothness,
    pose_error,
    subject_consistency,
    temporal_flickering,
    warping_error,
)
from suite.toyworld.clips import Clips


def greys(*levels: float) -> torch.Tensor:
    """One even frame a level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 16, 16).clone()


@pytest.fixture(scope="module")
def clip():
    """Frames `f 3 h w` of a thing that slides, their true flow and visibility."""
    take, _ = Clips(motions=("sliding left",), split="all", frames=5, backdrops=1.0, size=48).takes(1, 3, 0)[
        0
    ]
    truth = take.truth()
    frames = torch.from_numpy(take.frames()).movedim(-1, 1)
    return frames, torch.from_numpy(truth.flow).movedim(-1, 1), torch.from_numpy(truth.visible)


def test_psnr_of_bytes_that_would_overflow():
    """0 against 0.8 everywhere is 20 log10(1 / 0.8) = 1.94 dB: 204 squared does not fit into a byte."""
    torch.testing.assert_close(
        frame_psnr(greys(0, 0.5), greys(0.8, 0.4)),
        torch.tensor([-20 * math.log10(0.8), 20.0]),
        rtol=1e-4,
        atol=0,
    )
    assert torch.isinf(frame_psnr(greys(0.3), greys(0.3)))
    torch.testing.assert_close(frame_ssim(greys(0.3), greys(0.3)), torch.ones(1))


def test_flicker_by_hand():
    """Levels 0, 0.1, 0.4 differ by 0.1 and 0.3: a mean of 0.2, temporal flickering 0.8."""
    torch.testing.assert_close(flicker(greys(0, 0.1, 0.4)), torch.tensor([0.1, 0.3]))
    assert temporal_flickering(greys(0, 0.1, 0.4)) == pytest.approx(0.8)
    assert temporal_flickering(greys(0.5, 0.5)) == 1


def test_the_largest_jump_by_hand():
    """Changes of 0.1, 0.1 and 0.4, whose mean is 0.2: the largest is twice that; a still has none."""
    assert largest_jump(flicker(greys(0, 0.1, 0.2, 0.6))) == pytest.approx(2)
    assert largest_jump(flicker(greys(0.5, 0.5, 0.5))) == 1


def test_warping_error_of_stills_and_of_true_flow(clip):
    """Without motion it is the mean square of the change; with true flow and visibility nearly nothing is left."""
    error = warping_error(greys(0, 0.1, 0.4), torch.zeros(2, 2, 16, 16))
    torch.testing.assert_close(error, torch.tensor([0.01, 0.09]))
    half = torch.zeros(2, 16, 16, dtype=torch.bool)
    half[1, :4] = True
    torch.testing.assert_close(
        warping_error(greys(0, 0.1, 0.4), torch.zeros(2, 2, 16, 16), half), torch.tensor([0, 0.09])
    )
    frames, flow, visible = clip
    right, still = warping_error(frames, flow, visible), warping_error(frames, 0 * flow, visible)
    assert right.mean() < 0.15 * still.mean()


def test_motion_smoothness_by_hand():
    """Blending 0 and 0.4 gives 0.2 where there is 0.1: an error of 0.1; frames at equal steps have none."""

    def blend(a, b):
        return (a + b) / 2

    assert motion_smoothness(greys(0, 0.1, 0.4), blend) == pytest.approx(0.9)
    assert motion_smoothness(greys(0, 0.1, 0.2, 0.3, 0.4), blend) == pytest.approx(1)


def test_a_jerk_is_less_smooth(clip):
    """A clip with two frames exchanged is less smooth than in order; interpolation by flow beats a blend."""
    frames, _, _ = clip
    jerky = frames[[0, 3, 2, 1, 4]]
    smooth = motion_smoothness(frames)
    assert smooth > motion_smoothness(jerky)
    blend = motion_smoothness(frames, lambda a, b: (a + b) / 2)
    assert smooth > blend
    assert halfway_by_flow(frames[:1], frames[2:3]).shape == frames[:1].shape


@pytest.mark.parametrize(
    ("strengths", "degree"),
    [([0.0] * 15, 0.0), ([2.0] * 4 + [0.0] * 11, 1.0), ([2.0] * 3 + [0.0] * 12, 0.0), ([1.4] * 15, 0.0)],
)
def test_dynamic_degree_by_hand(strengths, degree):
    """16 frames of 64 x 80: 6 * 64 / 256 = 1.5 pixels in at least 4 of 15 pairs."""
    assert dynamic_degree(torch.tensor(strengths), 64, 80) == degree


def test_subject_consistency_by_hand():
    """Features x, x, y at right angles: ((1 + 1) / 2 + (0 + 0) / 2) / 2 = 0.5; opposite ones count as 0."""
    x, y = [1.0, 0.0], [0.0, 2.0]
    assert subject_consistency(torch.tensor([x, x, y])) == pytest.approx(0.5)
    assert subject_consistency(torch.tensor([x, [-1.0, 0.0]])) == 0
    assert subject_consistency(torch.tensor([x, y, x])) == pytest.approx((0 + 0 + 0 + 1) / 2 / 2)


def test_the_judges_features_tell_subjects_apart(clip):
    """Frames of one clip are more alike than those of two clips; one row of numbers a frame."""
    frames, _, _ = clip
    other = Clips(motions=("growing",), split="all", frames=3, size=48).batch(1, 5, 0)
    mixed = torch.cat([frames[:3], torch.from_numpy(other.frames[0]).movedim(-1, 1)])
    features = judge_features(mixed)
    assert features.shape[0] == 6 and features.ndim == 2
    assert subject_consistency(features[:3]) > subject_consistency(features[[0, 3, 1, 4]])


def test_pose_error_by_hand():
    """A body of 100 pixels: joints off by 0, 5 and 20 pixels are 2/3 right at 10 %, 8.3 % off on average."""
    wanted = torch.tensor([[[10.0, 0.0], [20.0, 50.0], [30.0, 100.0]]])
    found = wanted + torch.tensor([[[0.0, 0.0], [3.0, 4.0], [20.0, 0.0]]])
    error = pose_error(found, wanted)
    assert error.pck == pytest.approx(2 / 3) and error.distance == pytest.approx(25 / 300)
    assert error.missing == 0
    assert pose_error(found, wanted, within=0.04).pck == pytest.approx(1 / 3)
    assert pose_error(found, wanted, height=1000.0).pck == 1
    lost = pose_error(found, wanted, confidence=torch.tensor([[0.0, 1.0, 1.0]]))
    assert lost.missing == pytest.approx(1 / 3) and lost.pck == pytest.approx(1 / 3)
    unwanted = pose_error(found, wanted, wanted_confidence=torch.tensor([[1.0, 1.0, 0.0]]), height=100.0)
    assert unwanted.pck == 1 and unwanted.distance == pytest.approx(0.025)


def test_errors():
    """Too few frames, other lengths, nothing to compare: one line each."""
    with pytest.raises(ValueError, match=r"frame by frame: got 2 of 16 x 16 frames and 1 of 16 x 16"):
        frame_psnr(greys(0.0, 1.0), greys(0.0))
    with pytest.raises(ValueError, match="needs at least 2 frames, got 1"):
        temporal_flickering(greys(0.0))
    with pytest.raises(ValueError, match="needs at least 2 frames, got 1"):
        warping_error(greys(0.0), torch.zeros(0, 2, 16, 16))
    with pytest.raises(ValueError, match="needs at least 3 frames, got 2"):
        motion_smoothness(greys(0.0, 1.0))
    with pytest.raises(ValueError, match="Subject consistency needs at least 2 frames, got 1"):
        subject_consistency(torch.ones(1, 3))
    with pytest.raises(ValueError, match="compared one by one"):
        pose_error(torch.ones(1, 3, 2), torch.ones(2, 3, 2))
    with pytest.raises(ValueError, match="No joint is wanted"):
        pose_error(torch.ones(1, 3, 2), torch.ones(1, 3, 2), wanted_confidence=torch.zeros(1, 3))
