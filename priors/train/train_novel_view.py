"""`suite train_novel_view`: a small Zero-1-to-3 of toyworld and of real objects.

views of things (rendered on the fly) -> pairs: picture, target -> codec, encoder, denoiser -> diffusers directory
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.train.base import CODEC_BATCH, TrainDenoiser, check_sizes
from priors.train.view_denoiser import ViewTraining
from priors.view_sampling import sampled
from priors.zero123 import Zero123Prior
from suite.diffusion.samplers import starting_noise
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.io.images import contact_sheet, write_image
from suite.rng import generator
from suite.run import Run
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.pool import Pool
from suite.toyworld.view_pairs import ViewPairs, Viewpoints, cameras_of
from suite.types import Images

PREVIEWED = ("train", "held_out", "held_out_kinds")


class TrainNovelView(TrainDenoiser):
    """Trains a view-conditioned prior; the run directory's `prior/` can be given as `prior.path` to any other task.

    Held-out compositions and the held-out kinds of `suite.toyworld.view_pairs` are not shown, by this training. A text
    prior to begin with (init) has seen the held-out kinds in its own.

    Args:
        objects: A folder of meshes to learn too, as `suite prepare_objects` makes; empty for none.
        init: A view-conditioned prior's directory to go on from, or a text prior's, as "pocket", whose denoiser to
            begin with; empty starts from nothing.
        volume: The folder that `suite train_view_volume` made, whose view the denoiser is shown; empty for the picture
            itself, or for what init has.
        size: Height and width of the pictures in pixels.
        batch: Pairs in a step, each of another thing.
        views: Views that are rendered of a thing; a pair is any two of them.
        reuse: Steps for which a new batch of things is rendered once.
        pool: Rendered batches that are kept to draw from.
        steps: Number of steps.
        lr: Learning rate after the first 500 steps and before the last fifth, in which it falls to nothing.
        widths: Channels of the denoiser's levels, coarsest last.
        width: Of the picture's tokens.
        layers: Of the picture encoder.
        new_encoder: Whether a new picture encoder of so many layers takes the place of that of init.
        pose: What the network is told of the cameras: radius_polar, or radius or polar as the public models.
        drop: How often the picture is left out, for classifier-free guidance.
        noisy: t = u^noisy for uniform u; below 1, more of the training is at strong noise.
        ema: Decay of the moving average that is saved.
        half: Whether matrix products run in bfloat16.
        seed: Of weights, pictures and noise.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        volume: str = "",
        size: int = 64,
        batch: int = 64,
        views: int = 4,
        reuse: int = 8,
        pool: int = 32,
        steps: int = 30_000,
        lr: float = 8e-4,
        widths: tuple[int, ...] = (64, 128, 192),
        width: int = 192,
        layers: int = 1,
        new_encoder: bool = False,
        pose: str = "radius_polar",
        drop: float = 0.1,
        noisy: float = 0.5,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        check_sizes(size=size, lr=lr, noisy=noisy, batch=batch, reuse=reuse, pool=pool, steps=steps)
        if pose not in ("radius", "polar", "radius_polar"):
            raise UserError(f"pose={pose!r} is not one of: radius, polar, radius_polar.")
        self.steps, self.lr, self.seed, self.size = steps, lr, seed, size
        pairs = ViewPairs(real=real_surfaces(objects) if objects else [], size=size, views=views)
        self.training = ViewTraining(
            pictures_of(pairs.batch(256 // views, seed, CODEC_BATCH).images), init=init, volume=volume, size=size,
            pose=pose, widths=widths, width=width, layers=layers, new_encoder=new_encoder, drop=drop,
            noisy=noisy, ema=ema, autocast=half, seed=seed,
        )  # fmt: skip
        self.pool = Pool(pairs, batch=batch, reuse=reuse, size=pool, seed=seed)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        strips, viewpoints = self.pool.draw(step, generator)
        pictures, targets, reference, wanted = pairs_of(strips, viewpoints, generator)
        return self.training.loss(pictures, targets, reference, wanted, generator)

    def preview(self, step: int, run: Run) -> None:
        """Picture, prediction and truth: things of the training, held-out compositions, held-out kinds."""
        prior, rows = self.training.prior(), []
        for split in PREVIEWED:
            batch = ViewPairs(size=self.size, views=2, split=split).batch(4, self.seed, CODEC_BATCH + 1)
            draws = generator(self.seed, 0, f"preview {split}")
            pictures, targets, reference, wanted = pairs_of(pictures_of(batch.images), batch.labels, draws)
            shown = sample_views(prior, pictures, reference, wanted, draws)
            rows += [image for trio in zip(pictures, shown.cpu(), targets) for image in trio]
        labels = ["given", "made", "true"] * (len(rows) // 3)
        write_image(
            run.path("images", f"views_{step:06d}.png"),
            contact_sheet(torch.stack(rows), columns=12, labels=labels),
        )

    def finish(self, run: Run) -> dict[str, float]:
        directory = run.path("prior", "model_index.json").parent
        self.training.save(directory)
        return {"prior_megabytes": sum(path.stat().st_size for path in directory.rglob("*.*")) / 1e6}


@torch.no_grad()
def sample_views(
    prior: Zero123Prior,
    pictures: Images,
    reference: Cameras,
    wanted: Cameras,
    noise: torch.Generator | Float[Tensor, "b c y x"],
    *,
    steps: int = 25,
    scale: float | int = 2.0,
    start: float | int = 1.0,
) -> Images:
    """What the prior shows from the wanted cameras, one picture each.

    Args:
        noise: What to start from, or what draws it.
        start: See `priors.view_sampling`.
    """
    if isinstance(noise, torch.Generator):
        noise = starting_noise(prior, len(pictures), noise)
    condition = prior.embed([""] * len(pictures), wanted, pictures, reference=reference)
    expected = prior.expected(wanted, pictures, reference=reference) if start < 1 else None
    return sampled(prior, noise, condition, expected, steps=steps, scale=scale, start=start)


def pictures_of(images: np.ndarray) -> Float[Tensor, "b 3 h w"]:
    """`b h w 3` arrays as tensors."""
    return torch.from_numpy(images).movedim(-1, 1).contiguous()


def pairs_of(
    strips: Float[Tensor, "b 3 h vw"], viewpoints: Sequence[Viewpoints], generator: torch.Generator
) -> tuple[Images, Images, Cameras, Cameras]:
    """Two different views of each thing: pictures, targets, and the cameras of both."""
    views, size = len(viewpoints[0].distance), strips.shape[2]
    first = torch.randint(views, (len(strips),), generator=generator)
    second = (first + 1 + torch.randint(views - 1, (len(strips),), generator=generator)) % views
    every, cameras = strips.unflatten(3, (views, size)).movedim(3, 1), cameras_of(viewpoints, size)
    rows = torch.arange(len(strips))
    seen = [cameras[rows * views + which] for which in (first, second)]
    return every[rows, first], every[rows, second], *seen
