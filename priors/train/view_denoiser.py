"""Training of a small Zero-1-to-3: one picture of an object and a camera in, the view from there out.

    v_theta([x_t, E(image)], t, W [CLIP(image), pose] + b)        with the loss of priors/train/v_loss.py

Beside x_t lies the picture, or, given a volume that `suite train_view_volume` made, the picture's volume as the wanted
camera sees it; the volume stays as it is then. Denoiser, picture encoder and projection learn together, from nothing or
from a text prior's denoiser. The codec is that of the pocket prior. Without a picture, both
inputs are zeros, which is what guidance starts from.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from priors.checkpoints import locate, quiet
from priors.codec import fit_codec
from priors.loading.folders import projection_of, read_json
from priors.loading.zero123 import POSES, VOLUME, Zero123Components, load_view_volume
from priors.stable_diffusion import load as load_text_prior
from priors.train.denoiser import SCHEDULER, build_denoiser, save_half
from priors.train.v_loss import follow, noised, weighted_v_loss
from priors.view_condition import image_tokens, join, relative_pose
from priors.zero123 import Zero123Prior, load_parts
from suite.diffusion.noise import NoiseSchedule
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import render_volumes
from suite.rng import global_randomness, reseed
from suite.types import Images, Latents

PATCH = 8  # side of the picture encoder's patches in pixels


class ViewTraining(nn.Module):
    """What learns and the step it takes.

    Args:
        pictures: RGB in [0, 1], from which the codec is fitted.
        init: A trained Zero123 to go on from, or a text prior, as "pocket", whose denoiser and codec to begin with;
            then the widths do not matter.
        volume: A folder that `suite train_view_volume` made; empty lays the picture itself beside x_t, or goes on
            with the volume of init.
        size: Height and width of the pictures in pixels.
        pose: What the network is told of the cameras: see `priors.view_condition`.
        widths: Channels of the denoiser's levels.
        width: Of the picture's tokens.
        layers: Of the picture encoder.
        new_encoder: Whether a new picture encoder of so many layers takes the place of that of init.
        drop: How often the picture is left out, for classifier-free guidance.
        noisy: t = u^noisy for uniform u; below 1, more of the training is at strong noise.
        ema: Decay of the moving average.
        autocast: Whether matrix products run in bfloat16.
        seed: Of the first weights.
    """

    evolving = True  # the moving average and the codec need no gradient, but belong to the state

    def __init__(
        self,
        pictures: Images,
        *,
        init: str = "",
        volume: str = "",
        size: int = 64,
        pose: str = "radius_polar",
        widths: Sequence[int] = (64, 128, 192),
        width: int = 192,
        layers: int = 1,
        new_encoder: bool = False,
        drop: float = 0.1,
        noisy: float = 1.0,
        ema: float = 0.999,
        autocast: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.drop, self.noisy, self.decay, self.autocast = drop, noisy, ema, autocast
        self.schedule = NoiseSchedule.from_scheduler_config(SCHEDULER)
        view_volume = load_view_volume(volume) if volume else None
        with global_randomness():
            reseed(seed, 0, "view denoiser")
            if init and _is_zero123(init):
                parts = load_parts(init, pose=pose)
                unet, self.codec = parts.unet, parts.vae
                encoder, projection = parts.image_encoder, parts.projection
                if new_encoder:
                    encoder = build_image_encoder(size, encoder.config.hidden_size, layers)
                view_volume = view_volume or parts.volume
            elif init:
                text_prior = load_text_prior(init)
                unet, self.codec = text_prior.unet, text_prior.vae
                unet, width = widened(unet, 2 * unet.config.in_channels), unet.config.cross_attention_dim
                encoder, projection = build_image_encoder(size, width, layers), None
            else:
                self.codec = fit_codec(pictures)
                channels = self.codec.config.latent_channels
                unet = build_denoiser(size // self.codec.config.patch, channels, width, widths)
                unet, encoder = widened(unet, 2 * channels), build_image_encoder(size, width, layers)
                projection = None
            projection = projection or nn.Linear(encoder.config.hidden_size + POSES[pose], width)
        for source, known in (
            (init, encoder.config.image_size),
            (volume or init, view_volume.config.size if view_volume else size),
        ):
            if known != size:
                raise UserError(f"{source} knows pictures of {known} pixels, not size={size}.")
        # at these sizes the fused kernel's backward is a third of a step on a CPU
        unet.set_attn_processor(AttnProcessor())
        encoder.set_attn_implementation("eager")
        parts = {"unet": unet, "image_encoder": encoder, "projection": projection}
        self.pose, self.learning = pose, nn.ModuleDict(parts).float().train().requires_grad_(True)
        self.volume = view_volume
        if view_volume:
            view_volume.requires_grad_(False).eval()
        self.average = copy.deepcopy(self.learning).requires_grad_(False).eval()

    def loss(
        self,
        images: Images,
        targets: Images,
        reference: Cameras,
        wanted: Cameras,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """The weighted v-loss of target views, given pictures and the cameras of both."""
        device = self.device
        images, targets, reference, wanted = (x.to(device) for x in (images, targets, reference, wanted))
        noise = noised(
            self._latents(targets) * self.codec.config.scaling_factor,
            self.schedule,
            generator,
            noisy=self.noisy,
        )
        keep = (torch.rand(len(images), generator=generator) >= self.drop).float().to(device)[:, None, None]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.autocast):
            looked = image_tokens(self.learning["image_encoder"], images)
            beside = self._beside(images, reference, wanted) * keep[..., None]
            pose = relative_pose(self.pose, reference, wanted)
            tokens = join(self.learning["projection"], looked, pose) * keep
            both = torch.cat([noise.x_t, beside], dim=1)
            v = self.learning["unet"](both, self.schedule.model_time(noise.t), tokens).sample
        return weighted_v_loss(v, noise)

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return next(self.learning.parameters()).device

    @torch.no_grad()
    def _beside(self, images: Images, reference: Cameras, wanted: Cameras) -> Latents:
        """What the denoiser sees beside x_t: the picture, or its volume from the wanted camera."""
        if self.volume:
            volumes = self.volume.of(images, reference)
            images = render_volumes(volumes, reference, wanted).clamp(0, 1)
        return self._latents(images)

    @torch.no_grad()
    def _latents(self, images: Images) -> Latents:
        return self.codec.encode(images * 2 - 1).latent_dist.mode()

    def update_average(self, step: int) -> None:
        """Move the average towards what was learnt; quickly at first."""
        follow(self.average, self.learning, step, decay=self.decay)

    def prior(self) -> Zero123Prior:
        """The averaged prior as it is now, a copy."""
        parts, codec = copy.deepcopy(self.average), copy.deepcopy(self.codec)
        networks = (parts["unet"], codec, parts["image_encoder"], parts["projection"])
        volume = copy.deepcopy(self.volume)
        return Zero123Prior(
            Zero123Components("the prior in training", *networks, SCHEDULER, self.pose, volume)
        )

    def save(self, directory: Path) -> None:
        """Write the averaged prior in half precision in diffusers' directory layout."""
        parts = {
            "unet": self.average["unet"],
            "image_encoder": self.average["image_encoder"],
            "vae": self.codec,
        } | ({VOLUME: self.volume} if self.volume else {})
        with quiet():
            for name, part in parts.items():
                save_half(part, directory / name)
        projection = self.average["projection"]
        linear = {f"projection.{n}": x.half().contiguous() for n, x in projection.state_dict().items()}
        sizes = {"in_channel": projection.in_features, "out_channel": projection.out_features}
        for folder in ("cc_projection", "scheduler"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        save_file(linear, directory / "cc_projection" / "diffusion_pytorch_model.safetensors")
        _write(directory / "cc_projection" / "config.json", {"_class_name": "CCProjection"} | sizes)
        _write(directory / "scheduler" / "scheduler_config.json", SCHEDULER)
        index = {
            "_class_name": "Zero1to3StableDiffusionPipeline",
            "pose": self.pose,
            "cc_projection": ["pipeline_zero1to3", "CCProjection"],
            "image_encoder": ["transformers", type(self.average["image_encoder"]).__name__],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": [type(self.codec).__module__, type(self.codec).__name__],
        }
        _write(directory / "model_index.json", index)


def build_image_encoder(size: int, width: int, layers: int) -> CLIPVisionModel:
    """A small CLIP picture transformer, freshly initialised: a token for the whole and one for each patch."""
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, projection_dim=width,
            num_attention_heads=max(1, width // 32), image_size=size, patch_size=PATCH,
        )
    )  # fmt: skip


def widened(unet: UNet2DConditionModel, in_channels: int) -> UNet2DConditionModel:
    """The same U-Net with further input channels, which it does not heed yet: their weights are 0."""
    old = unet.conv_in
    unet.conv_in = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        unet.conv_in.weight.zero_()
        unet.conv_in.weight[:, : old.in_channels] = old.weight
        unet.conv_in.bias.copy_(old.bias)
    unet.register_to_config(in_channels=in_channels)
    return unet


def _is_zero123(init: str) -> bool:
    folder = locate(init)
    return folder.is_dir() and projection_of(read_json(folder / "model_index.json")) is not None


def _write(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")
