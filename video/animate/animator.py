"""What animates a still: the networks of Animate Anyone (arXiv:2311.17117), beside an image prior's autoencoder.

    image encoder   still -> tokens that both U-Nets attend to instead of a text
    reference       still -> tokens of every self-attention        a U-Net without time
    guider          pictures of poses -> added to the denoiser's first features
    denoiser        the U-Net of frames in noise
    motion          motion modules between its layers; None before the second stage of training

The noise is the image prior's, in training and sampling alike, unless the animator says otherwise.
"""

import copy

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

from priors.stable_diffusion import StableDiffusionPrior
from priors.train.view_denoiser import build_image_encoder
from priors.view_condition import has_projection
from suite.errors import UserError
from suite.rng import global_randomness, reseed
from video.animate.pose_guider import PoseGuider, widths_for
from video.motion.modules import Motion
from video.motion_prior import unet_of

Encoder = CLIPVisionModel | CLIPVisionModelWithProjection
BETAS = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
# Other noise than the image prior's: what Moore-AnimateAnyone samples with, and what it was trained with.
SCHEDULERS = {
    "moore": BETAS | ZERO_SNR | {"beta_schedule": "linear"},
    "moore_training": BETAS | ZERO_SNR | {"beta_schedule": "scaled_linear"},
}


class Animator(nn.Module):
    """The networks.

    Args:
        noise: "prior" is the image prior's schedule and prediction, in training and sampling alike; "moore" and
            "moore_training" are those of the published weights: v-prediction with no signal at t = 1, linear betas as
            they are sampled, or scaled linear ones as they were trained (by an oversight of the authors).
        name: Where it came from, for messages.

    Raises:
        UserError: There is no such noise, or the parts do not fit each other.
    """

    def __init__(
        self,
        *,
        denoiser: UNet2DConditionModel,
        reference: UNet2DConditionModel,
        guider: PoseGuider,
        image_encoder: Encoder,
        motion: Motion | None = None,
        noise: str = "prior",
        name: str = "this animator",
    ) -> None:
        super().__init__()
        if noise not in ("prior", *SCHEDULERS):
            raise UserError(f"noise={noise!r} is not one of: prior, {', '.join(SCHEDULERS)}.")
        self.denoiser, self.reference, self.guider = denoiser, reference, guider
        self.image_encoder, self.motion, self.noise, self.name = image_encoder, motion, noise, name
        self._check()

    def with_motion(self, motion: Motion | None) -> "Animator":
        """The same networks with other motion modules."""
        return Animator(
            denoiser=self.denoiser, reference=self.reference, guider=self.guider,
            image_encoder=self.image_encoder, motion=motion, noise=self.noise, name=self.name,
        )  # fmt: skip

    def check_fit(self, prior: StableDiffusionPrior) -> None:
        """Refuse a prior that it was not made for.

        Raises:
            UserError: Says in what they differ.
        """
        for what, ours, theirs in (
            ("latent channels", self.denoiser.config.in_channels, prior.latent_channels),
            ("pixels a latent", self.guider.factor, prior.factor),
        ):
            if ours != theirs:
                raise UserError(
                    f"{self.name} belongs to another prior: it has {ours} {what}, this prior {theirs}."
                )

    def _check(self) -> None:
        ours, theirs = self.denoiser.config, self.reference.config
        encoder = self.image_encoder.config
        width = encoder.projection_dim if has_projection(self.image_encoder) else encoder.hidden_size
        for what, one, other in (
            ("channels of its ReferenceNet", theirs.block_out_channels, ours.block_out_channels),
            ("layers of its ReferenceNet", theirs.layers_per_block, ours.layers_per_block),
            ("input channels of its ReferenceNet", theirs.in_channels, ours.in_channels),
            ("channels of its pose guider", self.guider.conv_out.out_channels, ours.block_out_channels[0]),
            ("channels of its image encoder", width, ours.cross_attention_dim),
        ):
            if one != other:
                raise UserError(
                    f"{self.name} mixes parts of different models: {what} are {one}, not {other}."
                )
        if self.motion is not None:
            self.motion.check_fit(self.denoiser)
            if self.motion.words_width is not None:
                raise UserError(
                    f"{self.motion.name} reads words, and an animator is told none: take motion modules without."
                )


def fresh(
    prior: StableDiffusionPrior,
    *,
    image_encoder: Encoder | None = None,
    layers: int = 3,
    name: str = "the animator in training",
    seed: int = 0,
) -> Animator:
    """An animator to be trained: both U-Nets are the prior's, the guider does nothing yet.

    Args:
        image_encoder: A CLIP picture tower; None is a small one that knows nothing yet.
        layers: Of the small one.
        seed: Of what begins at random.

    Raises:
        UserError: The prior has no U-Net, or one that needs more than tokens (XL).
    """
    unet = unet_of(prior)
    if prior.is_xl:
        raise UserError(
            "Animate Anyone is for U-Nets that read tokens alone: prior=pocket, sd15 or sd21, not sdxl."
        )
    with global_randomness():
        reseed(seed, 0, "animator")
        if image_encoder is None:
            width = unet.config.cross_attention_dim
            image_encoder = build_image_encoder(prior.resolution, width, layers)
        guider = PoseGuider(unet.config.block_out_channels[0], widths_for(prior.factor))
    return Animator(
        denoiser=copied(unet), reference=copied(unet), guider=guider, image_encoder=image_encoder, name=name,
    )  # fmt: skip


def copied(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy of a U-Net in float32."""
    return nn.Module.to(copy.deepcopy(unet), torch.float32)  # diffusers' own .to(dtype) logs a notice
