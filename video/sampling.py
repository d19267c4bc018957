"""How a clip is sampled from a prior of clips: noise, a path to data, windows where a clip is long, known frames.

x_T = alpha_T x_0 + sigma_T eps       x_0: nothing, a still, or a video;  eps of frame i drawn from (seed, i)
x_0 = sampler(x_T)                    windows and known frames are wrappers of the prior: no sampler knows of them
"""

import logging
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from priors.base import Condition
from suite.diffusion.noise import Kind, NoiseSchedule, Prediction, per_sample, target
from suite.diffusion.samplers import SAMPLERS, Callback, Grid
from suite.errors import UserError
from suite.progress import Progress
from suite.rng import generator
from suite.run import Run, machine_memory_mb
from suite.types import Times
from video.framing import check_size
from video.motion.modules import check_share, mixed_noise
from video.motion_prior import ClipLatents
from video.windows import Windowed, Windows

log = logging.getLogger(__name__)
AT_ONCE = 16  # frames that the autoencoder takes together
COPIES = 8  # of a clip's latents that a sampler holds at once, about
APART = Windows(
    schedule="static", weights="flat", length=16, overlap=0
)  # frames that do not know of each other


class Sampling:
    """How clips are sampled from a prior of clips.

    Args:
        video: The prior: a `MotionPrior`, or an `AnimatePrior`.
        windows: How windows lie on clips of more frames than one has; None never lays any.
        sampler: dpmpp_2m, ddim, euler or heun.
        steps: Of sampling.
        scale: Classifier-free guidance scale.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike;
            otherwise that of the clip at once.
        shared_noise: The part of the noise's variance that all frames begin with in common; None is what suits the
            motion modules.
        seed: Of the noise.

    Raises:
        UserError: An option is not possible.
    """

    def __init__(
        self,
        video: Any,
        *,
        windows: Windows | None = None,
        sampler: str = "dpmpp_2m",
        steps: int = 25,
        scale: float = 4.0,
        frame_seeds: bool = True,
        shared_noise: float | None = None,
        seed: int = 0,
    ) -> None:
        if shared_noise is not None:
            check_share(shared_noise)
        if steps < 1:
            raise UserError(f"steps must be at least 1, got {steps}.")
        if sampler not in SAMPLERS:
            raise UserError(f"sampler={sampler!r} is not one of: {', '.join(SAMPLERS)}.")
        self.video, self.windows, self.frame_seeds, self.seed = video, windows, frame_seeds, seed
        self.sampler, self.steps, self.scale = SAMPLERS[sampler], steps, scale
        self.shared_noise = video.sampled_noise if shared_noise is None else shared_noise

    def check(
        self, frames: int, fps: float | int, height: int | None = None, width: int | None = None
    ) -> None:
        """Raises:
        UserError: A clip of so many frames, at this rate, of this size cannot be made.
        """
        if frames < 2:
            raise UserError(f"A clip has at least 2 frames, got frames={frames}: type frames=16.")
        if not 0 < fps <= 1000:
            raise UserError(f"fps is how many frames are shown in a second: above 0, got {fps:g}.")
        check_size(height, width, self.video.factor)
        h, w = (size or self.video.resolution for size in (height, width))
        pixels = self.video.factor**2
        needed = COPIES * frames * self.video.latent_channels * (h * w / pixels) * 4 / 2**20
        if needed > machine_memory_mb():
            raise UserError(
                f"frames={frames} of {h} x {w} pixels need {needed / 1024:.0f} GiB for their latents, and this machine "
                f"has {machine_memory_mb() / 1024:.0f}: make fewer frames, or several clips."
            )
        if self.windows is None and self.video.motion is not None:
            self.video.motion.check_frames(frames)

    def noise(
        self, frames: int, height: int | None = None, width: int | None = None, *, seed: int | None = None
    ) -> ClipLatents:
        """The clip's noise, from its own seed or another."""
        size, seed = {"height": height, "width": width}, self.seed if seed is None else seed
        if self.frame_seeds:
            draws = (generator(seed, i, "frame") for i in range(frames))
            own = torch.cat([self.video.starting_noise(1, 1, draw, **size) for draw in draws], dim=1)
        else:
            own = self.video.starting_noise(1, frames, generator(seed, 0, "clip"), **size)
        common = self.video.starting_noise(1, 1, generator(seed, 0, "common"), **size)
        return mixed_noise(own, common, self.shared_noise)

    @torch.no_grad()
    def encode(self, frames: Float[Tensor, "f 3 h w"]) -> ClipLatents:
        """Frames of any size to the latents of a clip."""
        parts = [
            self.video.image.encode(part.to(self.video.device), resize=False)
            for part in frames.split(AT_ONCE)
        ]
        return torch.cat(parts)[None]

    @torch.no_grad()
    def decode(self, latents: ClipLatents, into: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The frames of one clip, written into their place some at a time."""
        for first in range(0, len(into), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            into[part] = self.video.decode(latents[:, part])[0].to(into)
        return into

    def grid(self, strength: float | int = 1.0) -> Grid:
        """The levels of a path to data in `steps` steps that begins at t = strength (SDEdit, arXiv:2108.01073).

        Raises:
            UserError: strength is not in (0, 1].
        """
        if not 0 < strength <= 1:
            raise UserError(
                f"strength={strength:g} is not possible: above 0 (keep all) up to 1 (keep nothing), as strength=0.6."
            )
        schedule = self.video.schedule
        t = Grid.of(schedule, self.steps).t * strength
        alpha, sigma = schedule.alpha_sigma(t)
        new = torch.cat([torch.ones(1, dtype=torch.bool), alpha.diff() != 0])  # a table's entries, each once
        ends = (torch.tensor([x], dtype=torch.float64) for x in schedule.final)
        return Grid(t[new], *(torch.cat([x[new], end]) for x, end in zip((alpha, sigma), ends)))

    def start(self, grid: Grid, noise: ClipLatents, x_0: ClipLatents | None = None) -> ClipLatents:
        """Where sampling begins: noise, or what is given under noise."""
        return noise if x_0 is None else float(grid.alpha[0]) * x_0 + float(grid.sigma[0]) * noise

    def through_windows(self, frames: int, grid: Grid) -> Any:
        """The prior, looking through windows where a clip is longer than one."""
        windows, motion = self.windows, self.video.motion
        if motion is None:
            windows = APART
        elif windows is not None and windows.length > motion.positions:
            log.info("Windows of %d frames: %s has no more positions.", motion.positions, motion.name)
            windows = replace(windows, length=motion.positions)
        if windows is None or (frames <= windows.length and windows.schedule != "looped"):
            return self.video
        return Windowed(self.video, windows, grid.t)

    def sample(
        self, x: ClipLatents, condition: Condition, run: Run, *, grid: Grid, known: "Known | None" = None
    ) -> ClipLatents:  # fmt: skip
        """From noise to clean latents, following the path of `grid`; shows how far it is."""
        with Progress(run, len(grid)) as progress:
            x = self.path(
                x, condition, grid=grid, known=known,
                callback=lambda i, x, p: progress.update(i, {"frames": x.shape[1]}),
            )  # fmt: skip
        run.statistics["evaluations"] = self.video.evaluations
        return x

    @torch.no_grad()
    def path(
        self, x: ClipLatents, condition: Condition, *, grid: Grid, known: "Known | None" = None,
        callback: Callback | None = None,
    ) -> ClipLatents:  # fmt: skip
        """The same, unseen.

        Args:
            callback: See `suite.diffusion.samplers`.
        """
        prior = self.through_windows(x.shape[1], grid)
        if known is not None:
            prior = Completing(prior, known)
        x = self.sampler(prior, x, condition, steps=grid, scale=self.scale, callback=callback)
        return x if known is None else torch.where(known.where(x), known.x_0, x)


class Known:
    """What of a clip is given: frames, or places in them.

    Args:
        x_0: Latents of a clip; only what is given of it counts.
        given: Which frames, or which places of each.
        eps: The clip's noise: at every level they stand under this.
    """

    def __init__(
        self, x_0: ClipLatents, given: Bool[Tensor, " f"] | Bool[Tensor, "f 1 y x"], eps: ClipLatents
    ) -> None:
        self.x_0, self.given, self.eps = x_0, given, eps

    def where(self, x: ClipLatents) -> Bool[Tensor, "1 f 1 #y #x"]:
        """A mask for clips like x."""
        return self.given.to(x.device).reshape(1, len(self.given), 1, *(self.given.shape[2:] or (1, 1)))


class Completing:
    """A prior of clips that knows some of it: that is put in its place, and of it the truth is said.

        x_t = alpha x_0 + sigma eps  and  the answer that this means, where it is known

    So the rest is made to fit it, as in RePaint (arXiv:2201.09865, without its resampling). For samplers it is the
    prior itself: each keeps what is known on its path to x_0.
    """

    batch_conditions = False

    def __init__(self, prior: Any, known: Known) -> None:
        self.prior, self.known = prior, known
        self.schedule: NoiseSchedule = prior.schedule
        self.kind: Kind = prior.kind

    def predict(self, x_t: Float[Tensor, "b f c y x"], t: Times, condition: Condition) -> Prediction:
        """What the prior says of the rest beside what is known."""
        known, where = self.known, self.known.where(x_t)
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        x_t = torch.where(where, alpha * known.x_0 + sigma * known.eps, x_t)
        said = self.prior.predict(x_t, t, condition)
        raw = torch.where(where, target(self.kind, known.x_0, known.eps, alpha, sigma), said.raw)
        return replace(said, x_t=x_t, raw=raw)
