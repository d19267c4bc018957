"""`suite train_prior`: a text-to-image prior of toyworld and of real objects, from nothing or from another prior.

pictures with captions (rendered on the fly) -> codec, tokenizer, text encoder, denoiser -> diffusers directory
"""

import json

import torch
from torch import Tensor

from priors.train.denoiser import DenoiserTraining
from suite.diffusion.samplers import dpmpp_2m, starting_noise
from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.optimizers import MuonWithAdamW, matrices_and_others
from suite.rng import generator
from suite.run import Run
from suite.schedules import Piecewise
from suite.task import Optimization
from suite.toyworld.dataset import Batch, Scenes, real_surfaces
from suite.toyworld.pool import Pool
from suite.toyworld.vocabulary import tokenizer_corpus, vocabulary
from suite.types import Images

CODEC_BATCH = 1 << 30  # the number of the batch that the codec is fitted on, which no training step reaches
SAMPLES = (
    "a red mushroom", "a blue car, front view", "a blue car, side view", "a blue car, back view",
    "a striped green teapot, side view", "a checkered yellow house", "a dotted purple duck, front view",
    "a person in a red shirt and blue trousers, waving",
)  # fmt: skip


class TrainPrior(Optimization):
    """Trains a prior; the run directory's `prior/` can be given as `prior.path` to any other task.

    Args:
        objects: A folder of captioned meshes to learn too, as `suite prepare_objects` makes; empty for none.
        init: A prior's directory to go on from, or "pocket" for the shipped one; empty starts from nothing.
        size: Height and width of the pictures in pixels.
        batch: Pictures in a step.
        reuse: Steps for which a new batch is rendered once.
        pool: Rendered batches that are kept to draw from.
        steps: Number of steps.
        lr: Learning rate after the first 500 steps and before the last fifth, in which it falls to nothing.
        widths: Channels of the denoiser's levels, coarsest last.
        text_width: Width of the text encoder.
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
        batch: int = 64,
        reuse: int = 2,
        pool: int = 64,
        steps: int = 40_000,
        lr: float = 8e-4,
        widths: tuple[int, ...] = (64, 128, 192),
        text_width: int = 192,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        if min(batch, reuse, pool) < 1:
            raise UserError(f"batch, reuse and pool must be positive, got {batch}, {reuse} and {pool}.")
        if size % 16:
            raise UserError(f"size must be a multiple of 16, got {size}. Use 64 or 128.")
        if steps < 1:
            raise UserError(f"steps must be positive, got {steps}.")
        self.steps, self.lr, self.seed = steps, lr, seed
        self.real = real_surfaces(objects) if objects else []
        self.scenes = Scenes(real=self.real, size=size)
        self.captions = [thing.name for thing in self.real]
        pictures = images_of(self.scenes.batch(2048, seed, CODEC_BATCH))
        self.training = DenoiserTraining(
            pictures, tokenizer_corpus(self.captions), init=init, widths=widths, text_width=text_width, ema=ema,
            autocast=half, seed=seed,
        )  # fmt: skip
        self.pool = Pool(self.scenes, batch=batch, reuse=reuse, size=pool, seed=seed)

    def parameter_groups(self) -> list[dict]:
        warm, fall = min(500 / self.steps, 0.1), 0.8
        rate = Piecewise(points=[[0.0, 0.0], [warm, self.lr], [fall, self.lr], [1.0, 0.0]])
        return [{"params": part, "lr": rate} for part in matrices_and_others(self.training.learning)]

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Muon for matrices, which learns in fewer steps than the AdamW of Stable Diffusion, and that for the rest."""
        return MuonWithAdamW(*matrices_and_others(self.training.learning), lr=0.0)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        pictures, labels = self.pool.draw(step, generator)
        return self.training.loss(pictures, [label.caption for label in labels], generator)

    def after_step(self, step: int) -> None:
        self.training.update_average(step)

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
