"""Stills with clips and poses to train on: a folder of videos with files of poses beside them, or toyworld's people."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.io.poses import read_poses
from suite.toyworld.animations import Animations
from suite.toyworld.motions import PEOPLE_MOTIONS
from suite.toyworld.pool import ClipBatch
from video.framing import fitted
from video.video_folders import OPEN_FILES, VideoFolder


@dataclass(frozen=True)
class FilmLabel:
    """What is known of a sample of a video: its file's name, and the poses of still and frames, in pixels."""

    caption: str
    poses: Poses


class FolderAnimations:
    """Samples out of a folder of videos of single people: of each the frames of one random stretch and, as still, any
    other frame; their middle square.

    Beside NAME.mp4 there are its poses: NAME.json (COCO), or a folder NAME of OpenPose's .json files, one a frame.

    Args:
        folder: Of MP4, MOV, MKV, WebM, AVI, GIF or WebP files.
        frames: Of a clip.
        size: Height and width in pixels.
        every: Take each how-many-eth frame.

    Raises:
        UserError: There is no such folder, it has no videos, or a video has no poses.
    """

    def __init__(self, folder: str | Path, *, frames: int = 16, size: int = 64, every: int = 1) -> None:
        self.videos = VideoFolder(folder, frames=frames, size=size, every=every)
        self.poses_of = {name: self._poses_beside(name) for name in self.videos.names}
        self._read = functools.lru_cache(maxsize=OPEN_FILES)(read_poses)

    def _poses_beside(self, name: str) -> Path:
        folder = self.videos.folder
        stem = folder / Path(name).stem
        for place in (stem.with_name(stem.name + ".json"), stem):
            if place.exists():
                return place
        raise UserError(f"{folder / name} has no poses: {stem.name}.json or a folder {stem.name} beside it.")

    def batch(self, count: int, seed: int, number: int) -> ClipBatch:
        """The batch of this number, the still before the frames of each clip, each with its `FilmLabel`."""
        random, names = np.random.default_rng([seed, number]), self.videos.names
        made = [self._sample(names[random.integers(len(names))], random) for _ in range(count)]
        frames = torch.stack([frames for frames, _ in made]).movedim(2, -1).numpy()
        return ClipBatch(frames, tuple(label for _, label in made))

    def _sample(self, name: str, random: np.random.Generator) -> tuple[torch.Tensor, FilmLabel]:
        video, poses, size = self.videos.open(name), self._read(self.poses_of[name]), self.videos.size
        there = min(len(video), len(poses))
        stretch = self.videos.stretch(name, there, random, "frames with poses")
        chosen = [int(random.integers(there)), *stretch]
        frames = video.read(chosen)
        height, width = frames.shape[-2:]
        if poses.size is not None:
            poses = poses.scaled(height, width)
        poses = middle_of(replace(poses, size=(height, width)), chosen, size)
        return fitted(frames, size, size), FilmLabel(Path(name).stem, poses)


def middle_of(poses: Poses, chosen: list[int], size: int) -> Poses:
    """Poses of some frames in the middle square of their picture, scaled to `size`."""
    height, width = poses.size
    scale = size / min(height, width)
    scaled = max(size, round(height * scale)), max(size, round(width * scale))
    points = poses.points[chosen] * torch.tensor([scaled[1] / width, scaled[0] / height])
    corner = torch.tensor([(scaled[1] - size) // 2, (scaled[0] - size) // 2])
    return replace(poses, points=points - corner, confidence=poses.confidence[chosen], size=(size, size))


@dataclass(frozen=True)
class AnimationData:
    """Which samples a training sees.

    Args:
        videos: A folder of videos of single people with their poses (see FolderAnimations); empty renders toyworld.
        every: Take each how-many-eth frame of the videos.
        frames: Of a clip, in stage 2.
        moments: Frames of a clip that stage 1 learns from, each by itself: the still is looked at once for all.
        motions: Of toyworld's people; none are all.
        missing: How often a joint is left out of a pose, as detectors do.
    """

    videos: str = ""
    every: int = 1
    frames: int = 16
    moments: int = 1
    motions: tuple[str, ...] = ()
    missing: float = 0.03

    def __post_init__(self) -> None:
        if self.moments < 1:
            raise UserError(f"moments must be positive, got {self.moments}.")
        if not 0 <= self.missing < 1:
            raise UserError(f"missing is a share of the joints, at least 0 and below 1, got {self.missing}.")

    def source(self, size: int, frames: int, split: str = "train") -> "Animations | FolderAnimations":
        """The samples; a folder has one split alone."""
        if self.videos:
            return FolderAnimations(self.videos, frames=frames, size=size, every=self.every)
        motions = self.motions or PEOPLE_MOTIONS
        return Animations(size=size, frames=frames, split=split, motions=motions)
