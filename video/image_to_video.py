"""`suite image_to_video`: a still becomes a clip, of which it is the first frame.

still -> latents -> noise of every frame (and the first frame known) -> image prior with motion modules -> frames

    way        begins from                         first frame
    replace    the still under noise, each frame   held: at every level it is put in its place, under its own noise
    noise      the still under noise, each frame   made like the others: close to the still
    concat     an input of the motion module       as that module was trained; none that can be loaded has such an input
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
from video.products import clear, frame_store, report, write_clip
from video.sampling import KnownFrames

WAYS = ("replace", "noise", "concat")


@dataclass(kw_only=True)
class ImageToVideo(ClipTask):
    """Makes a still move. Options beside those of `ClipTask`:

    Args:
        image: The still: any image file.
        prompt: What it shows and what happens, as "a blue car, sliding left"; or frame numbers with texts.
        way: replace holds the still as the first frame, noise only begins from it, concat is for motion modules that
            have an input for a still.
        strength: How much noise the frames begin with, above 0 up to 1; less stays nearer to the still.
        fit: How the picture becomes a frame: crop, pad, stretch, or cutout (the object alone, on white).
    """

    image: str
    way: str = "replace"
    strength: float = 0.9
    fit: str = "crop"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare(self.frames)
        self.grid = self.generation.grid(self.strength)
        check_way(self.way, self.motion)
        self.still = read_still(self.image, *self.size, self.fit)

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        x_0 = make.encode(self.still).expand(-1, self.frames, -1, -1, -1)
        noise, known = make.noise(self.frames, *self.size), None
        if self.way == "replace":
            known = KnownFrames(x_0, torch.arange(self.frames) == 0, noise)
        condition = video.embed(self.travel.prompts())
        start = make.start(self.grid, noise, x_0)
        latents = make.sample(start, condition, run, grid=self.grid, known=known)
        frames = make.decode(latents, frame_store(run, self.frames, *self.size))
        write_image(run.path("images", "still.png"), self.still)
        write_clip(run, frames, self.fps)
        first = psnr(frames[:1].float(), self.still).clamp(max=100)
        report(run, frames, self.fps, self.travel, {"first_frame_psnr": float(first)})
        clear(run)


def check_way(way: str, motion: Motion | None) -> None:
    """Raises:
    UserError: There is no such way, or not with this motion module.
    """
    if way not in WAYS:
        raise UserError(f"way={way!r} is not one of: {', '.join(WAYS)}.")
    if way == "concat":
        name = "no motion module at all" if motion is None else f"{motion.name}, which has none"
        raise UserError(
            "way=concat needs a motion module with an input for a still beside the noise (PIA's, of 9 channels, or a "
            f"SparseCtrl); here is {name}. Type way=replace or way=noise, which all can do."
        )
