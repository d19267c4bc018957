"""Poses of a person in a video, found by a landmark network in TensorFlow Lite's format (extra "pose"), or toyworld's.

The network is BlazePose (Bazarevsky et al. 2020, arXiv:2006.10204), which MediaPipe's package for node carries as
pose_landmark_lite.tflite, _full and _heavy (Apache-2.0): a square of the picture in which a person is upright in the
middle -> 33 landmarks, two that say where that square should have been, and whether anybody is there.

    first frame    the whole picture, then twice the square that was said
    each next      the square that the last frame said: the person is followed
"""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17, Poses
from suite.io.paths import existing_file
from suite.metrics.person_judge import load_person_judge
from suite.types import Images

# Where COCO's joints are among BlazePose's landmarks.
LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
MIDDLE, EDGE = 33, 34  # of the square that should have been: its middle, and a point above it
WIDER = 1.25  # the square around the circle through EDGE, with a margin
VALUES = 5  # of a landmark: x, y, z in pixels of the square, and how visible and how present it is, before a sigmoid
SEARCHES = 3  # of the first frame


class PoseDetector(ABC):
    """Finds the joints of one person in each frame."""

    @abstractmethod
    def __call__(self, frames: Images) -> Poses:
        """Joints in pixels of frames `f 3 h w` in [0, 1]; of confidence 0 where nobody is found."""


class BlazePose(PoseDetector):
    """Joints by a BlazePose landmark network.

    Args:
        path: Of pose_landmark_lite.tflite, _full.tflite or _heavy.tflite.
        least: The least presence, in [0, 1], with which somebody is there.

    Raises:
        UserError: The file is missing or no such network, or TensorFlow Lite is not installed.
    """

    def __init__(self, path: str, *, least: float = 0.5) -> None:
        file = existing_file(Path(path).expanduser(), "file of a landmark network")
        self.network, self.least = _interpreter(file), least
        given, answers = self.network.get_input_details(), self.network.get_output_details()
        shape = [int(x) for x in given[0]["shape"]]
        rows = [k for k, out in enumerate(answers) if list(out["shape"]) == [1, (EDGE + 5) * VALUES]]
        flags = [k for k, out in enumerate(answers) if list(out["shape"]) == [1, 1]]
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not rows or not flags:
            raise UserError(
                f"{file} is a network, but not BlazePose's landmarks: give pose_landmark_full.tflite of the npm "
                "package @mediapipe/holistic."
            )
        self.side, self.given = shape[1], given[0]["index"]
        self.rows, self.flag = answers[rows[0]]["index"], answers[flags[0]]["index"]

    def __call__(self, frames: Images) -> Poses:
        h, w = frames.shape[-2:]
        points, confidence = torch.zeros(len(frames), 17, 2), torch.zeros(len(frames), 17)
        square = None
        for k, frame in enumerate(frames.float().cpu()):
            searches = SEARCHES if square is None else 1
            square = whole(h, w) if square is None else square
            for _ in range(searches):
                landmarks, visible, there = self._look(frame, square)
                square = square_of(landmarks[MIDDLE], landmarks[EDGE])
            if there < self.least:
                square = None
                continue
            points[k], confidence[k] = landmarks[list(LANDMARKS)], visible[list(LANDMARKS)]
        return Poses(points, confidence.clamp(1e-3, 1) * (confidence > 0), COCO_17, size=(h, w))

    def _look(
        self, frame: Float[Tensor, "3 h w"], square: Tensor
    ) -> tuple[Float[Tensor, "l 2"], Float[Tensor, " l"], float]:
        """Landmarks in pixels of the frame, how visible each is, and how surely somebody is there."""
        self.network.set_tensor(self.given, crop(frame, square, self.side).movedim(0, -1)[None].numpy())
        self.network.invoke()
        rows = torch.from_numpy(self.network.get_tensor(self.rows).copy()).reshape(-1, VALUES)
        where = torch.cat([rows[:, :2] / self.side * 2 - 1, torch.ones(len(rows), 1)], 1) @ square.T
        return where, rows[:, 3].sigmoid(), float(self.network.get_tensor(self.flag).squeeze())


class ToyworldPeople(PoseDetector):
    """Joints of toyworld's people, by the shipped judge of people; it knows no others.

    Args:
        path: Folder of another judge, of `suite train_person_judge`; empty is the shipped one.
    """

    def __init__(self, path: str = "") -> None:
        self.judge = load_person_judge(Path(path).expanduser()) if path else load_person_judge()

    def __call__(self, frames: Images) -> Poses:
        return self.judge.poses(frames)


def whole(height: int, width: int) -> Float[Tensor, "2 3"]:
    """The square around a picture: (x, y, 1) in [-1, 1]^2 of the square -> pixels of the picture."""
    half = max(height, width) / 2
    return torch.tensor([[half, 0.0, width / 2], [0.0, half, height / 2]])


def square_of(middle: Float[Tensor, " 2"], edge: Float[Tensor, " 2"]) -> Float[Tensor, "2 3"]:
    """The square about `middle` in which `edge` is straight above it, a little wider than the circle through it."""
    dx, dy = (edge - middle).tolist()
    half = max(WIDER * math.hypot(dx, dy), 1.0)
    angle = math.atan2(dx, -dy)  # by which it is turned clockwise
    c, s = half * math.cos(angle), half * math.sin(angle)
    return torch.tensor([[c, -s, float(middle[0])], [s, c, float(middle[1])]])


def crop(frame: Float[Tensor, "3 h w"], square: Float[Tensor, "2 3"], side: int) -> Float[Tensor, "3 s s"]:
    """What is in a square, side x side pixels; black outside the picture."""
    h, w = frame.shape[-2:]
    ticks = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1) @ square.T
    grid = pixels / torch.tensor([w, h]) * 2 - 1
    return F.grid_sample(frame[None], grid[None], align_corners=False)[0]


def _interpreter(file: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(
            "Finding poses in a video needs TensorFlow Lite: pip install ai-edge-litert (the extra [pose])."
        ) from error
    try:
        network = Interpreter(str(file))
        network.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{file} is no TensorFlow Lite network, or damaged. Copy it again.") from error
    return network
