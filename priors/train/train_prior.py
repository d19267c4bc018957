"""`suite train_prior`: a text-to-image prior of toyworld and of real objects, from nothing or from another prior.

pictures with captions (rendered on the fly) -> codec, tokenizer, text encoder, denoiser -> diffusers directory
"""

import json

import torch
from torch import Tensor

from priors.train.base import CODEC_BATCH, TrainDenoiser, check_sizes
from priors.train.denoiser import DenoiserTraining
from suite.diffusion.samplers import dpmpp_2m, starting_noise
from suite.io.images import contact_sheet, write_image
from suite.rng import generator
from suite.run import Run
from suite.toyworld.dataset import Batch, Scenes, real_surfaces
from suite.toyworld.pool import Pool
from suite.toyworld.vocabulary import tokenizer_corpus, vocabulary
from suite.types import Images

SAMPLES = (
    "a red mushroom", "a blue car, front view", "a blue car, side view", "a blue car, back view",
    "a striped green teapot, side view", "a checkered yellow house", "a dotted purple duck, front view",
    "a person in a red shirt and blue trousers, waving",
)  # fmt: skip


class TrainPrior(TrainDenoiser):
    """Trains a prior; the run directory's `prior/` can be given as `prior.path` to any other task.

    Args:
        objects: A folder of captioned meshes to learn too, as `suite prepare_objects` makes; empty for none.
        init: A prior's directory to go on from, or "pocket" for the shipped one; empty starts from nothing.
        size: Height and width of the pictures in pixels.
        shares: How often a picture shows a procedural object, a real object, a person, and a thing in motion.
        view_words: How often a caption says the view of a thing that has a front (others: half as often).
        even_views: How often the view is drawn out of front, side, back and overhead, with these shares:
        view_shares: How often each of the four is drawn then, next to the others.
        batch: Pictures in a step.
        reuse: Steps for which a new batch is rendered once.
        pool: Rendered batches that are kept to draw from.
        steps: Number of steps.
        lr: Learning rate after the first 500 steps and before the last fifth, in which it falls to nothing.
        widths: Channels of the denoiser's levels, coarsest last.
        text_width: Width of the text encoder.
        noisy: t = u^noisy for uniform u: with 0.6 nearly four in five are above 0.4, where shapes are learnt, the
            slowest thing; with 1 every noise is as likely, and small parts are learnt sooner.
        ema: Decay of the moving average that is saved.
        half: Whether matrix products run in bfloat16.
        seed: Of weights, pictures and noise.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        size: int = 64,
        shares: tuple[float, float, float, float] = (0.66, 0.24, 0.04, 0.06),
        view_words: float = 0.8,
        even_views: float = 0.5,
        view_shares: tuple[float, float, float, float] = (1, 1, 1, 1),
        batch: int = 64,
        reuse: int = 2,
        pool: int = 64,
        steps: int = 40_000,
        lr: float = 8e-4,
        widths: tuple[int, ...] = (64, 128, 192),
        text_width: int = 192,
        noisy: float = 0.6,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        check_sizes(size=size, lr=lr, noisy=noisy, batch=batch, reuse=reuse, pool=pool, steps=steps)
        self.steps, self.lr, self.seed = steps, lr, seed
        self.real = real_surfaces(objects) if objects else []
        self.scenes = Scenes(
            real=self.real, size=size, shares=shares, view_words=view_words, even_views=even_views,
            view_shares=view_shares,
        )  # fmt: skip
        self.captions = [thing.name for thing in self.real]
        pictures = images_of(self.scenes.batch(2048, seed, CODEC_BATCH))
        self.training = DenoiserTraining(
            pictures, tokenizer_corpus(self.captions), init=init, widths=widths, text_width=text_width,
            noisy=noisy, ema=ema, autocast=half, seed=seed,
        )  # fmt: skip
        self.pool = Pool(self.scenes, batch=batch, reuse=reuse, size=pool, seed=seed)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        pictures, labels = self.pool.draw(step, generator)
        return self.training.loss(pictures, [label.caption for label in labels], generator)

    def preview(self, step: int, run: Run) -> None:
        prior = self.training.prior()
        noise = starting_noise(prior, len(SAMPLES), generator(self.seed, 0, "preview"))
        with torch.no_grad():
            pictures = prior.decode(dpmpp_2m(prior, noise, prior.embed(SAMPLES), steps=25, scale=4.0))
        write_image(
            run.path("images", f"samples_{step:06d}.png"),
            contact_sheet(pictures, columns=4, labels=list(SAMPLES)),
        )

    def finish(self, run: Run) -> dict[str, float]:
        directory = run.path("prior", "model_index.json").parent
        self.training.save(directory)
        (directory / "words.json").write_text(json.dumps(vocabulary(self.captions), indent=0) + "\n")
        return {"prior_megabytes": sum(path.stat().st_size for path in directory.rglob("*.*")) / 1e6}


def images_of(batch: Batch) -> Images:
    """The pictures of a batch as a tensor."""
    return torch.from_numpy(batch.images).movedim(-1, 1)
