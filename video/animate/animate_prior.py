"""A prior of clips of a still's person in given poses (Animate Anyone, Hu et al. 2023, arXiv:2311.17117).

    x_t = alpha_t x_0 + sigma_t eps    of a whole clip: b f c y x
    eps_hat = denoiser(x_t, t | tokens of the still, bank of the still, poses of the frames)

    condition      tokens and bank of the still (computed once a clip), poses of the frames
    its negative   zero tokens, no bank, the same poses: what training drops to, and what guidance starts from

Samplers and classifier-free guidance take it as any prior: a clip is one sample.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import Condition
from priors.stable_diffusion import KINDS, StableDiffusionPrior
from priors.view_condition import image_tokens
from suite.diffusion.noise import Kind, NoiseSchedule, Prediction, noise_like, per_sample
from suite.types import Frames, Images, Times
from video.animate.animator import SCHEDULERS, Animator
from video.animate.reference_net import look, seeing
from video.motion.insertion import Insertion, inserted
from video.motion.modules import Motion
from video.motion_prior import CODED_AT_ONCE, ClipLatents

# Names of a condition's tensors; those of frames.* have one row a frame, on the second axis.
BANK, POSES = "bank.", "frames.poses"


class AnimatePrior(nn.Module):
    """A prior of animated stills.

    Args:
        image: The image prior: its autoencoder, and its schedule unless the animator says otherwise.
        animator: The networks.
        checkpointing: Save memory in training: compute layers again in the backward pass.

    Raises:
        UserError: They do not belong together.
    """

    batch_conditions = False  # a clip is a batch of frames already

    def __init__(
        self, image: StableDiffusionPrior, animator: Animator, *, checkpointing: bool = False
    ) -> None:
        super().__init__()
        animator.check_fit(image)
        self.image, self.animator, self.checkpointing = image, animator, checkpointing
        self.schedule: NoiseSchedule = image.schedule
        self.kind: Kind = image.kind
        if animator.noise != "prior":
            scheduler = SCHEDULERS[animator.noise]
            self.schedule = NoiseSchedule.from_scheduler_config(scheduler)
            self.kind = KINDS[scheduler["prediction_type"]]
        self.latent_channels, self.factor = image.latent_channels, image.factor
        self.resolution = image.resolution
        self.guidance_scale = 3.5  # Moore-AnimateAnyone's

    @property
    def device(self) -> torch.device:
        """Where its numbers live."""
        return next(self.animator.parameters()).device

    @property
    def evaluations(self) -> int:
        """Forward passes of a U-Net so far, counted per picture."""
        return self.image.evaluations

    def encode(self, frames: Frames, *, resize: bool = True) -> ClipLatents:
        """Frames to latents; resized to the prior's resolution, or of any size that the factor divides."""
        parts = [self.image.encode(part, resize=resize) for part in frames.flatten(0, 1).split(CODED_AT_ONCE)]
        return torch.cat(parts).unflatten(0, frames.shape[:2])

    def decode(self, latents: ClipLatents) -> Frames:
        """Latents to frames in [0, 1]."""
        parts = [self.image.decode(part) for part in latents.flatten(0, 1).split(CODED_AT_ONCE)]
        return torch.cat(parts).unflatten(0, latents.shape[:2])

    @property
    def motion(self) -> Motion | None:
        """Its motion modules."""
        return self.animator.motion

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
        """Standard normal latents for `count` clips of height x width pixels, by default the prior's own size."""
        height, width = height or self.resolution, width or self.resolution
        shape = (count, frames, self.latent_channels, height // self.factor, width // self.factor)
        return noise_like(torch.empty(shape, device=self.device), generator)

    def embed(
        self,
        stills: Images,
        poses: Float[Tensor, "b f 3 i j"],
        *,
        kept: Bool[Tensor, " b"] | None = None,
        grad: bool = False,
    ) -> Condition:
        """The condition of clips, with its negative.

        Args:
            stills: One a clip.
            poses: Pictures of the frames' poses, of the stills' size: see `video.pose_pictures`.
            kept: False for clips whose still is left out, as in the negative: for training.
            grad: Keep the graph: for training the parts that look at stills and poses.

        Raises:
            ValueError: Sizes differ, or are not multiples of the prior's factor.
        """
        if stills.shape[-2:] != poses.shape[-2:]:
            raise ValueError(
                f"embed needs poses of the stills' size, got {tuple(stills.shape)} and {tuple(poses.shape)}."
            )
        if any(side % self.factor for side in stills.shape[-2:]):
            h, w = stills.shape[-2:]
            raise ValueError(f"Stills must be multiples of {self.factor} pixels, got {h} x {w}.")
        parts, stills = self.animator, stills.to(self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            latents = self.image.encode(stills, resize=False)
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            tokens = image_tokens(parts.image_encoder, _square(stills))
            if kept is not None:
                tokens = tokens * kept.to(tokens)[:, None, None]
            with _recomputing(parts.reference, self.checkpointing):
                bank = look(parts.reference, latents, tokens)
            flat = poses.to(self.device, parts.guider.conv_in.weight.dtype).flatten(0, 1)
            guides = parts.guider(flat).unflatten(0, poses.shape[:2])
        self.image.evaluations += len(stills)
        found = {"tokens": tokens, POSES: guides} | {BANK + name: x for name, x in bank.items()}
        if kept is not None:
            found["shown"] = kept.to(tokens)
        return Condition(found, Condition({"tokens": torch.zeros_like(tokens), POSES: guides}))

    def predict(self, x_t: ClipLatents, t: Times, condition: Condition, *, grad: bool = False) -> Prediction:
        """What the prior says about clips.

        Args:
            t: One a clip.
            condition: One a clip, from `embed`.
            grad: Keep the graph through the networks.

        Raises:
            UserError: More frames than the motion modules have positions for.
            ValueError: Times, conditions or poses do not fit the clips.
        """
        clips, frames = x_t.shape[:2]
        tensors, parts = condition.tensors, self.animator
        if not len(t) == len(condition) == clips or tensors[POSES].shape[1] != frames:
            raise ValueError(
                f"predict needs one time and condition a clip and one pose a frame, got {clips} clips of {frames} "
                f"frames, {len(t)} times, {len(condition)} conditions of {tensors[POSES].shape[1]} poses."
            )
        if parts.motion is not None:
            parts.motion.check_frames(frames)
        bank = {name.removeprefix(BANK): x for name, x in tensors.items() if name.startswith(BANK)}
        also = partial(_conditioned, parts.denoiser, bank, tensors[POSES], tensors.get("shown"))
        insertion = Insertion(parts.motion, (), self.checkpointing)
        dtype = parts.denoiser.dtype
        with (
            torch.set_grad_enabled(grad and torch.is_grad_enabled()),
            inserted(parts.denoiser, insertion, frames, also),
        ):
            raw = parts.denoiser(
                x_t.flatten(0, 1).to(dtype),
                self.schedule.model_time(t).repeat_interleave(frames),
                encoder_hidden_states=tensors["tokens"].repeat_interleave(frames, 0).to(dtype),
            ).sample.float()
        self.image.evaluations += clips * frames
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=raw.view(x_t.shape), kind=self.kind)


def _square(stills: Images) -> Images:
    """Stills squeezed to a square of their width, as picture towers take them."""
    if stills.shape[-2] == stills.shape[-1]:
        return stills
    side = stills.shape[-1]
    return F.interpolate(stills, (side, side), mode="bilinear", align_corners=False, antialias=True)


@contextmanager
def _conditioned(
    unet: nn.Module, bank: dict[str, Tensor], guides: Tensor, shown: Tensor | None
) -> Iterator[None]:
    """Within it the denoiser sees stills and poses."""
    added = guides.flatten(0, 1)
    handle = unet.conv_in.register_forward_hook(_Added(added))
    try:
        with seeing(unet, bank, guides.shape[1], shown):
            yield
    finally:
        handle.remove()


class _Added:
    """After a layer: something is added."""

    def __init__(self, what: Tensor) -> None:
        self.what = what

    def __call__(self, _: nn.Module, __: tuple, y: Tensor) -> Tensor:
        return y + self.what.to(y.dtype)


@contextmanager
def _recomputing(unet: nn.Module, checkpointing: bool) -> Iterator[None]:
    """Within it the network's layers are computed again in the backward pass."""
    with ExitStack() as stack:
        if checkpointing and torch.is_grad_enabled():
            unet.enable_gradient_checkpointing()
            stack.callback(unet.disable_gradient_checkpointing)
        yield
