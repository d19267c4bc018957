"""Random Zero123 checkpoints with the real topology and tiny widths, in the original and in diffusers' layout."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.priors.tiny_checkpoints import DOWN, UP, ldm_unet_key, ldm_vae

EMBEDDING, CONTEXT = 24, 32  # CLIP's embedding, and what the U-Net attends to (768 both in the originals)
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def tiny_zero123(*, pose: int = 4, seed: int = 0) -> dict[str, nn.Module]:
    """Its networks: U-Net, autoencoder, CLIP's picture tower, projection."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision = CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=28,
            patch_size=7, projection_dim=EMBEDDING, hidden_act="quick_gelu",
        )  # fmt: skip
        return {
            "unet": UNet2DConditionModel(
                sample_size=8, layers_per_block=2, norm_num_groups=8, block_out_channels=(16, 32, 32, 32),
                down_block_types=DOWN, up_block_types=UP, in_channels=8, out_channels=4,
                attention_head_dim=4, cross_attention_dim=CONTEXT,
            ).eval(),
            "vae": AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(16, 32, 32, 32), layers_per_block=2, norm_num_groups=8, sample_size=64,
            ).eval(),
            "image_encoder": CLIPVisionModelWithProjection(vision).eval(),
            "cc_projection": nn.Linear(EMBEDDING + pose, CONTEXT),
        }  # fmt: skip


def openai_vision(encoder: nn.Module) -> dict[str, Tensor]:
    """The tower's tensors as OpenAI's release names them: q, k and v in one matrix, the projection transposed."""
    state = {name.removeprefix("vision_model."): value for name, value in encoder.state_dict().items()}
    tensors = {
        "class_embedding": state["embeddings.class_embedding"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "conv1.weight": state["embeddings.patch_embedding.weight"],
        "proj": state["visual_projection.weight"].T,
    }
    for kind in ("weight", "bias"):
        tensors[f"ln_pre.{kind}"] = state[f"pre_layrnorm.{kind}"]
        tensors[f"ln_post.{kind}"] = state[f"post_layernorm.{kind}"]
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for i in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            qkv = [state[f"{ours}self_attn.{p}_proj.{kind}"] for p in "qkv"]
            tensors[f"{theirs}attn.in_proj_{kind}"] = torch.cat(qkv)
            tensors[f"{theirs}attn.out_proj.{kind}"] = state[f"{ours}self_attn.out_proj.{kind}"]
            for mine, other in names.items():
                tensors[f"{theirs}{other}.{kind}"] = state[f"{ours}{mine}.{kind}"]
    return tensors


def original_tensors(networks: dict[str, nn.Module], *, average: bool = False) -> dict[str, Tensor]:
    """All tensors of an original release, the leftovers of CLIP's text tower and of training among them.

    Args:
        average: The U-Net proper is then noise and its moving average what it should be.
    """
    unet = networks["unet"]
    attends = {i: "CrossAttn" in kind for i, kind in enumerate(unet.config.up_block_types)}
    own = {ldm_unet_key(name, attends): value for name, value in unet.state_dict().items()}
    parts = {
        "model.diffusion_model.": {k: torch.randn_like(v) for k, v in own.items()} if average else own,
        "first_stage_model.": ldm_vae(networks["vae"]),
        "cond_stage_model.model.visual.": openai_vision(networks["image_encoder"]),
        "cond_stage_model.model.": {
            "positional_embedding": torch.zeros(77, 8),
            "text_projection": torch.zeros(8, 8),
            "logit_scale": torch.tensor(4.6),
            "token_embedding.weight": torch.zeros(10, 8),
            "ln_final.weight": torch.zeros(8),
            "ln_final.bias": torch.zeros(8),
        },
        "cc_projection.": networks["cc_projection"].state_dict(),
    }
    tensors = {prefix + k: v.contiguous().clone() for prefix, part in parts.items() for k, v in part.items()}
    if average:
        flat = {"model_ema.diffusion_model" + k.replace(".", ""): v.clone() for k, v in own.items()}
        tensors |= flat | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    return tensors | {"betas": torch.zeros(1000), "alphas_cumprod": torch.linspace(1, 0, 1000)}


def original_file(path: Path, networks: dict[str, nn.Module], **options: bool) -> Path:
    """Write it as the authors' trainer does."""
    torch.save({"state_dict": original_tensors(networks, **options), "global_step": 105000}, path)
    return path


def zero123_folder(
    folder: Path, networks: dict[str, nn.Module], *, projection: str = "cc_projection", **index: object
) -> Path:
    """Write diffusers' layout, the projection called as in the community pipeline or as in DreamGaussian's."""
    for name in ("unet", "vae", "image_encoder"):
        networks[name].save_pretrained(folder / name)
    (folder / projection).mkdir()
    inner = "projection" if projection == "cc_projection" else "proj"
    state = networks["cc_projection"].state_dict()
    place = folder / projection / "diffusion_pytorch_model.bin"
    torch.save({f"{inner}.{name}": value for name, value in state.items()}, place)
    (folder / projection / "config.json").write_text("{}")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    parts = {
        "_class_name": "Zero1to3StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        projection: ["pipeline_zero1to3", "CCProjection"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(parts | index))
    return folder
