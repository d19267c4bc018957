"""Training of a latent text-to-image prior from nothing, of Stable Diffusion's own parts (arXiv:2112.10752).

The loss is that of v_loss.py. Denoiser and text encoder learn together; what is saved is their exponential moving
average, in diffusers' directory layout.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from priors.checkpoints import load_components, quiet
from priors.codec import PatchCodec, fit_codec
from priors.loading.components import Components
from priors.stable_diffusion import StableDiffusionPrior
from priors.train.tokenizer import learn_tokenizer
from priors.train.v_loss import follow, noised, weighted_v_loss
from suite.diffusion.noise import NoiseSchedule
from suite.rng import global_randomness, reseed
from suite.types import Images, Times

# Stable Diffusion's schedule, but for its last beta of 0.025: with 0.012 an object is still seen through the noise of
# t = 1 (its patches vary together), so that words are learnt late and sampling starts from what was never trained on.
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.025,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}


def typical_loss(t: Times) -> Times:
    """About the v-loss of a trained pocket prior at t; at strong noise it is mostly what no network can know."""
    return 0.1 + 0.8 * t**5


def build_text_encoder(tokenizer: CLIPTokenizer, *, width: int = 192, layers: int = 2) -> CLIPTextModel:
    """A small CLIP text transformer for this tokenizer, freshly initialised."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, num_attention_heads=width // 32,
            num_hidden_layers=layers, max_position_embeddings=tokenizer.model_max_length,
            projection_dim=width, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def build_denoiser(size: int, channels: int, text_width: int, widths: Sequence[int]) -> UNet2DConditionModel:
    """A `UNet2DConditionModel` of Stable Diffusion's blocks, one layer each, with attention below full resolution."""
    lower = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=size, in_channels=channels, out_channels=channels, layers_per_block=1,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * lower,
        up_block_types=("CrossAttnUpBlock2D",) * lower + ("UpBlock2D",),
        cross_attention_dim=text_width, attention_head_dim=8, resnet_time_scale_shift="scale_shift",
        # the caption as a whole also joins the time embedding, which is learnt sooner than attention to its words,
        # and scales channels there (arXiv:2105.05233, Sec. 3.2)
        addition_embed_type="text", addition_embed_type_num_heads=8,
    )  # fmt: skip


class DenoiserTraining(torch.nn.Module):
    """What learns and the step it takes: a denoiser and a text encoder on captioned pictures.

    Args:
        pictures: `b 3 h w` RGB in [0, 1], from which the codec is fitted.
        captions: Texts from which the tokenizer is learnt.
        init: A prior's directory, or "pocket", to go on from instead; then the networks, the codec and the tokenizer
            are its own and the widths do not matter.
        widths: Channels of the denoiser's levels.
        text_width: Width of the text encoder.
        drop: How often the caption is empty, for classifier-free guidance.
        gamma: Cap of the signal-to-noise ratio in the loss.
        noisy: t = u^noisy for uniform u; below 1, more of the training is at strong noise, where shapes are learnt.
        ema: Decay of the moving average.
        autocast: Whether matrix products run in bfloat16.
        seed: Of the first weights.
    """

    evolving = True  # the moving average and the codec need no gradient, but belong to the state

    def __init__(
        self,
        pictures: Images,
        captions: Sequence[str],
        *,
        init: str = "",
        widths: Sequence[int] = (64, 128, 192),
        text_width: int = 192,
        text_layers: int = 2,
        drop: float = 0.1,
        gamma: float = 5.0,
        noisy: float = 0.6,
        ema: float = 0.9995,
        autocast: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.drop, self.gamma, self.noisy, self.decay, self.autocast = drop, gamma, noisy, ema, autocast
        self.schedule = NoiseSchedule.from_scheduler_config(SCHEDULER)
        if init:
            parts = load_components(init)
            self.tokenizer, self.codec, text, unet = (
                parts.tokenizers[0],
                parts.vae,
                parts.text_encoders[0],
                parts.unet,
            )
        else:
            self.tokenizer, self.codec = learn_tokenizer(captions), fit_codec(pictures)
            with global_randomness():
                reseed(seed, 0, "denoiser")
                text = build_text_encoder(self.tokenizer, width=text_width, layers=text_layers)
                channels = self.codec.config.latent_channels
                unet = build_denoiser(
                    pictures.shape[-1] // self.codec.config.patch, channels, text_width, widths
                )
        # at these sizes the fused kernel's backward is a third of a step on a CPU
        unet.set_attn_processor(AttnProcessor())
        text.set_attn_implementation("eager")
        self.learning = (
            torch.nn.ModuleDict({"text_encoder": text, "unet": unet}).float().train().requires_grad_(True)
        )
        self.average = copy.deepcopy(self.learning).requires_grad_(False).eval()

    def loss(self, images: Images, captions: Sequence[str], generator: torch.Generator) -> Tensor:
        """The weighted v-loss of pictures with their captions."""
        device = self.codec.basis.device
        x_0 = (
            self.codec.encode(images.to(device) * 2 - 1).latent_dist.mode() * self.codec.config.scaling_factor
        )
        noise = noised(x_0, self.schedule, generator, noisy=self.noisy)
        drop = torch.rand(len(x_0), generator=generator) < self.drop
        texts = ["" if empty else text for text, empty in zip(captions, drop.tolist())]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.autocast):
            tokens = embed(self.learning["text_encoder"], self.tokenizer, texts)
            v = self.learning["unet"](noise.x_t, self.schedule.model_time(noise.t), tokens).sample
        return weighted_v_loss(v, noise, gamma=self.gamma, typical=typical_loss(noise.t))

    def update_average(self, step: int) -> None:
        """Move the average towards what was learnt; quickly at first."""
        follow(self.average, self.learning, step, decay=self.decay)

    def prior(self) -> StableDiffusionPrior:
        """The averaged prior as it is now, a copy."""
        average = copy.deepcopy(self.average)
        parts = Components(
            "the prior in training",
            average["unet"],
            self.codec,
            (average["text_encoder"],),
            (self.tokenizer,),
            SCHEDULER,
        )
        return StableDiffusionPrior(parts)

    def save(self, directory: Path) -> None:
        """Write the averaged prior in half precision in diffusers' directory layout."""
        save_prior(directory, self.average["unet"], self.average["text_encoder"], self.tokenizer, self.codec)


def embed(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token states `b l d` of texts, as Stable Diffusion reads them."""
    ids = tokenizer(
        texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True
    ).input_ids
    return text_encoder(torch.tensor(ids, device=text_encoder.device)).last_hidden_state


def save_prior(
    directory: Path, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer,
    codec: PatchCodec,
) -> None:  # fmt: skip
    """Write a prior's parts in half precision where diffusers looks for them."""
    with quiet():
        for name, part in (("unet", unet), ("text_encoder", text_encoder), ("vae", codec)):
            save_half(part, directory / name)
        tokenizer.save_pretrained(directory / "tokenizer")
    (directory / "scheduler").mkdir(parents=True, exist_ok=True)
    (directory / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["priors.codec", "PatchCodec"],
    }
    (directory / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_half(part: torch.nn.Module, directory: Path) -> None:
    """Write one of diffusers' or transformers' networks in half precision, without the path it was read from."""
    copy.deepcopy(part).half().save_pretrained(directory)
    config = json.loads((directory / "config.json").read_text())
    config.pop("_name_or_path", None)
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
