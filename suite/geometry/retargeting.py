"""The motion of one person with the proportions of another."""

import re
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.skeletons import BONES, Poses


def retargeted(motion: Poses, reference: Poses) -> Poses:
    """The motion of one person with the proportions of another: directions of the one, bone lengths of the other.

    In space each bone gets the length that it has in the reference. In the plane, where bones shorten as they point at
    the viewer, each is scaled by the ratio of the reference's length to its greatest length in the motion; of a left
    and a right bone the longer counts. The pelvis is as high above the ground (the lowest ankle) as the ratio of the
    legs says, and moves by that ratio from where the reference has it.

    Args:
        motion: `f` frames; joints missing in a frame are missing in the result.
        reference: Its first frame counts; bones missing there are scaled by the mean ratio.

    Raises:
        ValueError: One in the plane and one in space, or no bone that both have.
    """
    if motion.points.shape[-1] != reference.points.shape[-1]:
        d, e = motion.points.shape[-1], reference.points.shape[-1]
        raise ValueError(
            f"Retargeting needs both poses in the plane or both in space, got {d} and {e} dimensions."
        )
    reference = reference[:1]
    ratios = _ratios(motion, reference)
    known = _joints(motion)
    pelvis = _pelvis(known)
    placed = {"pelvis": _moved_pelvis(motion, reference, pelvis, ratios)}
    places = {"pelvis": (pelvis, torch.ones(len(motion)))} | {k: x for k, x in known.items() if k != "pelvis"}
    for child, parent in BONES:
        here, sure = places[child]
        anchor, fallback = places[parent], placed[parent]
        direct = placed[parent] + ratios[child] * (here - anchor[0])
        around = placed["pelvis"] + ratios["mean"] * (here - pelvis)  # its parent is missing
        placed[child] = torch.where((anchor[1] > 0)[:, None], direct, around)
        placed[child] = torch.where((sure > 0)[:, None], placed[child], fallback)
    points = torch.stack([placed.get(name, motion.joint(name)[0]) for name in motion.names], 1)
    confidence = motion.confidence * torch.tensor([float(name in placed) for name in motion.names])
    return replace(motion, points=points, confidence=confidence, size=reference.size or motion.size)


def _joints(poses: Poses) -> dict[str, tuple[Tensor, Tensor]]:
    """Every joint of BONES and its confidence."""
    return {name: poses.joint(name) for name in {joint for bone in BONES for joint in bone}}


def bone_lengths(poses: Poses) -> dict[str, float]:
    """The greatest length of each bone, named by its child; left and right alike."""
    lengths: dict[str, float] = {}
    for child, parent in BONES:
        (a, c_a), (b, c_b) = poses.joint(child), poses.joint(parent)
        both = (c_a > 0) & (c_b > 0)
        if bool(both.any()):
            key = child.removeprefix("left_").removeprefix("right_")
            lengths[key] = max(lengths.get(key, 0.0), float((a - b)[both].norm(dim=-1).max()))
    return {child: lengths[k] for child, _ in BONES if (k := re.sub("^(left|right)_", "", child)) in lengths}


def _ratios(motion: Poses, reference: Poses) -> dict[str, float]:
    """Reference's length / motion's length of each bone; "mean" over all, "leg" of thigh and shin."""
    old, new = bone_lengths(motion), bone_lengths(reference)
    both = [bone for bone in old if bone in new and old[bone] > 1e-6]
    if not both:
        raise ValueError(
            "The motion and the reference have no bone in common: every joint of one of them is missing."
        )
    mean = sum(new[bone] for bone in both) / sum(old[bone] for bone in both)
    ratios = {child: new[child] / old[child] if child in both else mean for child, _ in BONES}
    leg = [bone for bone in ("left_knee", "left_ankle", "right_knee", "right_ankle") if bone in both]
    ratios["leg"] = sum(new[b] for b in leg) / sum(old[b] for b in leg) if leg else mean
    return ratios | {"mean": mean}


def _pelvis(known: dict[str, tuple[Tensor, Tensor]]) -> Float[Tensor, "f d"]:
    """The pelvis; where it is missing, as far from the nearest joint that is there as it is on average."""
    pelvis, sure = known["pelvis"]
    pelvis, found = pelvis.clone(), sure > 0
    for name in ("neck", *(child for child, _ in BONES)):
        if bool(found.all()):
            break
        here, there = known[name]
        both = (there > 0) & (sure > 0)
        offset = (pelvis - here)[both].mean(0) if bool(both.any()) else torch.zeros_like(pelvis[0])
        new = ~found & (there > 0)
        pelvis[new], found = here[new] + offset, found | new
    return pelvis


def _moved_pelvis(
    motion: Poses, reference: Poses, pelvis: Tensor, ratios: dict[str, float]
) -> Float[Tensor, "f d"]:
    start = _pelvis(_joints(reference))[0]
    moved = start + ratios["leg"] * (pelvis - pelvis[0])
    axis, sign = (1, 1.0) if pelvis.shape[-1] == 2 else (2, -1.0)  # what points down
    grounds = [ground_of(poses, axis, sign) for poses in (motion, reference)]
    if None not in grounds:
        moved[:, axis] = grounds[1] + ratios["leg"] * (pelvis[:, axis] - grounds[0])
    return moved


def ground_of(poses: Poses, axis: int, sign: float) -> float | None:
    """How low the lowest ankle is."""
    ankles = [poses.joint(f"{side}_ankle") for side in ("left", "right")]
    low = [float((sign * p[c > 0, axis]).max()) for p, c in ankles if bool((c > 0).any())]
    return sign * max(low) if low else None
