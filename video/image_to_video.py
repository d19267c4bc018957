"""`suite image_to_video`: a still becomes a clip, of which it is the first frame.

still -> latents -> noise of every frame (and the first frame known) -> image prior with motion modules -> frames

The ways to begin from it: `video.first_frame`.
"""

from dataclasses import dataclass

from suite.io.images import write_image
from suite.metrics.images import psnr
from suite.run import Run
from video.clip_task import ClipTask
from video.first_frame import FirstFrame, chosen_way
from video.framing import read_still
from video.products import clear, frame_store, report, write_clip


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
        self.first = FirstFrame(chosen_way(self.way, self.motion), self.strength, self.affinity)
        self.grid = self.first.grid(self.generation)
        self.still = read_still(self.image, *self.size, self.fit)

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        noise, told = make.noise(self.frames, *self.size), video.embed(self.travel.prompts())
        start, condition, known = self.first.begin(make, self.still, noise, told)
        latents = make.sample(start, condition, run, grid=self.grid, known=known)
        frames = make.decode(latents, frame_store(run, self.frames, *self.size))
        write_image(run.path("images", "still.png"), self.still)
        write_clip(run, frames, self.fps)
        first = psnr(frames[:1].float(), self.still).clamp(max=100)
        report(run, frames, self.fps, self.travel, {"first_frame_psnr": float(first)})
        clear(run)
