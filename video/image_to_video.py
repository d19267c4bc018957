"""`suite image_to_video`: a still becomes a clip, of which it is the first frame.

still -> latents -> noise of every frame (and the first frame known) -> image prior with motion modules -> frames

    way        begins from                         first frame
    replace    the still under noise, each frame   held: at every level it is put in its place, under its own noise
    noise      the still under noise, each frame   made like the others: close to the still
    concat     noise; the motion module sees the   held as well (PIA, arXiv:2312.13964; the place that is known is
               still beside the noise              marked as SparseCtrl does, arXiv:2311.16933)
"""

from dataclasses import dataclass

import torch

from suite.errors import UserError
from suite.io.images import write_image
from suite.metrics.images import psnr
from suite.run import Run
from video.clip_task import ClipTask
from video.framing import read_still
from video.motion.modules import Motion
from video.motion_prior import with_still
from video.products import clear, frame_store, report, write_clip
from video.sampling import KnownFrames

WAYS = ("auto", "replace", "noise", "concat")
STRENGTH = {"replace": 0.9, "noise": 0.9, "concat": 1.0}


@dataclass(kw_only=True)
class ImageToVideo(ClipTask):
    """Makes a still move. Options beside those of `ClipTask`:

    Args:
        image: The still: any image file.
        prompt: What it shows and what happens, as "a blue car, sliding left"; or frame numbers with texts.
        way: replace holds the still as the first frame, noise only begins from it, concat shows it to motion modules
            that have an input for a still; auto is concat where they have, else replace.
        affinity: concat: how alike the frames and the still are told to be, from the first on; the last number holds
            for the rest. (1, 0) says which frame the still is, as `suite train_motion still=0.5` trains; PIA's
            published modules want 1, 0.9, 0.85, 0.85, 0.85, 0.8 for a small motion, down to 0.4 for a large one.
        strength: How much noise the frames begin with, above 0 up to 1; less stays nearer to the still. null is 0.9,
            for concat 1.
        fit: How the picture becomes a frame: crop, pad, stretch, or cutout (the object alone, on white).
    """

    image: str
    way: str = "auto"
    affinity: tuple[float, ...] = (1.0, 0.0)
    strength: float | None = None
    fit: str = "crop"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare(self.frames)
        self.way = chosen_way(self.way, self.motion)
        self.grid = self.generation.grid(STRENGTH[self.way] if self.strength is None else self.strength)
        if not self.affinity or not all(0 <= a <= 1 for a in self.affinity):
            raise UserError(f"affinity is one or more numbers from 0 to 1, got {list(self.affinity)}.")
        self.still = read_still(self.image, *self.size, self.fit)

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        x_0 = make.encode(self.still).expand(-1, self.frames, -1, -1, -1)
        noise, known = make.noise(self.frames, *self.size), None
        if self.way != "noise":
            known = KnownFrames(x_0, torch.arange(self.frames) == 0, noise)
        condition = video.embed(self.travel.prompts())
        if self.way == "concat":
            told = [self.affinity[min(k, len(self.affinity) - 1)] for k in range(self.frames)]
            condition = with_still(condition, x_0[:, 0], torch.tensor([told], dtype=torch.float32))
        start = make.start(self.grid, noise, x_0)
        latents = make.sample(start, condition, run, grid=self.grid, known=known)
        frames = make.decode(latents, frame_store(run, self.frames, *self.size))
        write_image(run.path("images", "still.png"), self.still)
        write_clip(run, frames, self.fps)
        first = psnr(frames[:1].float(), self.still).clamp(max=100)
        report(run, frames, self.fps, self.travel, {"first_frame_psnr": float(first)})
        clear(run)


def chosen_way(way: str, motion: Motion | None) -> str:
    """The way that is meant.

    Raises:
        UserError: There is no such way, or not with this motion module.
    """
    if way not in WAYS:
        raise UserError(f"way={way!r} is not one of: {', '.join(WAYS)}.")
    sees = motion is not None and motion.sees_stills
    if way == "auto":
        return "concat" if sees else "replace"
    if way == "concat" and not sees:
        name = "no motion module at all" if motion is None else f"{motion.name}, which has none"
        raise UserError(
            "way=concat needs a motion module with an input for a still (PIA's, or one of suite train_motion "
            f"still=0.5); here is {name}. Type way=replace or way=noise, which all can do."
        )
    return way
