"""Measures of videos, after VBench's definitions (Huang et al. 2024). Frames `f 3 h w`, RGB in [0, 1], as floats
throughout: squares of bytes overflow, by which some published PSNRs are several dB too high.

    psnr, ssim              of each frame against a reference's                                      (metrics.images)
    flicker                 mean |x_t+1 - x_t|;   VBench's temporal_flickering = 1 - flicker, meant for still scenes
    largest jump            max over mean of |x_t+1 - x_t|: 1 where all changes are alike, large where there is a seam
    warping error           mean over visible pixels of (x_t - W(x_t+1, flow_t))^2                   (Lai et al. 2018)
    motion smoothness       1 - mean |x_t - interpolated(x_t-1, x_t+1)| over odd t
    dynamic degree          1 if enough pairs have flow longer than 6 (shorter side / 256) pixels, else 0
    subject consistency     mean over t >= 1 of (cos(f_t, f_t-1) + cos(f_t, f_0)) / 2, each clipped to >= 0

VBench's own networks (RAFT, AMT, DINO) are not embedded. What stands in for them here says so in its name and can be
replaced by an argument: its numbers compare videos with each other, and not with published ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suite.metrics.flow import Flow, tvl1_flow, warped
from suite.metrics.images import psnr, ssim
from suite.types import Images

Interpolation = Callable[[Images, Images], Images]


def frame_psnr(frames: Images, reference: Float[Tensor, "f 3 y x"]) -> Float[Tensor, " b"]:
    """PSNR of each frame in dB; infinite for equal ones.

    Raises:
        ValueError: Videos of different length or size.
    """
    _same(frames, reference)
    return psnr(frames, reference)


def frame_ssim(frames: Images, reference: Float[Tensor, "f 3 y x"]) -> Float[Tensor, " b"]:
    """SSIM of each frame. Raises as `frame_psnr` does."""
    _same(frames, reference)
    return ssim(frames, reference)


def _same(frames: Images, reference: Float[Tensor, "f 3 y x"]) -> None:
    if frames.shape != reference.shape:
        texts = [f"{len(x)} of {x.shape[-2]} x {x.shape[-1]}" for x in (frames, reference)]
        raise ValueError(f"Videos are compared frame by frame: got {texts[0]} frames and {texts[1]}.")


def flicker(frames: Images) -> Float[Tensor, " n"]:
    """Mean absolute difference of each frame and the next, in [0, 1]; motion counts too."""
    return (frames[1:].double() - frames[:-1].double()).abs().mean((1, 2, 3)).float()


def temporal_flickering(frames: Images) -> float:
    """VBench's: (255 - mean |difference of consecutive frames| in bytes) / 255. 1 is a still.

    Raises:
        ValueError: Fewer than two frames.
    """
    return 1 - float(flicker(_moving(frames, 2)).mean())


def largest_jump(changes: Float[Tensor, " n"]) -> float:
    """The largest of a video's changes from frame to frame (`flicker`), relative to their mean; 1 for a still."""
    return float(changes.max() / changes.mean()) if float(changes.max()) > 0 else 1.0


def warping_error(
    frames: Images, flow: Float[Tensor, "n 2 h w"], visible: Bool[Tensor, "n h w"] | None = None
) -> Float[Tensor, " n"]:
    """Mean squared difference of each frame and the next one warped back by the flow, over visible pixels.

    Args:
        flow: From each frame to the next, in pixels: the truth, or an estimate.
        visible: Where what a frame shows is seen in the next as well; everywhere by default. A pair that has no such
            pixel gets 0.

    Raises:
        ValueError: Fewer than two frames.
    """
    _moving(frames, 2)
    error = (warped(frames[1:].double(), flow.double()) - frames[:-1].double()).square().mean(1)
    if visible is None:
        return error.mean((1, 2)).float()
    return ((error * visible).sum((1, 2)) / visible.sum((1, 2)).clamp_min(1)).float()


def halfway_by_flow(before: Images, after: Images, flow: Flow = tvl1_flow) -> Images:
    """The frame between two: each warped by half the flow towards the other, averaged. Stands in for AMT."""
    there, back = flow(before, after), flow(after, before)
    return ((warped(before, 0.5 * back) + warped(after, 0.5 * there)) / 2).to(before)


def smoothness_errors(frames: Images, interpolate: Interpolation = halfway_by_flow) -> Float[Tensor, " n"]:
    """Mean absolute difference of every odd frame and the one interpolated between its neighbours."""
    odd = frames[1:-1:2]
    between = interpolate(frames[:-2:2][: len(odd)], frames[2::2][: len(odd)])
    return (between.double() - odd.double()).abs().mean((1, 2, 3)).float()


def motion_smoothness(frames: Images, interpolate: Interpolation = halfway_by_flow) -> float:
    """VBench's, with an interpolator of one's own choice: 1 minus the mean of `smoothness_errors`.

    Raises:
        ValueError: Fewer than three frames.
    """
    return 1 - float(smoothness_errors(_moving(frames, 3), interpolate).mean())


def dynamic_degree(strengths: Float[Tensor, " n"], height: int, width: int) -> float:
    """VBench's, of one video: 1 if it moves, else 0.

    It moves if at least round(4 f / 16) of its n = f - 1 pairs of frames have `flow.strength` above
    6 (shorter side / 256) pixels. VBench samples 8 frames a second.
    """
    moving = (strengths > 6 * min(height, width) / 256).sum()
    return float(int(moving) >= max(1, round(4 * (len(strengths) + 1) / 16)))


def subject_consistency(features: Float[Tensor, "f n"]) -> float:
    """VBench's, of features of each frame: how alike they are to the one before and to the first.

    Raises:
        ValueError: Fewer than two frames.
    """
    if len(features) < 2:
        raise ValueError(f"Subject consistency needs at least 2 frames, got {len(features)}.")
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    before, first = (unit[1:] * unit[:-1]).sum(1), unit[1:] @ unit[0]
    return float((before.clamp_min(0) + first.clamp_min(0)).mean() / 2)


@torch.no_grad()
def judge_features(images: Images) -> Float[Tensor, "b n"]:
    """What the shipped judge of toyworld sees just before it answers. Stands in for DINO's."""
    from suite.metrics.judge import load_judge

    judge, seen = load_judge(), []
    hook = judge.heads["name"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        judge.look(images)
    finally:
        hook.remove()
    return torch.cat(seen)


@dataclass(frozen=True)
class PoseError:
    """How far joints are from where they should be.

    Args:
        distance: Mean, in heights of the body.
        pck: Share of joints nearer than a tenth of the height of the body (or the `within` that was asked for).
        missing: Share of the wanted joints that were not found; they count as wrong.
    """

    distance: float
    pck: float
    missing: float


def pose_error(
    found: Float[Tensor, "f j 2"],
    wanted: Float[Tensor, "g k 2"],
    *,
    confidence: Float[Tensor, "f j"] | None = None,
    wanted_confidence: Float[Tensor, "g k"] | None = None,
    height: float | None = None,
    within: float = 0.1,
) -> PoseError:
    """Compares joints in pixels; those that are not wanted (confidence 0) do not count.

    Args:
        height: Of the body, in pixels; by default the greatest vertical extent of the wanted joints in a frame.
        within: The share of the height up to which a joint is right.

    Raises:
        ValueError: Different shapes, or no joint is wanted.
    """
    if found.shape != wanted.shape:
        raise ValueError(
            f"Joints are compared one by one: got {tuple(found.shape)} and {tuple(wanted.shape)}."
        )
    want = (
        torch.ones(wanted.shape[:2], dtype=torch.bool) if wanted_confidence is None else wanted_confidence > 0
    )
    have = torch.ones(found.shape[:2], dtype=torch.bool) if confidence is None else confidence > 0
    if not bool(want.any()):
        raise ValueError("No joint is wanted: all are missing from the true poses.")
    if height is None:
        y = wanted[..., 1]
        low, high = torch.where(want, y, torch.inf).amin(1), torch.where(want, y, -torch.inf).amax(1)
        height = max(float((high - low).clamp_min(0).max()), 1e-6)
    distance = (found - wanted).norm(dim=-1) / height
    both = want & have
    mean = float(distance[both].mean()) if bool(both.any()) else float("inf")
    return PoseError(
        mean, float((both & (distance < within)).sum() / want.sum()), float(1 - both.sum() / want.sum())
    )


def _moving(frames: Images, least: int) -> Images:
    if len(frames) < least:
        raise ValueError(f"This measure needs at least {least} frames, got {len(frames)}.")
    return frames
