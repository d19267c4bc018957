"""The task that measures videos: by themselves, against a reference, or a folder of them against another folder."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.io.poses import read_poses
from suite.io.video_readers import PICTURES
from suite.io.videos import VideoFile, shown_at, write_video
from suite.metrics.frechet import RandomVideoFeatures, frechet_distance
from suite.metrics.video_measures import VideoMeasures
from suite.metrics.videos import pose_error
from suite.progress import Progress
from suite.run import Run
from suite.task import Task
from suite.types import Images

VIDEOS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif", ".webp")
CHUNK = 16  # frames that are in memory at once, fewer where they are large:
PIXELS = 20_000_000  # in all of them
FEATURED = 64  # frames of a video that the Frechet distance looks at
SHOWN = 200  # pixels: greatest width on the contact sheet
PLAYED = 240  # frames of the video that the report plays
STAND_INS = {
    "not comparable with published numbers": "flow is TV-L1 (VBench: RAFT), frames are interpolated by it (AMT), "
    "features are the toyworld judge's (DINO), those of the Frechet distance random (FVD: I3D)"
}


class EvaluateVideo(Task):
    """Measures of a video, after VBench's definitions; see `suite.metrics.videos` for the formulae.

    Args:
        video: The file, a folder of pictures, or a folder of videos.
        reference: What it should show, frame by frame: PSNR and SSIM. For a folder of videos a folder of true ones:
            the Frechet distance; files of the same name are compared frame by frame.
        poses: Joints found in the video (COCO or OpenPose JSON), to be compared with `reference_poses`.
        reference_poses: The joints that were commanded.
        fps: Both are first sampled at this rate; 0 takes every frame.
        count: At most so many frames; 0 is all.
    """

    reruns = True

    def __init__(
        self,
        *,
        video: str,
        reference: str = "",
        poses: str = "",
        reference_poses: str = "",
        fps: float = 0.0,
        count: int = 0,
    ) -> None:
        if fps < 0 or count < 0:
            raise UserError(f"fps and count must not be negative, got fps={fps} and count={count}.")
        if bool(poses) != bool(reference_poses):
            raise UserError(
                "Poses are compared with each other: type both poses=FILE and reference_poses=FILE."
            )
        self.video, self.reference, self.fps, self.count = video, reference, fps, count
        self.poses, self.reference_poses = poses, reference_poses

    def run(self, run: Run) -> None:
        videos, references = listed(self.video), listed(self.reference) if self.reference else []
        of_poses = self.pose_measures() if self.poses else {}
        several = len(videos) > 1 or videos[0] != Path(self.video).expanduser()
        rows = [self.measured(path, partner(path, references, several), run) for path in videos]
        measures: dict[str, Any] = means(rows) | of_poses
        if several and references:
            measures["frechet_video_distance_random_features"] = self.frechet(videos, references)
        measures["notes"] = STAND_INS | self.missing(several, bool(references))
        for name, line in measures["notes"].items():
            run.log.info("%s: %s", name, line)
        if several:
            measures["videos"] = [{"video": p.name} | row for p, row in zip(videos, rows)]
        self.show(videos[0], partner(videos[0], references, several), run)
        run.write_report(measures)

    def measured(self, path: Path, reference: Path | None, run: Run) -> dict[str, float]:
        """The measures of one video; its frames are read in chunks."""
        file, indices = self.opened(path)
        measures, count = VideoMeasures(), len(indices)
        truth = self.matching(path, file, count, reference) if reference else None
        with Progress(run, count) as progress:
            for frames in chunks(file, indices):
                found = measures.add(frames, None if truth is None else next(truth))
                progress.update(
                    measures.count - 1,
                    {"flicker": float(found["flicker"].mean()) if len(frames) > 1 else 0.0},
                )
        return measures.summary(self.fps or file.fps)

    def opened(self, path: Path) -> tuple[VideoFile, list[int]]:
        """A video, and the numbers of the frames that are wanted."""
        file = VideoFile(path)
        indices = (
            shown_at(file.times, file.duration, self.fps).tolist() if self.fps else list(range(len(file)))
        )
        return file, indices[: self.count or None]

    def matching(self, path: Path, file: VideoFile, count: int, reference: Path) -> Iterator[Images]:
        """The reference's frames in the same chunks."""
        other, indices = self.opened(reference)
        if len(indices) != count or other.size != file.size:
            here, there = (
                f"{n} frames of {s[1]} x {s[0]} pixels"
                for n, s in ((count, file.size), (len(indices), other.size))
            )
            most = min(count, len(indices))
            raise UserError(
                f"{path.name} has {here} and its reference {there}: they are compared frame by frame. "
                + (
                    f"Type count={most}, or fps=N to bring both to one rate."
                    if other.size == file.size
                    else "Resize one of them."
                )
            )
        return chunks(other, indices)

    def frechet(self, videos: Sequence[Path], references: Sequence[Path]) -> float:
        """Between the two folders."""
        if min(len(videos), len(references)) < 2:
            raise UserError("The Frechet distance is between two folders of at least two videos each.")
        extractor = RandomVideoFeatures()
        sets = [[self.features(path, extractor) for path in paths] for paths in (videos, references)]
        return frechet_distance(*(torch.cat(part) for part in sets))

    def features(self, path: Path, extractor: RandomVideoFeatures) -> Tensor:
        """Of a video's first frames."""
        file, indices = self.opened(path)
        return extractor(file.read(indices[:FEATURED])[None])

    def pose_measures(self) -> dict[str, float]:
        """Distance and PCK."""
        found, wanted = read_poses(self.poses), read_poses(self.reference_poses)
        if len(found) != len(wanted) or found.points.shape[-1] != 2 or wanted.points.shape[-1] != 2:
            raise UserError(
                f"Poses are compared in the pixels of the same frames: {self.poses} has {len(found)} frames, "
                f"{self.reference_poses} {len(wanted)}."
            )
        error = pose_error(
            found.points, wanted.points, confidence=found.confidence, wanted_confidence=wanted.confidence
        )
        return {"pose_pck": error.pck, "pose_distance": error.distance, "pose_missing": error.missing}

    def missing(self, several: bool, referenced: bool) -> dict[str, str]:
        """What has not been measured, and what to type for it."""
        lines = {
            "psnr, ssim": "" if referenced else "need a true video: type reference=FILE",
            "frechet video distance": ""
            if several and referenced
            else "needs folders: video=FOLDER reference=FOLDER",
            "pose error": "" if self.poses else "needs joints: type poses=FILE reference_poses=FILE",
        }
        return {name: line for name, line in lines.items() if line}

    def show(self, path: Path, reference: Path | None, run: Run) -> None:
        """Frames of the (first) video in a row, the reference's under them; and the video to play."""
        file, indices = self.opened(path)
        chosen = [indices[k * (len(indices) - 1) // 7] for k in range(8)] if len(indices) > 8 else indices
        rows, labels = [file.read(chosen)], [f"frame {k}" for k in chosen]
        if reference is not None:
            other, numbers = self.opened(reference)
            rows.append(other.read([numbers[indices.index(k)] for k in chosen]))
            labels += ["reference"] * len(chosen)
        images, (h, w) = torch.cat(rows), file.size
        if w > SHOWN:
            images = torch.nn.functional.interpolate(images, (max(1, h * SHOWN // w), SHOWN), mode="area")
        write_image(run.path("images", "contact_sheet.png"), contact_sheet(images, len(chosen), labels))
        played = indices[: max(1, min(PLAYED, 5 * PIXELS // (h * w)))]
        write_video(run.path("videos", "video.mp4"), file.read(played), self.fps or file.fps)


def listed(given: str) -> list[Path]:
    """The videos of a folder; else the file or folder of pictures itself."""
    path = Path(given).expanduser()
    if not path.is_dir() or any(
        p.suffix.lower() in PICTURES and p.suffix.lower() != ".webp" for p in path.iterdir()
    ):
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEOS)
    if not found:
        raise UserError(f"The folder {path} holds neither videos ({', '.join(VIDEOS)}) nor pictures.")
    return found


def partner(path: Path, references: Sequence[Path], several: bool) -> Path | None:
    """The reference of a video: the only one there is, or in a folder the one of the same name."""
    if not several:
        return references[0] if references else None
    return next((other for other in references if other.stem == path.stem), None)


def chunks(file: VideoFile, indices: Sequence[int]) -> Iterator[Images]:
    """The wanted frames in runs of an odd length, of which neighbours share one frame: every pair and every triple
    about an odd frame is in exactly one run."""
    count = max(2, min(CHUNK, PIXELS // math.prod(file.size) // 2 * 2))
    for begin in range(0, max(len(indices) - 1, 1), count):
        yield file.read(indices[begin : begin + count + 1])


def means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each measure over the videos that have it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {n: sum(row[n] for row in rows if n in row) / sum(n in row for row in rows) for n in names}
