"""The original releases' single files: `.safetensors` and `.ckpt` with the network, the autoencoder and the
text encoders under one roof, in the names of the CompVis code. Their configurations are in priors/families.

    model.diffusion_model.*                   U-Net
    first_stage_model.*                       autoencoder
    cond_stage_model.transformer.*            1.x: CLIP ViT-L
    cond_stage_model.model.*                  2.x: OpenCLIP ViT-H (its last layer is not used)
    conditioner.embedders.{0.transformer,1.model}.*   XL: CLIP ViT-L and OpenCLIP ViT-bigG
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from priors.loading.components import FAMILIES, Components
from priors.loading.folders import check_unet, listing, read_json, refuse_differences
from priors.loading.vocabulary import clip_tokenizer
from priors.loading.weights import read_tensors
from suite.errors import UserError

CONFIGURATIONS = Path(__file__).parents[1] / "families"
UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP_1, OPEN_CLIP_2 = "cond_stage_model.transformer.", "cond_stage_model.model."
CLIP_XL, OPEN_CLIP_XL = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
TEXT_ENCODERS = {OPEN_CLIP_XL: "sdxl", OPEN_CLIP_2: "sd21", CLIP_1: "sd15"}
UNUSED = ("position_ids", "logit_scale")  # in every release, and not parameters of the text encoders

Tensors = dict[str, Tensor]


def load_file(
    path: Path,
    *,
    family: str,
    prediction_type: str,
    dtype: torch.dtype,
    tokenizer: str | Path | None,
    config: str | Path | None,
) -> Components:
    """Load a single file.

    Raises:
        UserError: It is damaged, incomplete, of another family, or lacks what only the user can tell.
    """
    tensors = read_tensors(path)
    found = detect_family(tensors, path)
    if family not in ("auto", found):
        raise UserError(f"'{path}' is {FAMILIES[found]}, not {FAMILIES[family]}. Type prior={found}.")
    if "v_pred" in tensors and prediction_type == "auto":  # the mark that v-predicting XL files carry
        prediction_type = "v_prediction"
    if found == "sd21" and prediction_type == "auto":
        raise UserError(
            f"'{path}' is Stable Diffusion 2.x, and its file does not say what it predicts. Type "
            "prediction_type=v_prediction (prior=sd21_v; v2-1_768: 768 pixels) or prediction_type=epsilon "
            "(prior=sd21; v2-1_512 or base: 512 pixels)."
        )
    shipped = "sd21_v" if found == "sd21" and prediction_type == "v_prediction" else found
    folder = Path(config).expanduser() if config else CONFIGURATIONS / shipped
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    if prediction_type != "auto":
        scheduler["prediction_type"] = prediction_type
    scheduler["rescale_betas_zero_snr"] = "ztsnr" in tensors or scheduler.get("rescale_betas_zero_snr", False)
    check_unet(read_json(folder / "unet" / "config.json"), found, folder)
    parts = ("tokenizer", "tokenizer_2") if found == "sdxl" else ("tokenizer",)
    tokenizers = tuple(
        clip_tokenizer(tokenizer, part=part, pad_token=_pad_token(folder, part)) for part in parts
    )
    return Components(
        name=str(path),
        unet=ldm_unet(tensors, folder, dtype, path),
        vae=ldm_vae(tensors, folder, dtype, path),
        text_encoders=_text_encoders(tensors, found, folder, dtype, path),
        tokenizers=tokenizers,
        scheduler=scheduler,
        zero_for_empty=bool(
            read_json(folder / "model_index.json").get("force_zeros_for_empty_prompt", False)
        ),
    )


def _pad_token(folder: Path, part: str) -> str:
    token = read_json(folder / part / "tokenizer_config.json").get("pad_token", "<|endoftext|>")
    return token if isinstance(token, str) else token["content"]


def detect_family(tensors: Tensors, path: Path) -> str:
    """sd15, sd21 or sdxl, from the names of a file's tensors.

    Raises:
        UserError: It is something else: says what.
    """
    has = lambda prefix: any(name.startswith(prefix) for name in tensors)  # noqa: E731
    if not has(UNET):
        raise UserError(f"'{path}' {_what_else(has, tensors)} Give a checkpoint of 1.x, 2.x or XL.")
    if has("cc_projection."):
        raise UserError(f"'{path}' is a Zero123, which reads pictures. Type prior=zero123 prior.path={path}")
    if has("conditioner.embedders.0.model."):
        raise UserError(f"'{path}' is XL's refiner, which is no prior of its own. Give the base model.")
    family = next((family for prefix, family in TEXT_ENCODERS.items() if has(prefix)), None)
    if family is None:
        raise UserError(
            f"'{path}' holds a network without a text encoder. Give a complete checkpoint, or a folder in "
            "diffusers' layout."
        )
    if not has(VAE):
        raise UserError(f"'{path}' holds no autoencoder ({VAE}*). Give a complete checkpoint.")
    entrance = tensors.get(UNET + "input_blocks.0.0.weight")
    if entrance is not None and entrance.shape[1] != 4:
        raise UserError(
            f"'{path}' has a U-Net of {entrance.shape[1]} input channels (inpainting, depth or "
            "image-conditioned); a text prior has 4."
        )
    return family


def _what_else(has: Callable[[str], bool], tensors: Tensors) -> str:
    if any("lora_" in name for name in tensors):
        return "is a LoRA, not a checkpoint."
    if has("control_model.") or has("controlnet_"):
        return "is a ControlNet, not a checkpoint."
    if any("motion_modules" in name for name in tensors):
        return "is a motion module, not a checkpoint."
    if has("down_blocks."):
        return "is the weights of one diffusers network; its place is FOLDER/unet/ in diffusers' layout."
    return f"is not a Stable Diffusion checkpoint: its tensors are named {listing(sorted(tensors), 3)}."


def ldm_unet(tensors: Tensors, folder: Path, dtype: torch.dtype, path: Path) -> nn.Module:
    """The U-Net of a file's tensors, configured as `folder`/unet says; its moving average where there is one."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = UNet2DConditionModel.load_config(folder / "unet", local_files_only=True)
    build = lambda: UNet2DConditionModel.from_config(config)  # noqa: E731
    # EMA weights, where a file carries both, are what the pruned releases hold
    convert = lambda: convert_ldm_unet_checkpoint(tensors, config, extract_ema=True)  # noqa: E731
    return filled(build, convert, tensors, UNET, dtype, path)


def ldm_vae(tensors: Tensors, folder: Path, dtype: torch.dtype, path: Path) -> nn.Module:
    """The autoencoder of a file's tensors, configured as `folder`/vae says."""
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = AutoencoderKL.load_config(folder / "vae", local_files_only=True)
    build = lambda: AutoencoderKL.from_config(config)  # noqa: E731
    convert = lambda: convert_ldm_vae_checkpoint(tensors, config)  # noqa: E731
    return filled(build, convert, tensors, VAE, dtype, path)


def _text_encoders(
    tensors: Tensors, family: str, folder: Path, dtype: torch.dtype, path: Path
) -> tuple[nn.Module, ...]:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    def encoder(cls: type, part: str, prefix: str) -> nn.Module:
        config = CLIPTextConfig.from_pretrained(folder / part, local_files_only=True)
        used = {name: value for name, value in tensors.items() if not name.endswith(UNUSED)}

        def convert() -> Tensors:
            if prefix in (CLIP_1, CLIP_XL):
                return convert_ldm_clip_checkpoint(used)
            return convert_open_clip_checkpoint(SimpleNamespace(config=config), used, prefix=prefix)

        return filled(lambda: cls(config), convert, {}, prefix, dtype, path)

    if family == "sdxl":
        return (
            encoder(CLIPTextModel, "text_encoder", CLIP_XL),
            encoder(CLIPTextModelWithProjection, "text_encoder_2", OPEN_CLIP_XL),
        )
    return (encoder(CLIPTextModel, "text_encoder", OPEN_CLIP_2 if family == "sd21" else CLIP_1),)


def filled(
    build: Callable[[], nn.Module],
    convert: Callable[[], Tensors],
    tensors: Tensors,
    prefix: str,
    dtype: torch.dtype,
    path: Path,
) -> nn.Module:
    """A network with the converted tensors of a file, all of them and no other."""
    place = f"{path} ({prefix}*)"
    try:
        state = convert()
    except (KeyError, AttributeError) as error:  # the converters index and reshape without looking
        raise UserError(
            f"'{place}' lacks tensors that its family has: {error}. Download it again."
        ) from error
    read, held = len(state), sum(name.startswith(prefix) for name in tensors)
    if held > read:
        raise UserError(f"'{place}' holds {held - read} tensors that Stable Diffusion does not have.")
    with _no_memory():
        network = build()
    own = network.state_dict()
    if not any(name.startswith("text_model.") for name in own):  # transformers 5.6 dropped the prefix
        state = {name.removeprefix("text_model."): value for name, value in state.items()}
    _refuse_sizes(place, own, state)
    refuse_differences(place, own.keys() - state.keys(), state.keys() - own.keys())
    network.load_state_dict({name: value.to(dtype) for name, value in state.items()}, assign=True)
    return network.eval()


def _no_memory() -> Any:
    """Parameters without memory, to be replaced by a file's; buffers as usual."""
    from accelerate import init_empty_weights

    return init_empty_weights(include_buffers=False)


def _refuse_sizes(place: str, own: Tensors, state: Tensors) -> None:
    for name, parameter in own.items():
        if name in state and parameter.shape != state[name].shape:
            there, here = ("x".join(map(str, x.shape)) for x in (state[name], parameter))
            raise UserError(
                f"'{place}' is of another size than its family: {name} is {there} there and {here} in the "
                "configuration. Name a folder with its own configuration: config=FOLDER."
            )
