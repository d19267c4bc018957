"""`suite train_animate`: pose-guided animation of a still (Animate Anyone, arXiv:2311.17117, Sec. 3.4), stage by stage.

stage 1   still, one pose -> one frame          image encoder, ReferenceNet, pose guider and denoiser learn
stage 2   still, poses    -> a clip             motion modules alone learn
"""

from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from priors.stable_diffusion import StableDiffusionPrior
from priors.train.base import CODEC_BATCH, TrainDenoiser
from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.run import Run
from suite.toyworld.pool import Pool
from video.animate.animate_prior import AnimatePrior
from video.animate.animator import Animator, fresh
from video.animate.files import load, load_encoder, needs_prior, save
from video.animate.sources import AnimationData
from video.animate.training import Samples, animated, measured, prepared, samples_of, step_loss, strips
from video.motion.building import fresh as fresh_motion
from video.motion.files import load as load_motion
from video.motion.modules import Motion
from video.motion.training import SHOWN, SMALL, Learner, Recipe
from video.motion_prior import unet_of

# learn -> the U-Nets of which attention alone learns
LEARN = {"all": (), "denoiser": ("reference",), "attention": ("denoiser", "reference")}


class TrainAnimate(TrainDenoiser):
    """Trains an animator; the run directory's `animator/` is one for `suite animate_character` and for stage 2.

    Args:
        prior: The image prior: both U-Nets begin as its own; it stays as it is.
        animations: What is learnt from.
        recipe: How to step; `drop` is how often the still is left out.
        stage: 1 learns from single frames all but motion modules, 2 motion modules alone, from clips.
        init: A folder of an animator to go on from; stage 2 needs one.
        image_encoder: A folder with a CLIP picture tower to begin with; empty is the animator's, or a small new one.
        modules: Motion modules to begin with in stage 2, a file or folder as AnimateDiff's; empty takes those of the
            animator, or new ones.
        shared_noise: The part of the noise's variance that all frames of a clip have in common in stage 2 and after
            (PYoCo's mixed noise); null is that of the motion modules, or none.
        learn: What of both U-Nets learns in stage 1: "all"; "denoiser", of the ReferenceNet its attention alone, for
            smaller files, which need the image prior's own; or "attention" alone of both, for less memory.
        half: Write the animator in half precision.
        positions: The most frames of a clip, ever, of new motion modules.
        steps: Number of steps.
        seed: Of weights, samples and noise.
    """

    def __init__(
        self,
        *,
        prior: StableDiffusionPrior,
        animations: AnimationData,
        recipe: Recipe,
        stage: int = 1,
        init: str = "",
        image_encoder: str = "",
        modules: str = "",
        shared_noise: float | None = None,
        learn: str = "all",
        half: bool = False,
        positions: int = 32,
        steps: int = 20_000,
        seed: int = 0,
    ) -> None:
        _check(stage=stage, init=init, modules=modules, learn=learn, steps=steps)
        if stage == 1 and shared_noise is not None:
            raise UserError("In stage 1 each frame is by itself: shared_noise= is for stage 2.")
        self.prior, self.recipe, self.lr = prior, recipe, recipe.lr
        self.stage, self.learn, self.steps, self.seed = stage, learn, steps, seed
        self.rest, self.half = learn != "all" or (bool(init) and needs_prior(init)), half
        if init:
            start = load(init, prior, image_encoder=image_encoder)
        else:
            encoder = load_encoder(Path(image_encoder).expanduser()) if image_encoder else None
            start = fresh(prior, image_encoder=encoder, seed=seed)
        if stage == 1:
            learning: Animator | Motion = start.with_motion(None)
        else:
            begin = load_motion(modules) if modules else start.motion
            learning = begin or fresh_motion(start.denoiser, positions=positions, mid=True, seed=seed)
            if shared_noise is not None:
                learning = learning.sharing(shared_noise)
            learning.check_fit(start.denoiser)
            learning.check_frames(animations.frames)
            self.animator = start.with_motion(None).requires_grad_(False)
        if unet_of(prior).config.sample_size <= SMALL:
            _write_attention_out(start)
            if isinstance(learning, Motion):
                learning.use_plain_attention()
        self.training = Learner(learning, recipe.ema)
        frozen = LEARN[learn] if stage == 1 else ()
        for unet in (getattr(learning, part) for part in frozen):
            for name, parameter in unet.named_parameters():
                parameter.requires_grad_(".attn" in name)
        size, frames = prior.resolution, animations.moments if stage == 1 else animations.frames
        self.missing, self.source = animations.missing, animations.source(size, frames)
        self.unseen = animations.source(size, frames, "held_out")
        self.pool = Pool(self.source, batch=recipe.batch, reuse=recipe.reuse, size=recipe.pool, seed=seed)

    def animate(self, learnt: nn.Module) -> AnimatePrior:
        """The prior of animated stills with `learnt` in it."""
        animator = learnt if self.stage == 1 else self.animator.with_motion(learnt)
        return AnimatePrior(self.prior, animator, checkpointing=self.recipe.checkpointing)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """As the recipe says."""
        return self.recipe.optimizer_of(self.training.learning)

    def loss(self, step: int, generator: torch.Generator) -> torch.Tensor:
        clips, labels = self.pool.draw(step, generator)
        samples = samples_of(clips, [label.poses for label in labels], generator, self.missing)
        prior = self.animate(self.training.learning)
        return step_loss(prior, prepared(prior, samples, self.recipe, generator), self.recipe)

    def shown(self, count: int) -> Samples:
        """Samples that are not trained on: held-out pairs of person and motion, or other draws from a folder."""
        batch = self.unseen.batch(count, self.seed, CODEC_BATCH)
        clips = torch.from_numpy(batch.frames).movedim(-1, 2).contiguous().float()
        return samples_of(clips, [label.poses for label in batch.labels])

    def preview(self, step: int, run: Run) -> None:
        """The average's answers beside still, pose and truth."""
        samples = self.shown(SHOWN)
        pictures, labels = strips(samples, animated(self.animate(self.training.average), samples, self.seed))
        path = run.path("images", f"samples_{step:06d}.png")
        write_image(path, contact_sheet(pictures, columns=4, labels=labels))

    def finish(self, run: Run) -> dict[str, float]:
        """animator/, and measures on what was not trained on."""
        prior = self.animate(self.training.average)
        base = unet_of(self.prior) if self.rest else None
        save(prior.animator, run.path("animator", "animator.json").parent, base=base, half=self.half)
        return measured(prior, self.shown(max(SHOWN, self.recipe.batch)), self.recipe, self.seed)


def _write_attention_out(animator: Animator) -> None:
    """At these sizes the fused kernel's backward is slow on a CPU."""
    for unet in (animator.denoiser, animator.reference):
        unet.set_attn_processor(AttnProcessor())
    animator.image_encoder.set_attn_implementation("eager")


def _check(*, stage: int, init: str, modules: str, learn: str, steps: int) -> None:
    if stage not in (1, 2):
        raise UserError(f"stage is 1 (single frames) or 2 (motion), got {stage}.")
    if stage == 2 and not init:
        raise UserError("Stage 2 needs what stage 1 made: type init=RUN/animator.")
    if stage == 1 and modules:
        raise UserError("Motion modules learn in stage 2: type stage=2, or leave out modules=.")
    if learn not in LEARN:
        raise UserError(f"learn={learn!r} is not one of: {', '.join(LEARN)}.")
    if stage == 2 and learn != "all":
        raise UserError("learn= is for stage 1; in stage 2 motion modules learn, all of them.")
    if steps < 1:
        raise UserError(f"steps must be positive, got {steps}.")
