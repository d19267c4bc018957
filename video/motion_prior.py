"""An image prior that diffuses clips: its own frozen layers on every frame, motion modules between them.

    x_t = alpha_t x_0 + sigma_t eps        of a whole clip: b f c y x, one t and a noise of its own for each frame

Samplers and classifier-free guidance take it as any prior: a clip is one sample. With fresh motion modules, or one
frame and none, it answers what the image prior answers to each frame.
"""

from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from priors.base import Condition, Prior
from priors.prompts import ViewPrompts
from suite.diffusion.noise import Kind, NoiseSchedule, Prediction, noise_like, per_sample
from suite.errors import UserError
from suite.types import Frames, Times
from video.motion.insertion import Insertion, inserted
from video.motion.lora import LoRA
from video.motion.modules import SCHEDULES, Motion

ClipLatents = Float[Tensor, "b f c y x"]
STILL = "frames.still"  # the name of a condition's tensor: affinity and latents of a still, one row a frame
CODED_AT_ONCE = 16  # frames that the autoencoder takes together


class MotionPrior(nn.Module):
    """A prior of clips.

    Args:
        image: The image prior; stays usable as such.
        motion: Motion modules for its U-Net; None treats frames as pictures.
        loras: LoRAs with their strengths: domain adapters on the image layers, MotionLoRAs on the motion modules.
        checkpointing: Save memory in training: compute layers again in the backward pass.

    Raises:
        UserError: The prior has no U-Net, or modules or LoRAs belong to another one.
    """

    batch_conditions = False  # a clip is a batch of frames already

    def __init__(
        self,
        image: Prior,
        motion: Motion | None,
        *,
        loras: Sequence[tuple[LoRA, float | int]] = (),
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        unet = unet_of(image)
        if motion is not None:
            motion.check_fit(unet)
        for lora, _ in loras:
            lora.check_fit((motion and motion.adapter) if lora.of_motion else unet)
        self.image, self.motion = image, motion
        self.loras = nn.ModuleList([lora for lora, _ in loras])
        self.strengths = [float(strength) for _, strength in loras]
        self.checkpointing = checkpointing
        self.schedule = schedule_of(image, motion)
        self.kind: Kind = image.kind
        self.latent_channels, self.factor = image.latent_channels, image.factor
        self.resolution, self.guidance_scale = image.resolution, image.guidance_scale

    @property
    def device(self) -> torch.device:
        """Where its numbers live."""
        return self.image.device

    @property
    def evaluations(self) -> int:
        """Forward passes of the network so far, counted per frame."""
        return self.image.evaluations

    # ------------------------------------------------------------------------------------ frames, latents, texts

    def encode(self, frames: Frames) -> ClipLatents:
        """Frames to latents."""
        parts = [self.image.encode(part) for part in frames.flatten(0, 1).split(CODED_AT_ONCE)]
        return torch.cat(parts).unflatten(0, frames.shape[:2])

    def decode(self, latents: ClipLatents) -> Frames:
        """Latents to frames in [0, 1]."""
        parts = [self.image.decode(part) for part in latents.flatten(0, 1).split(CODED_AT_ONCE)]
        return torch.cat(parts).unflatten(0, latents.shape[:2])

    def embed(self, prompts: Sequence[str] | ViewPrompts) -> Condition:
        """The condition of each prompt: one a clip, or, for a prompt that travels, one a frame, clip by clip."""
        return self.image.embed(prompts)

    @property
    def shared_noise(self) -> float:
        """The part of the noise's variance that all frames of a clip have in common."""
        return 0.0 if self.motion is None else self.motion.shared_noise

    @property
    def sampled_noise(self) -> float:
        """The same of the noise that sampling begins with."""
        return 0.0 if self.motion is None else self.motion.sampled_noise

    def starting_noise(
        self, count: int, frames: int, generator: torch.Generator, *, height: int | None = None,
        width: int | None = None,
    ) -> ClipLatents:  # fmt: skip
        """Standard normal latents for `count` clips of height x width pixels, by default the prior's own size.

        Raises:
            ValueError: A size that is not a multiple of the prior's factor.
        """
        height, width = height or self.resolution, width or self.resolution
        if height % self.factor or width % self.factor:
            raise ValueError(f"Frames must be multiples of {self.factor} pixels, got {height} x {width}.")
        shape = (count, frames, self.latent_channels, height // self.factor, width // self.factor)
        return noise_like(torch.empty(shape, device=self.device), generator)

    # ----------------------------------------------------------------------------------------------- prediction

    def predict(
        self, x_t: ClipLatents, t: Times, condition: Condition, *, grad: bool = False,
        numbers: Sequence[int] | None = None,
    ) -> Prediction:  # fmt: skip
        """What the prior says about clips.

        Args:
            t: One a clip.
            condition: One a clip, or one a frame, clip by clip.
            grad: Keep the graph through the network: for training parts of it.
            numbers: Of the frames, in a clip of which these are some; None: the first ones.

        Raises:
            UserError: More frames than the motion modules have positions for.
            ValueError: Times or conditions are not one a clip (or frame).
        """
        clips, frames = x_t.shape[:2]
        if len(t) != clips or len(condition) not in (clips, clips * frames):
            raise ValueError(
                f"predict needs one time a clip and one condition a clip or frame, got {clips} clips of {frames} "
                f"frames, {len(t)} times, {len(condition)} conditions."
            )
        if self.motion is not None:
            self.motion.check_frames(1 + max(numbers) if numbers else frames)
        per_frame = len(condition) == clips * frames
        tensors = dict(condition.tensors)
        still = tensors.pop(STILL, None)
        if still is not None and not per_frame:
            still = still.flatten(0, 1)
        of_frames = Condition(
            {name: x if per_frame else x.repeat_interleave(frames, 0) for name, x in tensors.items()}
        )
        loras = tuple(zip(self.loras, self.strengths))
        words, bag = (of_frames.tensors.get(name) for name in ("tokens", "bag"))
        insertion = Insertion(self.motion, loras, self.checkpointing, still, words, bag, numbers)
        with (
            torch.set_grad_enabled(grad and torch.is_grad_enabled()),
            inserted(self.image.unet, insertion, frames),
        ):
            raw = self.image.network(x_t.flatten(0, 1), t.repeat_interleave(frames), of_frames)
        self.image.evaluations += clips * frames
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=raw.view(x_t.shape), kind=self.kind)


def with_still(
    condition: Condition, still: Float[Tensor, "b c y x"], affinity: Float[Tensor, "b f"]
) -> Condition:
    """The condition of clips of which a still is known, for motion modules that see one; its negative knows it too.

    Args:
        condition: One a clip, or one a frame, clip by clip.
        still: Its latents, one a clip.
        affinity: How alike each frame and the still are: 1 for the frame that it is.
    """
    b, f = affinity.shape
    shown = torch.cat([torch.ones_like(still[:, :1]), still], 1)[:, None].expand(-1, f, -1, -1, -1).clone()
    shown[:, :, 0] *= affinity.to(still)[..., None, None]
    added = {STILL: shown if len(condition) == b else shown.flatten(0, 1)}
    negative = condition.negative
    if negative is not None:
        negative = Condition(negative.tensors | added)
    return Condition(condition.tensors | added, negative)


def first_frame_alone(frames: int) -> Float[Tensor, "1 f"]:
    """The affinity of a clip whose first frame the still is."""
    return (torch.arange(frames) == 0).float()[None]


def schedule_of(image: Prior, motion: Motion | None) -> NoiseSchedule:
    """The noise that motion modules were trained with: mostly the image prior's."""
    if motion is None or motion.noise == "prior":
        return image.schedule
    return NoiseSchedule.from_scheduler_config(SCHEDULES[motion.noise])


def unet_of(image: Prior) -> UNet2DConditionModel:
    """The U-Net of an image prior.

    Raises:
        UserError: It has none.
    """
    unet = getattr(image, "unet", None)
    if not isinstance(unet, UNet2DConditionModel):
        raise UserError(
            f"{type(image).__name__} has no U-Net to put motion modules into: choose prior=pocket, sd15, sd21 or sdxl."
        )
    return unet
