"""`suite train_motion_lora`: one kind of motion for a motion module, from few clips (AnimateDiff, Sec. 4.3).

clips -> camera move by crops -> noise -> image prior with motion modules and the LoRA on these -> loss
"""

from jaxtyping import Float
from torch import Tensor, nn

from priors.base import Prior
from suite.errors import UserError
from suite.run import Run
from suite.types import Frames
from video.motion.cameras import check_move, moved
from video.motion.files import load_lora, save_lora
from video.motion.lora import fresh_lora
from video.motion.modules import Motion
from video.motion.sources import ClipData
from video.motion.training import Recipe, TrainOnClips
from video.motion_prior import MotionPrior, unet_of

ENLARGED = 1.5  # pictures before a camera's crop, so that little is lost by it


class TrainMotionLora(TrainOnClips):
    """Trains a MotionLoRA; the run directory's `motion_lora.safetensors` is meant for strength 1.

    Args:
        prior: The image prior, which stays as it is.
        motion: The motion modules, which stay as they are.
        clips: What is learnt from: 20 to 50 videos of one motion, or toyworld's of some `motions`.
        recipe: How to step.
        init: A MotionLoRA to go on from; empty starts from one that does nothing.
        domain_adapter: A domain adapter that stands on the image layers while training, at strength 1.
        rank: Of the LoRA; AnimateDiff's have 64.
        alpha: What its change is multiplied by; not divided by the rank. The saved file has it multiplied in.
        camera: A move of the camera that is made of the clips by crops: pan_left, pan_right, tilt_up, tilt_down,
            zoom_in, zoom_out, roll_clockwise or roll_anticlockwise; empty for none.
        camera_amount: How much: the part of the picture that the moving window leaves out, above 0 and at most 0.5.
        half: Write it in half precision.
        steps: Number of steps.
        seed: Of weights, clips and noise.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        motion: Motion,
        clips: ClipData,
        recipe: Recipe,
        init: str = "",
        domain_adapter: str = "",
        rank: int = 16,
        alpha: float = 1.0,
        camera: str = "",
        camera_amount: float = 0.33,
        half: bool = False,
        steps: int = 2000,
        seed: int = 0,
    ) -> None:
        check_move(camera, camera_amount)
        if alpha <= 0:
            raise UserError(f"alpha must be positive, got {alpha}.")
        motion.check_fit(unet_of(prior))
        motion.check_frames(clips.frames)
        self.half = half
        self.motion, self.alpha = motion.requires_grad_(False), alpha
        self.camera, self.camera_amount = camera, camera_amount
        self.adapters = [load_lora(domain_adapter)] if domain_adapter else []
        lora = load_lora(init) if init else fresh_lora(motion.adapter, rank=rank, seed=seed)
        super().__init__(
            prior=prior, learning=lora, clips=clips, recipe=recipe, steps=steps, seed=seed,
            enlarged=ENLARGED if camera else 1.0,
        )  # fmt: skip
        if self.is_small:
            motion.use_plain_attention()
        self.video(lora)  # refuses one of another model

    def seen(self, clips: Frames) -> Float[Tensor, "b f 3 s s"]:
        """The clips as the moving camera sees them."""
        if not self.camera:
            return clips
        return moved(clips, self.camera, self.prior.resolution, amount=self.camera_amount)

    def video(self, learnt: nn.Module) -> MotionPrior:
        return self._video([(learnt, self.alpha)])

    def baseline(self) -> MotionPrior:
        return self._video([])

    def _video(self, loras: list[tuple[nn.Module, float]]) -> MotionPrior:
        return MotionPrior(
            self.prior, self.motion, loras=[*((a, 1.0) for a in self.adapters), *loras],
            checkpointing=self.recipe.checkpointing,
        )  # fmt: skip

    def finish(self, run: Run) -> dict[str, float]:
        """motion_lora.safetensors in the original's names, motion_lora_diffusers.safetensors in peft's."""
        average, path = self.training.average, run.path("motion_lora.safetensors")
        for peft, name in ((False, path.name), (True, "motion_lora_diffusers.safetensors")):
            save_lora(average, run.path(name), strength=self.alpha, peft=peft, half=self.half)
        return self.measured() | {"lora_megabytes": path.stat().st_size / 1e6}
