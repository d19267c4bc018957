"""`suite evaluate_video`: chunks equal the whole, references, folders, and what it says to type."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.io.poses import write_poses
from suite.io.videos import read_video, write_video
from suite.metrics import evaluate_video
from suite.metrics.evaluate_video import EvaluateVideo, listed
from suite.metrics.flow import consistent, tvl1_flow
from suite.metrics.images import psnr
from suite.metrics.videos import flicker, judge_features, subject_consistency, warping_error
from suite.rng import generator
from suite.run import Run


def report(folder, **options) -> dict:
    """The measures that a run writes."""
    with Run(folder, task="evaluate_video") as run:
        EvaluateVideo(**options).run(run)
    assert (folder / "report.html").exists() and (folder / "videos" / "video.mp4").exists()
    return json.loads((folder / "report.json").read_text())["measures"]


def waves(count: int, shift: float = 0.0) -> torch.Tensor:
    """Stripes that travel."""
    x = torch.linspace(0, 9, 32)
    frames = torch.stack([0.5 + 0.4 * torch.sin(x + 0.3 * k + shift) for k in range(count)])
    return frames[:, None, None].expand(-1, 3, 24, -1).contiguous()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of two videos each, one a noisy copy of the other, without loss."""
    root = tmp_path_factory.mktemp("videos")
    for k in range(2):
        frames = waves(7, k)
        noise = 0.05 * torch.randn(frames.shape, generator=generator(0, k, "noise"))
        write_video(root / "true" / f"{k}.webp", frames, 8, lossless=True)
        write_video(root / "made" / f"{k}.webp", (frames + noise).clamp(0, 1), 8, lossless=True)
    return root


def test_chunks_give_what_the_whole_gives(folders, tmp_path, monkeypatch):
    """Read in runs of 2 + 1 frames, every measure is that of all frames at once, by the functions themselves."""
    monkeypatch.setattr(evaluate_video, "CHUNK", 2)
    made, true = folders / "made" / "0.webp", folders / "true" / "0.webp"
    found = report(tmp_path / "run", video=str(made), reference=str(true))
    frames, reference = read_video(made).frames, read_video(true).frames
    assert found["frames"] == 7 and found["height"] == 24 and found["width"] == 32
    assert found["flicker"] == pytest.approx(float(flicker(frames).mean()), rel=1e-5)
    assert found["psnr"] == pytest.approx(float(psnr(frames, reference).mean()), rel=1e-5)
    there, back = tvl1_flow(frames[:-1], frames[1:]), tvl1_flow(frames[1:], frames[:-1])
    error = warping_error(frames, there, consistent(there, back)).mean()
    assert found["warping_error"] == pytest.approx(float(error), rel=1e-3)
    consistency = subject_consistency(judge_features(frames))
    assert found["subject_consistency_judge"] == pytest.approx(consistency, rel=1e-4)
    assert 0.9 < found["motion_smoothness"] <= 1
    assert "pose error" in found["notes"] and "psnr, ssim" not in found["notes"]


def test_folders_get_a_frechet_distance(folders, tmp_path):
    """A row for each video, their means, PSNR against the file of the same name, and the distance."""
    found = report(tmp_path / "run", video=str(folders / "made"), reference=str(folders / "true"), count=3)
    assert [row["video"] for row in found["videos"]] == ["0.webp", "1.webp"]
    assert found["psnr"] == pytest.approx(sum(row["psnr"] for row in found["videos"]) / 2)
    assert found["frechet_video_distance_random_features"] > 0
    assert "random" in found["notes"]["not comparable with published numbers"]


def test_a_still_and_its_poses(tmp_path):
    """One frame has no motion to measure; poses are compared where both files are given."""
    write_video(tmp_path / "one.gif", waves(1), 8)
    points = torch.rand(1, 17, 2, generator=generator(0, 0, "poses")) * 100
    write_poses(tmp_path / "a.json", Poses(points, torch.ones(1, 17)))
    write_poses(tmp_path / "b.json", Poses(points, torch.ones(1, 17)))
    joints = {"poses": str(tmp_path / "a.json"), "reference_poses": str(tmp_path / "b.json")}
    found = report(tmp_path / "run", video=str(tmp_path / "one.gif"), **joints)
    assert found["frames"] == 1 and "flicker" not in found and found["pose_pck"] == 1
    assert found["notes"]["psnr, ssim"] == "need a true video: type reference=FILE"


def test_errors(folders, tmp_path):
    """What does not fit together is said with the way out."""
    made, true = folders / "made" / "0.webp", folders / "true" / "0.webp"
    write_video(tmp_path / "short.webp", waves(5), 8, lossless=True)
    write_video(tmp_path / "small.webp", waves(7)[..., :16], 8, lossless=True)
    with pytest.raises(
        UserError, match="has 7 frames of 32 x 24 pixels and its reference 5 .* Type count=5, or fps=N"
    ):
        report(tmp_path / "a", video=str(made), reference=str(tmp_path / "short.webp"))
    with pytest.raises(UserError, match="its reference 7 frames of 16 x 24 pixels: .* Resize one of them"):
        report(tmp_path / "b", video=str(true), reference=str(tmp_path / "small.webp"))
    with pytest.raises(UserError, match="type both poses=FILE and reference_poses=FILE"):
        EvaluateVideo(video="a.mp4", poses="a.json")
    with pytest.raises(UserError, match="must not be negative, got fps=-1.0 and count=0"):
        EvaluateVideo(video="a.mp4", fps=-1.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither videos"):
        listed(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="between two folders of at least two videos each"):
        EvaluateVideo(video=str(made)).frechet([made], [true])
    for name, count in (("a", 1), ("b", 2)):
        write_poses(tmp_path / f"{name}.json", Poses(torch.rand(count, 17, 2), torch.ones(count, 17)))
    task = EvaluateVideo(
        video=str(made), poses=str(tmp_path / "a.json"), reference_poses=str(tmp_path / "b.json")
    )
    task.measured = None  # poses that cannot be compared are refused before any frame is measured
    with Run(tmp_path / "run") as run, pytest.raises(UserError, match="a.json has 1 frames, .*b.json 2"):
        task.run(run)
