"""Random checkpoints with the real topology of each Stable Diffusion family and tiny widths.

Every block, layer and text layer of the original is there (so every key of a real file has its counterpart);
only the channels shrink, from (320, 640, 1280, 1280) to (16, 32, 32, 32). `diffusers_folder` writes the
directory layout, `ldm_file` the single-file layout of the original releases.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from priors.checkpoints import load_components
from suite.errors import UserError

WIDTH, WIDTH_2 = 32, 40  # of the text encoders; diffusers tells SDXL's two apart by their widths
WORDS = ("red", "car", "mushroom", "blue", "robot", "side", "view", "ugly")
DOWN = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
UP = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3

UNETS = {
    "sd15": dict(attention_head_dim=4, cross_attention_dim=WIDTH),
    "sd21": dict(attention_head_dim=[2, 4, 4, 4], cross_attention_dim=WIDTH, use_linear_projection=True),
    "sdxl": dict(
        attention_head_dim=[2, 4, 4],
        cross_attention_dim=WIDTH + WIDTH_2,
        use_linear_projection=True,
        transformer_layers_per_block=[1, 2, 3],
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH_2 + 6 * 8,
    ),
}
UNETS["sd21_v"] = UNETS["sd21"]
TEXT_LAYERS = {"sd15": 12, "sd21": 23, "sd21_v": 23, "sdxl": 12}  # as in the real encoders


def byte_alphabet() -> list[str]:
    """The 256 printable characters that stand for bytes in CLIP's vocabulary, in its order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def tiny_tokenizer(pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    """Byte-level BPE that knows `WORDS` as single tokens and spells everything else."""
    letters, merges, words = byte_alphabet(), [], []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            if pair not in merges:
                merges.append(pair)
            pieces[:2] = ["".join(pair)]
            words.append(pieces[0])
    tokens = [*letters, *(x + "</w>" for x in letters), *dict.fromkeys(words)]
    vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, pad_token=pad_token)


def tiny_text_encoder(
    cls: type, tokenizer: CLIPTokenizer, *, layers: int, activation: str, width: int = WIDTH
):
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=4, projection_dim=width, hidden_act=activation, bos_token_id=len(tokenizer) - 2,
        eos_token_id=len(tokenizer) - 1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return cls(config).eval()


def tiny_models(family: str, *, seed: int = 0) -> dict[str, object]:
    """The components of a pipeline of this family: name in model_index.json -> object."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        xl = family == "sdxl"
        tokenizer = tiny_tokenizer("!" if family.startswith("sd21") else "<|endoftext|>")
        models = {
            "unet": UNet2DConditionModel(
                sample_size=8, layers_per_block=2, norm_num_groups=8, **UNETS[family],
                block_out_channels=(16, 32, 32) if xl else (16, 32, 32, 32),
                down_block_types=(DOWN[-1], *DOWN[:2]) if xl else DOWN,
                up_block_types=(*UP[1:3], UP[0]) if xl else UP,
            ).eval(),
            "vae": AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(16, 32, 32, 32), layers_per_block=2, norm_num_groups=8, sample_size=64,
                scaling_factor=0.13025 if xl else 0.18215, force_upcast=xl,
            ).eval(),
            "text_encoder": tiny_text_encoder(
                CLIPTextModel, tokenizer, layers=TEXT_LAYERS[family],
                activation="gelu" if family.startswith("sd21") else "quick_gelu",
            ),
            "tokenizer": tokenizer,
            "scheduler": DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                set_alpha_to_one=False, steps_offset=1,
                prediction_type="v_prediction" if family == "sd21_v" else "epsilon",
            ),
        }  # fmt: skip
        if xl:
            models["tokenizer_2"] = tiny_tokenizer("!")
            models["text_encoder_2"] = tiny_text_encoder(
                CLIPTextModelWithProjection,
                tokenizer,
                layers=12,
                activation="gelu",
                width=WIDTH_2,  # of 32
            )
    return models


def pipeline(family: str, models: dict):
    """diffusers' own pipeline of these components: the oracle of the tests."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    if family == "sdxl":
        return StableDiffusionXLPipeline(**models, add_watermarker=False)
    return StableDiffusionPipeline(
        **models, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def diffusers_folder(family: str, folder: Path, models: dict | None = None, **save_options) -> Path:
    pipe = pipeline(family, models or tiny_models(family))
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder, **save_options)
    return folder


# -- the single-file layout of the original releases ----------------------------------------------------

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def ldm_unet_key(key: str, attention_in_up_block: dict[int, bool]) -> str:
    """`down_blocks.1.resnets.0.norm1.weight` -> `input_blocks.4.0.in_layers.0.weight`, and so on."""
    for ours, theirs in UNET_ENDS.items():
        if key.startswith(ours + "."):
            return theirs + key[len(ours) :]
    if ".resnets." in key:
        part = re.search(r"resnets\.\d+\.(\w+)\.", key).group(1)
        key = key.replace(f".{part}.", f".{RESNET[part]}.")
    rules = (
        (r"down_blocks\.(\d)\.resnets\.(\d)", lambda b, j: f"input_blocks.{3 * b + j + 1}.0"),
        (r"down_blocks\.(\d)\.attentions\.(\d)", lambda b, j: f"input_blocks.{3 * b + j + 1}.1"),
        (r"down_blocks\.(\d)\.downsamplers\.(0)\.conv", lambda b, j: f"input_blocks.{3 * b + 3}.0.op"),
        (r"mid_block\.(resnets)\.(\d)", lambda b, j: f"middle_block.{2 * j}"),
        (r"mid_block\.(attentions)\.(\d)", lambda b, j: "middle_block.1"),
        (r"up_blocks\.(\d)\.resnets\.(\d)", lambda b, j: f"output_blocks.{3 * b + j}.0"),
        (r"up_blocks\.(\d)\.attentions\.(\d)", lambda b, j: f"output_blocks.{3 * b + j}.1"),
        (
            r"up_blocks\.(\d)\.upsamplers\.(0)\.conv",
            lambda b, j: f"output_blocks.{3 * b + 2}.{2 if attention_in_up_block[b] else 1}.conv",
        ),
    )
    for pattern, name in rules:
        if found := re.match(pattern, key):
            block, layer = found.group(1), int(found.group(2))
            return name(int(block) if block.isdigit() else block, layer) + key[found.end() :]
    raise KeyError(key)


def ldm_vae_key(key: str) -> str:
    key = re.sub(r"(encoder)\.down_blocks\.(\d)\.resnets\.(\d)", r"\1.down.\2.block.\3", key)
    key = re.sub(r"(encoder)\.down_blocks\.(\d)\.downsamplers\.0", r"\1.down.\2.downsample", key)
    if found := re.match(r"decoder\.up_blocks\.(\d)\.", key):  # counted from the other end
        key = f"decoder.up.{3 - int(found.group(1))}." + key[found.end() :]
        key = key.replace("resnets.", "block.").replace("upsamplers.0", "upsample")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m.group(1)) + 1}", key)
    if "mid_block.attentions.0" in key:
        for ours, theirs in VAE_ATTENTION.items():
            key = key.replace(f"attentions.0.{ours}.", f"attentions.0.{theirs}.")
        key = key.replace("mid_block.attentions.0", "mid.attn_1")
    return key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def ldm_vae(vae: AutoencoderKL) -> dict[str, Tensor]:
    tensors = {ldm_vae_key(key): value for key, value in vae.state_dict().items()}
    is_projection = re.compile(r"attn_1\.(q|k|v|proj_out)\.weight$").search  # a 1 x 1 convolution there
    return {key: value[..., None, None] if is_projection(key) else value for key, value in tensors.items()}


def open_clip(encoder: torch.nn.Module) -> dict[str, Tensor]:
    """open_clip's names: q, k and v in one matrix, the projection transposed."""
    state = {key.removeprefix("text_model."): value for key, value in encoder.state_dict().items()}
    tensors = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state.get("text_projection.weight", torch.eye(encoder.config.hidden_size)).T,
        "logit_scale": torch.tensor(4.6),
    }
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


def clip_keys(encoder: CLIPTextModel) -> dict[str, Tensor]:
    """The historic names, with `text_model.` in front, whatever transformers uses today."""
    state = encoder.state_dict()
    named = {"text_model." + key.removeprefix("text_model."): value for key, value in state.items()}
    return named | {"text_model.embeddings.position_ids": torch.arange(77)[None]}


def ldm_tensors(family: str, models: dict) -> dict[str, Tensor]:
    """All tensors of an original release: the networks, the text encoders and the leftovers of training."""
    unet = models["unet"]
    attends = {i: "CrossAttn" in kind for i, kind in enumerate(unet.config.up_block_types)}
    parts = {
        "model.diffusion_model.": {ldm_unet_key(k, attends): v for k, v in unet.state_dict().items()},
        "first_stage_model.": ldm_vae(models["vae"]),
    }
    if family == "sdxl":
        parts["conditioner.embedders.0.transformer."] = clip_keys(models["text_encoder"])
        parts["conditioner.embedders.1.model."] = open_clip(models["text_encoder_2"])
    elif family.startswith("sd21"):
        tensors = open_clip(models["text_encoder"])
        last = {k: v for k, v in tensors.items() if ".resblocks.22." in k}  # trained, and never used
        tensors |= {k.replace(".22.", ".23."): torch.randn_like(v) for k, v in last.items()}
        parts["cond_stage_model.model."] = tensors
    else:
        parts["cond_stage_model.transformer."] = clip_keys(models["text_encoder"])
    tensors = {prefix + k: v.contiguous().clone() for prefix, part in parts.items() for k, v in part.items()}
    return tensors | {"alphas_cumprod": torch.linspace(1, 0, 1000), "betas": torch.zeros(1000)}


def ldm_file(family: str, path: Path, models: dict) -> Path:
    """Write a `.safetensors` or a `.ckpt` in the original layout."""
    tensors = ldm_tensors(family, models)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors, "global_step": 1}, path)
    return path


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --------------------------------------------------------------------------------------------- for the tests


def put_in_cache(cache: Path, repository: str, folder: Path) -> None:
    """Lay a folder into the hub's cache as huggingface_hub does."""
    place = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / "0123abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123abc")


def assert_same(network: torch.nn.Module, original: torch.nn.Module) -> None:
    ours, theirs = network.state_dict(), original.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def refused(path: Path | str, **options) -> str:
    """The message with which a checkpoint is refused, in one line."""
    with pytest.raises(UserError) as error:
        load_components(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)
