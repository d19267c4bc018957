"""Stable Diffusion 1.x, 2.x, XL and what has their parts: a U-Net on latents that attends to CLIP's text.

    z = s E(2 x - 1),    x = (D(z / s) + 1) / 2        E, D: the autoencoder; s: its scaling factor

Rombach et al. 2022, arXiv:2112.10752; Podell et al. 2023 (XL), arXiv:2307.01952. The networks are diffusers'
and transformers' own; no pipeline and no scheduler of diffusers is in the way. They may be in half precision;
images, latents, alpha, sigma and predictions are float32.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import Condition, Prior
from priors.checkpoints import load_components, load_tiny_encoder
from priors.clip_text import ClipText
from priors.loading.components import Components
from suite.diffusion.noise import NoiseSchedule
from suite.errors import UserError
from suite.types import Images, Latents, Times

KINDS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x_0"}
HALF_DEVICES = ("cuda", "xpu")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class StableDiffusionPrior(Prior):
    """A frozen Stable Diffusion.

    Args:
        components: Its parts, from `priors.checkpoints.load_components`.
        resolution: Side of the images that it is asked about; None is the one it was trained on.
        clip_skip: Layers of the text encoder to leave out at the end.
        tiny_encoder: A TAESD (diffusers' AutoencoderTiny) that stands in for the autoencoder's encoder: far
            fewer operations, latents close to its own. None encodes with the autoencoder.
        guidance_scale: The classifier-free scale that suits distilling it.
        half_on_gpu: Become float16 when moved to a GPU, and float32 when moved back.
    """

    def __init__(
        self,
        components: Components,
        *,
        resolution: int | None = None,
        clip_skip: int = 0,
        tiny_encoder: nn.Module | None = None,
        guidance_scale: float = 100.0,
        half_on_gpu: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.known_words = components.name, components.known_words
        self.unet, self.vae, self.tiny_encoder = components.unet, components.vae, tiny_encoder
        self.text: ClipText | None = ClipText(
            encoders=components.text_encoders, tokenizers=components.tokenizers, clip_skip=clip_skip
        )
        self.is_xl = components.unet.config.get("addition_embed_type") == "text_time"
        self.zero_for_empty = components.zero_for_empty
        self.schedule = NoiseSchedule.from_scheduler_config(components.scheduler)
        self.kind = KINDS[components.scheduler.get("prediction_type", "epsilon")]
        self.latent_channels = self.unet.config.in_channels
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.scaling_factor = float(self.vae.config.scaling_factor)
        self.resolution = resolution or self.unet.config.sample_size * self.factor
        if self.resolution % self.factor or self.resolution < 8 * self.factor:
            raise UserError(
                f"resolution={resolution} does not fit {self.name}: use a multiple of {self.factor} from "
                f"{8 * self.factor}, as {self.unet.config.sample_size * self.factor}."
            )
        _check_fit(components)
        self.half_on_gpu, self.guidance_scale = half_on_gpu, guidance_scale
        self.requires_grad_(False).eval()
        self._cast(self.unet.dtype)

    def _cast(self, dtype: torch.dtype) -> None:
        """The networks to a dtype; but XL's autoencoder overflows in float16 (its activations pass 65504)."""
        overflows = self.is_xl and self.vae.config.get("force_upcast") and dtype == torch.float16
        wanted = {self.unet: dtype, self.text: dtype, self.tiny_encoder: dtype}
        wanted[self.vae] = torch.float32 if overflows else dtype
        for network, its_dtype in wanted.items():
            if network is not None and next(network.parameters()).dtype != its_dtype:
                nn.Module.to(network, its_dtype)  # diffusers' own .to(dtype) logs a notice

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "StableDiffusionPrior":
        if self.half_on_gpu:  # before the move, so that the GPU never holds float32
            device = function(torch.empty(0, device=self.device)).device
            self._cast(torch.float16 if device.type in HALF_DEVICES else torch.float32)
        return super()._apply(function, recurse)

    def train(self, mode: bool = True) -> "StableDiffusionPrior":
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    # ------------------------------------------------------------------------------------- images and latents

    def encode(
        self, images: Images, *, generator: torch.Generator | None = None, resize: bool = True
    ) -> Latents:
        """Images to latents, differentiable in the images.

        Args:
            generator: Draw from the encoder's posterior; None takes its mode.
            resize: To the prior's resolution; or else take them as they are, of any size that the factor divides.
        """
        size = (self.resolution, self.resolution)
        if resize and images.shape[-2:] != size:
            smaller = images.shape[-1] > self.resolution
            images = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=smaller)
        if self.tiny_encoder is not None:
            tiny = self.tiny_encoder
            return tiny.encode((2 * images - 1).to(tiny.dtype)).latents.float() * tiny.config.scaling_factor
        posterior = self.vae.encode((2 * images - 1).to(self.vae.dtype)).latent_dist
        z = posterior.mode() if generator is None else posterior.sample(generator)
        return z.float() * self.scaling_factor

    def decode(self, latents: Latents) -> Images:
        """Latents to images in [0, 1]."""
        x = self.vae.decode((latents / self.scaling_factor).to(self.vae.dtype)).sample
        return (x.float() / 2 + 0.5).clamp(0, 1)

    # -------------------------------------------------------------------------------------------------- texts

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """Raises:
        UserError: A word that the text encoder has never seen, or the text encoder was dropped.
        """
        if self.text is None:
            raise UserError(
                f"The text encoder was dropped from memory; embed {list(texts)} before drop_text_encoder()."
            )
        if self.known_words is not None:
            for text in texts:
                self.known_words.refuse_unknown(text)
        tensors = self.text(texts)
        if self.zero_for_empty:
            empty = torch.tensor([text == "" for text in texts], device=self.device)
            tensors = {
                k: x.masked_fill(empty.reshape(-1, *[1] * (x.dim() - 1)), 0) for k, x in tensors.items()
            }
        if self.is_xl:  # original size, crop's corner, target size
            side = float(self.resolution)
            ids = torch.tensor([side, side, 0, 0, side, side], device=self.device)
            tensors["time_ids"] = ids.repeat(len(texts), 1)
        return Condition(tensors)

    def drop_text_encoder(self) -> None:
        """Free the text encoders' memory. What was embedded stays known until the prior is moved."""
        self.text = None

    # ------------------------------------------------------------------------------------------------ network

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """The U-Net's answer at x_t."""
        dtype, tensors = self.unet.dtype, condition.tensors
        added = None
        if self.is_xl:
            added = {"text_embeds": tensors["pooled"].to(dtype), "time_ids": tensors["time_ids"]}
        return self.unet(
            x_t.to(dtype),
            self.schedule.model_time(t),
            encoder_hidden_states=tensors["tokens"].to(dtype),
            added_cond_kwargs=added,
        ).sample.float()


def _check_fit(components: Components) -> None:
    """Refuse parts of different models."""
    unet, vae, encoders = components.unet.config, components.vae.config, components.text_encoders
    width = sum(encoder.config.hidden_size for encoder in encoders)
    pairs = (
        ("latent channels", "U-Net", unet.in_channels, "autoencoder", vae.latent_channels),
        ("text channels", "U-Net", unet.cross_attention_dim, "text encoder", width),
    )
    for what, one, ours, other, theirs in pairs:
        if ours != theirs:
            raise UserError(
                f"{components.name} mixes parts of different models: {ours} {what} in its {one}, {theirs} "
                f"in its {other}."
            )
    for encoder, tokenizer in zip(encoders, components.tokenizers):
        if len(tokenizer) > encoder.config.vocab_size:
            raise UserError(
                f"{components.name}'s tokenizer has {len(tokenizer)} tokens, its text encoder "
                f"{encoder.config.vocab_size}: they are of different models."
            )


def load(
    path: str | Path,
    *,
    family: str = "auto",
    prediction_type: str = "auto",
    dtype: str = "auto",
    variant: str | None = None,
    resolution: int | None = None,
    clip_skip: int = 0,
    encoder: str = "vae",
    guidance_scale: float = 100.0,
    tokenizer: str | None = None,
    config: str | None = None,
) -> StableDiffusionPrior:
    """A Stable Diffusion prior from a folder, a single file, the hub or this package.

    Args:
        path: A folder in diffusers' layout, a .safetensors or .ckpt file, owner/name on the hub, or "pocket".
        family: What it must be: sd15, sd21, sdxl; "auto" takes what is found.
        prediction_type: epsilon or v_prediction; "auto" takes it from the checkpoint, where that says it.
        dtype: Of the networks: float32, float16, bfloat16; "auto" is float32, and float16 on a GPU.
        variant: Weight files to prefer, as fp16.
        resolution: Side of the images it is asked about; None is the one it was trained on.
        clip_skip: Layers of the text encoder to leave out at the end.
        guidance_scale: The classifier-free scale that distillation uses where it is not told otherwise.
        encoder: "vae", "taesd" (from the hub or its cache), or the path of a TAESD folder.
        tokenizer: A folder with CLIP's vocabulary, which single files lack.
        config: A folder with configurations, for single files of unusual size.

    Raises:
        UserError: The checkpoint is missing, damaged, incomplete or of another family, or an option is wrong.
    """
    if dtype not in ("auto", *DTYPES):
        raise UserError(f"dtype={dtype!r} is not one of: auto, {', '.join(DTYPES)}.")
    kind = DTYPES.get(dtype, torch.float32)
    components = load_components(
        path,
        family=family,
        prediction_type=prediction_type,
        variant=variant,
        dtype=kind,
        tokenizer=tokenizer,
        config=config,
    )
    is_xl = components.unet.config.get("addition_embed_type") == "text_time"
    tiny = None if encoder == "vae" else load_tiny_encoder(encoder, is_xl=is_xl, dtype=kind)
    return StableDiffusionPrior(
        components,
        resolution=resolution,
        clip_skip=clip_skip,
        tiny_encoder=tiny,
        guidance_scale=guidance_scale,
        half_on_gpu=dtype == "auto",
    )
