"""`suite text_to_video`: a clip from words (AnimateDiff, Guo et al. 2023, arXiv:2307.04725).

prompt -> noise, one a frame -> image prior with motion modules, under a sampler -> frames -> videos, measures
"""

from dataclasses import dataclass

from suite.run import Run
from video.clip_task import ClipTask
from video.products import clear, frame_store, report, write_clip


@dataclass(kw_only=True)
class TextToVideo(ClipTask):
    """Samples a clip from a prompt; its options are those of `ClipTask`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare(self.frames)

    def run(self, run: Run) -> None:
        make, video = self.generation, self.generation.video.to(run.device)
        noise, grid = make.noise(self.frames, *self.size), make.grid()
        condition = video.embed(self.travel.prompts())
        latents = make.sample(make.start(grid, noise), condition, run, grid=grid)
        frames = make.decode(latents, frame_store(run, self.frames, *self.size))
        write_clip(run, frames, self.fps)
        report(run, frames, self.fps, self.travel, {})
        clear(run)
