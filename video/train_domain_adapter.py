"""`suite train_domain_adapter`: a LoRA for what frames of a set of videos look like (AnimateDiff, Sec. 4.1).

single frames with captions -> noise -> image prior with the LoRA on its attentions -> loss

Motion modules trained with it need not learn the videos' own look (compression, watermarks); it is left out, or weighed
down, when clips are made.
"""

from torch import nn

from priors.base import Prior
from suite.errors import UserError
from suite.run import Run
from video.motion.files import load_lora, save_lora
from video.motion.lora import fresh_lora
from video.motion.sources import ClipData
from video.motion.training import Recipe, TrainOnClips
from video.motion_prior import MotionPrior, unet_of


class TrainDomainAdapter(TrainOnClips):
    """Trains a domain adapter; the run directory's `domain_adapter.safetensors` is meant for strength 1.

    Args:
        prior: The image prior, which stays as it is.
        clips: What is learnt from: `frames` is 1.
        recipe: How to step.
        init: A domain adapter to go on from; empty starts from one that does nothing.
        rank: Of the LoRA; AnimateDiff's has 128.
        alpha: What its change is multiplied by; not divided by the rank. The saved file has it multiplied in.
        steps: Number of steps.
        seed: Of weights, clips and noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        clips: ClipData,
        recipe: Recipe,
        init: str = "",
        rank: int = 16,
        alpha: float = 1.0,
        steps: int = 2000,
        seed: int = 0,
    ) -> None:
        if clips.frames != 1:
            raise UserError(
                f"A domain adapter learns from single frames: type clips.frames=1, not {clips.frames}."
            )
        if alpha <= 0:
            raise UserError(f"alpha must be positive, got {alpha}.")
        lora = load_lora(init) if init else fresh_lora(unet_of(prior), rank=rank, seed=seed)
        self.alpha = alpha
        super().__init__(prior=prior, learning=lora, clips=clips, recipe=recipe, steps=steps, seed=seed)
        self.video(lora)  # refuses one of another model

    def video(self, learnt: nn.Module) -> MotionPrior:
        return MotionPrior(
            self.prior, None, loras=[(learnt, self.alpha)], checkpointing=self.recipe.checkpointing
        )

    def baseline(self) -> MotionPrior:
        return MotionPrior(self.prior, None)

    def finish(self, run: Run) -> dict[str, float]:
        """domain_adapter.safetensors in the original's names, domain_adapter_diffusers.safetensors in peft's."""
        average, path = self.training.average, run.path("domain_adapter.safetensors")
        save_lora(average, path, strength=self.alpha)
        save_lora(average, run.path("domain_adapter_diffusers.safetensors"), strength=self.alpha, peft=True)
        return self.measured() | {"lora_megabytes": path.stat().st_size / 1e6}
