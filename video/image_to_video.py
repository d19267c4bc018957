"""`suite image_to_video`: a still becomes a clip, of which it is the first frame.

still -> latents -> noise of every frame (and the first frame known) -> image prior with motion modules -> frames

    way        begins from                         first frame
    replace    the still under noise, each frame   held: at every level it is put in its place, under its own noise
    noise      the still under noise, each frame   made like the others: close to the still
    concat     an input of the motion module       as that module was trained; none that can be loaded has such an input
"""

from collections.abc import Mapping

import torch

from priors.base import Prior
from suite.errors import UserError
from suite.io.images import write_image
from suite.metrics.images import psnr
from suite.run import Run
from suite.task import Task
from video.framing import read_still
from video.generation import Generation, KnownFrames
from video.motion.modules import Motion
from video.products import clear, frame_store, report, write_clip
from video.prompts import Travel
from video.windows import Windows

WAYS = ("replace", "noise", "concat")


class ImageToVideo(Task):
    """Makes a still move.

    Args:
        prior: The image prior.
        image: The still: any image file.
        prompt: What it shows and what happens, as "a blue car, sliding left"; or frame numbers with texts.
        way: replace holds the still as the first frame, noise only begins from it, concat is for motion modules that
            have an input for a still.
        strength: How much noise the frames begin with, above 0 up to 1; less stays nearer to the still.
        fit: How the picture becomes a frame: crop, pad, stretch, or cutout (the object alone, on white).
        motion: Motion modules of the prior; null makes every frame by itself.
        loras: Files of MotionLoRAs and domain adapters with their strengths, as {zoom_in.safetensors: 0.8}.
        negative: What to keep away from.
        frames: Length of the clip.
        fps: Frames a second.
        height, width: Of a frame, in pixels; null is the prior's own size.
        steps: Of sampling.
        scale: Classifier-free guidance scale; Stable Diffusion wants 7.5.
        sampler: dpmpp_2m, ddim, euler or heun.
        windows: How context windows lie on clips of more frames than one has; null lays none.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike.
        seed: Of the noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        image: str,
        prompt: Mapping[int, str] | str,
        way: str = "replace",
        strength: float = 0.9,
        fit: str = "crop",
        motion: Motion | None = None,
        loras: Mapping[str, float] | None = None,
        negative: str = "",
        frames: int = 16,
        fps: float = 8.0,
        height: int | None = None,
        width: int | None = None,
        steps: int = 25,
        scale: float = 4.0,
        sampler: str = "dpmpp_2m",
        windows: Windows | None = None,
        frame_seeds: bool = True,
        seed: int = 0,
    ) -> None:
        self.generation = Generation(
            prior, motion, loras=loras, windows=windows, sampler=sampler, steps=steps, scale=scale,
            frame_seeds=frame_seeds, seed=seed,
        )  # fmt: skip
        self.generation.check(frames, fps, height, width)
        self.travel = Travel.of(prompt, frames, negative)
        self.generation.check_words(self.travel)
        self.way, self.grid = way, self.generation.grid(strength)
        check_way(way, motion)
        self.frames, self.fps = frames, fps
        self.still = read_still(image, height or prior.resolution, width or prior.resolution, fit)

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        size = self.still.shape[-2:]
        x_0 = make.encode(self.still).expand(-1, self.frames, -1, -1, -1)
        noise, known = make.noise(self.frames, *size), None
        if self.way == "replace":
            known = KnownFrames(x_0, torch.arange(self.frames) == 0, noise)
        condition = video.embed(self.travel.prompts())
        start = make.start(self.grid, noise, x_0)
        latents = make.sample(start, condition, run, grid=self.grid, known=known)
        frames = make.decode(latents, frame_store(run, self.frames, *size))
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
