"""What a made clip leaves in its run directory: videos, a strip of frames, a labelled sheet, and measures.

The measures are those of `suite evaluate_video`; what the shipped judge sees in each frame is added where the prompt is
of toyworld.
"""

import logging
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.io.videos import write_video
from suite.metrics.judge import OF_FRAMES, load_judge
from suite.metrics.text import claim_of
from suite.metrics.video_measures import VideoMeasures
from suite.run import Run
from suite.toyworld.motions import CLIP_MOTIONS
from suite.types import Images
from video.prompts import Travel

log = logging.getLogger(__name__)
IN_MEMORY = 2**30  # bytes of frames; more lie in a file in half precision until the video is written
ANIMATED = 240  # frames of a GIF or WebP at most: they are not made for long videos
STRIP, SHOWN, CHUNK = (
    16,
    96,
    16,
)  # frames in a strip; its pictures' least size in pixels; frames measured at once
MEASURED = 512  # frames that are measured, from the first on
STAND_INS = {"not comparable with published numbers": "flow is TV-L1, features are the toyworld judge's"}


def frame_store(run: Run, frames: int, height: int, width: int) -> Images:
    """Room for frames: in memory, or, where they are many, in a file of the run directory that `clear` removes."""
    shape, size = (frames, 3, height, width), frames * 3 * height * width
    if 4 * size <= IN_MEMORY:
        return torch.empty(shape)
    file = run.path("videos", f".frames-{size}.part")
    return torch.from_file(str(file), shared=True, size=size, dtype=torch.float16).reshape(shape)


def clear(run: Run) -> None:
    """Remove the files of `frame_store`."""
    for file in (run.directory / "videos").glob(".frames-*.part"):
        file.unlink()


def write_clip(run: Run, frames: Images, fps: float | int, name: str = "clip") -> None:
    """videos/NAME.mp4, and unless it is long .gif and .webp; images/strip.png and images/contact_sheet.png."""
    write_video(run.path("videos", f"{name}.mp4"), frames, fps)
    for suffix in (".gif", ".webp") if len(frames) <= ANIMATED else ():
        write_video(run.path("videos", f"{name}{suffix}"), frames, fps)
    write_image(run.path("images", "strip.png"), strip(frames))
    chosen = evenly(len(frames), 4 * STRIP)
    write_image(
        run.path("images", "contact_sheet.png"),
        contact_sheet(enlarged(frames[chosen].float()), 8, [f"frame {k}" for k in chosen]),
    )


def strip(frames: Images) -> Tensor:
    """At most 16 frames in a row, evenly out of all."""
    return contact_sheet(enlarged(frames[evenly(len(frames), STRIP)].float()), STRIP, padding=1)


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, both ends among them."""
    kept = min(count, most)
    return [round(k * (count - 1) / max(kept - 1, 1)) for k in range(kept)]


def enlarged(images: Images) -> Float[Tensor, "b 3 y x"]:
    """Small pictures with larger pixels."""
    times = math.ceil(SHOWN / min(images.shape[-2:]))
    return F.interpolate(images, scale_factor=times, mode="nearest") if times > 1 else images


def measured(frames: Images, fps: float | int) -> dict[str, float]:
    """Flicker, smoothness, dynamic degree, consistency and what else `suite evaluate_video` says of one video."""
    frames, measures = frames[:MEASURED], VideoMeasures()
    for first in range(0, len(frames) - 1, CHUNK):
        measures.add(frames[first : first + CHUNK + 1].float())  # neighbours share a frame
    return measures.summary(float(fps))


def named(frames: Images, travel: Travel) -> dict[str, object]:
    """How often the judge names what the prompt asks for, and what it sees in each frame; {} outside its world."""
    judge, frames = load_judge(OF_FRAMES), frames[:MEASURED]
    try:
        claims = [claim_of(still_words(travel.nearest(i)), judge.world) for i in range(len(frames))]
    except UserError as error:
        log.info("Not judged: %s", str(error).partition(". ")[0])
        return {}
    seen: dict[str, list[str]] = {"name": [], "color": []}
    for part in frames.split(CHUNK):
        verdict = judge.look(part.float())
        for head in seen:
            seen[head] += verdict.best(head)
    names = [judge.world.is_a(best, claim.name) for best, claim in zip(seen["name"], claims)]
    colors = [best == claim.color for best, claim in zip(seen["color"], claims) if claim.color]
    return {
        "frames_named_right": share(names),
        **({"frames_of_right_color": share(colors)} if colors else {}),
        "frames_seen": [
            {"frame": i, "asked": travel.nearest(i), "seen": f"{seen['color'][i]} {seen['name'][i]}"}
            for i in evenly(len(frames), STRIP)
        ],
    }


def still_words(text: str) -> str:
    """A caption without what moves: "a blue car, sliding left" -> "a blue car"."""
    return ", ".join(part.strip() for part in text.split(",") if part.strip() not in CLIP_MOTIONS)


def share(right: Sequence[bool]) -> float:
    """Of those that are."""
    return sum(right) / len(right)


def report(run: Run, frames: Images, fps: float | int, travel: Travel, extra: dict[str, object]) -> None:
    """Measures the clip and writes the report."""
    measures = measured(frames, fps) | extra | named(frames, travel) | {"notes": STAND_INS}
    run.write_report(measures)
