"""Skeletons of people as named points in frames, in the plane or in space: orders of joints, names of rigs.

A joint that is missing has confidence 0, and stays missing in whatever is made of it. Pixels: x to the right, y down.
Space: +Z up, +X front, as everywhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from suite.toyworld.skeletons import COCO_JOINTS as COCO_17

# OpenPose's 18, which programs call COCO-18 too, and its 25.
COCO_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
BODY_25 = (
    *COCO_18[:8], "pelvis", *COCO_18[8:],
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}
# (child, parent), parents first: how a pose is rebuilt from the pelvis.
BONES = (
    ("neck", "pelvis"), ("nose", "neck"),
    *((f"{side}_{a}", f"{side}_{b}" if b in ("eye", "shoulder", "elbow", "hip", "knee") else b)
      for side in ("left", "right")
      for a, b in (("eye", "nose"), ("ear", "eye"), ("shoulder", "neck"), ("elbow", "shoulder"), ("wrist", "elbow"),
                   ("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"))),
)  # fmt: skip


@dataclass(frozen=True)
class Poses:
    """One person in `f` frames.

    Args:
        points: `d` is 2 (pixels) or 3 (world); anything where the confidence is 0.
        confidence: In [0, 1]; 0 is missing.
        names: Of the joints.
        fps: Frames a second, if known.
        size: (height, width) of the picture that the pixels are of, if known.
    """

    points: Float[Tensor, "f j d"]
    confidence: Float[Tensor, "f j"]
    names: tuple[str, ...] = COCO_17
    fps: float | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.points.shape[:2] != self.confidence.shape or self.points.shape[1] != len(self.names):
            raise ValueError(
                f"Poses of {len(self.names)} joints need points `f {len(self.names)} d` and confidence "
                f"`f {len(self.names)}`, got {tuple(self.points.shape)} and {tuple(self.confidence.shape)}."
            )

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, part: slice | Int[Tensor, " n"]) -> "Poses":
        """Some of the frames."""
        return replace(self, points=self.points[part], confidence=self.confidence[part])

    @cached_property
    def present(self) -> dict[str, int]:
        """Index of each name."""
        return {name: k for k, name in enumerate(self.names)}

    def joint(self, name: str) -> tuple[Float[Tensor, "f d"], Float[Tensor, " f"]]:
        """A joint and its confidence; neck and pelvis may be the middle of two, what is not there is missing."""
        if name in self.present:
            return self.points[:, self.present[name]], self.confidence[:, self.present[name]]
        if name in MIDDLES and all(side in self.present for side in MIDDLES[name]):
            (a, c_a), (b, c_b) = (self.joint(side) for side in MIDDLES[name])
            return (a + b) / 2, torch.minimum(c_a, c_b)
        return torch.zeros_like(self.points[:, 0]), torch.zeros_like(self.confidence[:, 0])

    def selected(self, names: Sequence[str]) -> "Poses":
        """These joints in this order, as COCO_17 or COCO_18; missing where there is no such joint."""
        found = [self.joint(name) for name in names]
        points, confidence = torch.stack([p for p, _ in found], 1), torch.stack([c for _, c in found], 1)
        return replace(self, points=points, confidence=confidence, names=tuple(names))

    def scaled(self, height: int, width: int) -> "Poses":
        """The same in a picture of another size."""
        if self.size is None or self.points.shape[-1] != 2:
            raise ValueError("Only poses in the pixels of a picture of known size can be scaled to another.")
        factors = torch.tensor([width / self.size[1], height / self.size[0]])
        return replace(self, points=self.points * factors, size=(height, width))


# What rigs call the joints, in the order of preference: some have both a shoulder (the collar bone) and an arm.
CALLED = {
    "shoulder": ("upperarm", "uparm", "arm", "shoulder"), "elbow": ("lowerarm", "loarm", "forearm", "elbow"),
    "wrist": ("wrist", "hand"), "hip": ("upperleg", "upleg", "thigh", "hip"),
    "knee": ("lowerleg", "loleg", "shin", "calf", "leg", "knee"), "ankle": ("ankle", "foot"),
}  # fmt: skip


def coco_of_rig(points: Float[Tensor, "f j 3"], names: Sequence[str], fps: float | None = None) -> Poses:
    """COCO's joints of a rig whose joints are called as most are: "LeftForeArm", "lowerarm.l", "mixamorig:LeftArm".

    Nose, eyes and ears are put on a ball between the head and its tip ("Head_end"), looking ahead of the shoulders.

    Raises:
        ValueError: A limb is not found.
    """
    index: dict[tuple[str, str], int] = {}
    for k, name in enumerate(names):
        for key in _readings(name):
            index.setdefault(key, k)
    found: dict[str, Tensor] = {}
    for side in ("left", "right"):
        for joint, words in CALLED.items():
            k = next((index[side, word] for word in words if (side, word) in index), None)
            if k is None:
                raise ValueError(
                    f"The rig has no {side} {joint}: none of its joints is called {side} + {', '.join(words)}. "
                    f"Its joints are: {', '.join(names)}."
                )
            found[f"{side}_{joint}"] = points[:, k]
    found |= _face(found, points, index)
    stacked = torch.stack([found[name] for name in COCO_17], 1)
    return Poses(stacked, torch.ones(stacked.shape[:2]), COCO_17, fps)


def _readings(name: str) -> list[tuple[str, str]]:
    """(side, word) of a joint's name: "upperarm.l" is ("left", "upperarm"), "Head" is ("", "head")."""
    name = re.sub(r"^.*[:|]", "", name).lower()
    plain = [("", re.sub(r"[^a-z]", "", name))]
    for side, words in (("left", ("left", "l")), ("right", ("right", "r"))):
        for word in words:
            if name.startswith(word):
                plain.append((side, re.sub(r"[^a-z]", "", name[len(word) :])))
            if name.endswith(word) and (len(word) > 1 or name[-2:-1] in "._- "):
                plain.append((side, re.sub(r"[^a-z]", "", name[: -len(word)])))
    return plain


def _face(limbs: dict[str, Tensor], points: Tensor, index: dict[tuple[str, str], int]) -> dict[str, Tensor]:
    left = limbs["left_shoulder"] - limbs["right_shoulder"]
    neck = (limbs["left_shoulder"] + limbs["right_shoulder"]) / 2
    base = points[:, index["", "head"]] if ("", "head") in index else neck + 0.0
    if ("", "headend") in index:
        tip = points[:, index["", "headend"]]
    else:
        up = neck - (limbs["left_hip"] + limbs["right_hip"]) / 2
        tip = base + torch.nn.functional.normalize(up, dim=-1) * 0.8 * left.norm(dim=-1, keepdim=True)
    up, middle = (
        torch.nn.functional.normalize(tip - base, dim=-1),
        base + 0.42 * (tip - base),
    )  # hair is above
    left = torch.nn.functional.normalize(left - (left * up).sum(-1, keepdim=True) * up, dim=-1)
    radius = (tip - base).norm(dim=-1, keepdim=True) / 2
    ahead = torch.linalg.cross(left, up)
    face = {"nose": middle + radius * ahead}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        face[f"{side}_eye"] = middle + radius * (0.86 * ahead + sign * 0.36 * left + 0.2 * up)
        face[f"{side}_ear"] = middle + sign * radius * left
    return face


def facing_ahead(poses: Poses) -> Poses:
    """Poses in space, turned about +Z so that the shoulders of the first frame look along +X."""
    left = poses.joint("left_shoulder")[0][0] - poses.joint("right_shoulder")[0][0]
    across = left[:2] / left[:2].norm().clamp_min(1e-9)  # +Y for someone who looks along +X
    turn = torch.eye(3, dtype=poses.points.dtype)
    turn[0, :2] = torch.stack([across[1], -across[0]])
    turn[1, :2] = across
    return replace(poses, points=poses.points @ turn.T)
