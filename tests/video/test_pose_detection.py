"""Poses found in pictures: the way from a picture into the network's square and back, with a network that sees dots."""

import math

import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17
from video import pose_detection
from video.pose_detection import EDGE, LANDMARKS, MIDDLE, BlazePose, crop, square_of, whole

SIDE, LEVELS = 64, 39
# Landmarks, and where the square should be: its middle, and a point above it.
PLACES = {0: (70.0, 30.0), 11: (82.0, 44.0), 24: (66.0, 70.0), 28: (64.0, 98.0)} | {
    MIDDLE: (80.0, 66.0), EDGE: (90.0, 26.0)
}  # fmt: skip


class Dots:
    """Stands for TensorFlow Lite's interpreter: landmark k is where red / (red + green) is (k + 1) / 60."""

    def __init__(self, there: list[float]) -> None:
        self.there, self.seen = there, []

    def get_input_details(self):
        return [{"index": 0, "shape": [1, SIDE, SIDE, 3]}]

    def get_output_details(self):
        return [{"index": 5, "shape": [1, LEVELS * 5]}, {"index": 6, "shape": [1, 1]}]

    def set_tensor(self, _, x):
        self.picture = torch.from_numpy(x)[0]
        self.seen.append(self.picture)

    def invoke(self):
        self.flag = self.there.pop(0) if len(self.there) > 1 else self.there[0]

    def get_tensor(self, index):
        if index == 6:
            return torch.tensor([[self.flag]]).numpy()
        rows = torch.zeros(LEVELS, 5)
        for k in PLACES:
            light = self.picture[..., :2].sum(-1)
            hue = self.picture[..., 0] / light.clamp_min(1e-6)
            y, x = ((light > 0.5) & ((hue - (k + 1) / 60).abs() < 0.004)).nonzero(as_tuple=True)
            if len(x):
                rows[k, 0], rows[k, 1], rows[k, 3] = x.float().mean() + 0.5, y.float().mean() + 0.5, 4.0
        return rows.reshape(1, -1).numpy()


@pytest.fixture
def detector(monkeypatch, tmp_path):
    def made(there):
        network = Dots(there)
        monkeypatch.setattr(pose_detection, "_interpreter", lambda file: network)
        (tmp_path / "x.tflite").write_bytes(b"x")
        return BlazePose(str(tmp_path / "x.tflite")), network

    return made


def picture() -> torch.Tensor:
    """Discs on black, each landmark's between green and red, 120 x 160."""
    image = torch.zeros(1, 3, 120, 160)
    y, x = torch.meshgrid(torch.arange(120) + 0.5, torch.arange(160) + 0.5, indexing="ij")
    for k, (a, b) in PLACES.items():
        red = (k + 1) / 60
        image[0, :, ((x - a) ** 2 + (y - b) ** 2) < 20] = torch.tensor([red, 1 - red, 0.0])[:, None]
    return image


def test_joints_are_where_the_dots_are(detector):
    """Through the whole picture, then the square that was said, turned with the body: within a pixel."""
    find, network = detector([0.9])
    poses = find(picture().expand(2, -1, -1, -1))
    assert len(network.seen) == 3 + 1 and poses.size == (120, 160)
    for k in set(PLACES) - {MIDDLE, EDGE}:
        j = LANDMARKS.index(k)
        torch.testing.assert_close(poses.points[:, j], torch.tensor([PLACES[k]] * 2), atol=1.0, rtol=0)
        assert poses.confidence[0, j] == pytest.approx(1 / (1 + math.exp(-4)), abs=1e-5)
    assert poses.names == COCO_17


def test_nobody_is_missing_and_looked_for_anew(detector):
    """A frame without anybody has no joints; the next is searched whole again."""
    find, network = detector([0.1] * 3 + [0.9])
    poses = find(picture().expand(2, -1, -1, -1))
    assert float(poses.confidence[0].max()) == 0 and float(poses.confidence[1].max()) > 0.9
    assert torch.equal(network.seen[0], network.seen[3])


def test_squares():
    """The whole of a picture is the picture on black; a square of its own turn has its edge point straight above."""
    image = torch.rand(3, 16, 32)
    got = crop(image, whole(16, 32), 32)
    torch.testing.assert_close(got[:, 8:24], image, atol=1e-5, rtol=0)
    assert float(got[:, :7].abs().max()) == 0
    middle, edge = torch.tensor([10.0, 20.0]), torch.tensor([14.0, 17.0])
    turned = square_of(middle, edge)
    at = torch.linalg.solve(turned[:, :2], edge - turned[:, 2])
    torch.testing.assert_close(at, torch.tensor([0.0, -1 / 1.25]), atol=1e-5, rtol=0)
    assert float(torch.linalg.det(turned[:, :2])) > 0


def test_what_is_no_network(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="landmark network"):
        BlazePose(str(tmp_path / "missing.tflite"))
    (tmp_path / "x.tflite").write_bytes(b"not a network")
    try:
        import ai_edge_litert  # noqa: F401
    except ImportError:
        message = r"extra \[pose\]"
    else:
        message = "no TensorFlow Lite network"
    with pytest.raises(UserError, match=message):
        BlazePose(str(tmp_path / "x.tflite"))
    monkeypatch.setattr(pose_detection, "_interpreter", lambda file: Other([0.0]))
    with pytest.raises(UserError, match="not BlazePose"):
        BlazePose(str(tmp_path / "x.tflite"))


class Other(Dots):
    """Another network."""

    def get_output_details(self):
        return [{"index": 5, "shape": [1, 1000]}]
