"""Motion modules and their LoRAs on disk: AnimateDiff's files and diffusers' folders, read strictly, written exactly.

    motion module    mm_sd_v15_v2.ckpt, v3_sd15_mm.ckpt, ... and .safetensors; a folder of diffusers' MotionAdapter
    LoRA             v2_lora_ZoomIn.ckpt, v3_sd15_adapter.ckpt, ... and .safetensors, in the original's names or peft's

Pickles are read with `weights_only=True`: nothing in a file is run.
"""

import logging
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter
from torch import Tensor

from priors.checkpoints import quiet
from priors.loading.folders import listing, read_json
from priors.loading.weights import check_whole, choose
from suite.errors import UserError
from suite.io.paths import existing_file
from suite.io.weights import check_same_tensors, write_atomically
from video.motion.building import build_adapter, check_heads
from video.motion.layouts import (
    Tensors,
    add_tables,
    diffusers_key,
    original_key,
    refuse_others,
    shape_from,
    to_diffusers,
    to_original,
)
from video.motion.lora import LoRA
from video.motion.modules import Motion

logger = logging.getLogger(__name__)

HEADS = 8  # of every published motion module; no tensor tells
LORA_KEY = re.compile(r"^(?P<layer>.+)\.processor\.to_(?P<which>q|k|v|out)_lora\.(?P<side>down|up)\.weight$")
PEFT_KEY = re.compile(
    r"^(?P<layer>.+\.(?:to_(?:q|k|v|out\.0)|placed\.(?:words|numbers|places)))\.lora_(?P<side>A|B)\.weight$"
)


def load(path: str, *, across_frames: bool | None = None, noise: str = "prior", heads: int = HEADS) -> Motion:
    """Motion modules from AnimateDiff's or this package's file, or from a folder of diffusers.

    Args:
        path: A .ckpt, .pth or .safetensors file, or a folder with a MotionAdapter.
        across_frames: Whether the U-Net's norms see all frames of a clip at once; None: in v1 and PIA, as trained.
        noise: The schedule it was trained with: "prior", "animatediff" or "animatediff_xl"; no tensor tells.
        heads: Of attention, where the file does not say: 8 in every published one.

    Raises:
        UserError: It is missing, damaged or something else; says what.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        (tensors, heads), metadata = _read_folder(place, heads), {}
    else:
        tensors, metadata = read_tensors(place)
        heads = int(metadata.get("heads", heads))
        tensors = _motion_only(tensors, str(place))
    refuse_others(tensors, str(place))
    tensors = to_diffusers(tensors, str(place))
    shape = shape_from(tensors, str(place))
    check_heads(shape.widths, heads)
    adapter = build_adapter(
        shape.widths, layers=shape.layers, positions=shape.positions, mid=shape.mid, heads=heads,
        transformer_layers=shape.transformer_layers, entrance=shape.entrance, words=shape.words,
        places=shape.places,
    )  # fmt: skip
    if shape.layout == "lcm":
        logger.info("%s has no table of positions (as AnimateLCM): taking sinusoids.", place)
    tensors = add_tables(tensors, adapter)
    check_same_tensors(adapter.state_dict(), tensors, str(place))
    adapter.load_state_dict({key: value.float() for key, value in tensors.items()})
    logger.info("%s: a motion module of layout %s, for %d frames.", place, shape.layout, shape.positions)
    as_trained = shape.layout == "v1" or (
        shape.entrance is not None and "heads" not in metadata
    )  # PIA was trained as v1
    normal = as_trained if across_frames is None else across_frames
    motion = Motion(
        adapter, across_frames=normal, noise=noise, shared_noise=float(metadata.get("shared_noise", 0)),
        sampled_noise=float(metadata["sampled_noise"]) if "sampled_noise" in metadata else None,
        name=str(place),
    )  # fmt: skip
    return motion.requires_grad_(False).eval()


def save(motion: Motion, path: str | Path, *, half: bool = False) -> None:
    """Write motion modules: .safetensors or .ckpt in the original's names, or else a folder for diffusers.

    Args:
        half: In half precision, tables of positions excepted.

    Raises:
        UserError: What is written cannot tell of words, places or shared noise, and the modules have them.
    """
    path, tensors = Path(path), motion.adapter.state_dict()
    if half:
        tensors = {key: x if key.endswith(".pe") else x.half() for key, x in tensors.items()}
    if path.suffix not in (".safetensors", ".ckpt"):
        if motion.is_own:
            raise UserError(
                f"{motion.name} reads words, knows places or shares noise, which diffusers' do not: save a "
                ".safetensors file."
            )
        with quiet():
            motion.adapter.save_pretrained(path)
        if half:
            _write(path / "diffusion_pytorch_model.safetensors", tensors, {"format": "pt"})
        return
    if path.suffix == ".ckpt" and max(motion.shared_noise, motion.sampled_noise) > 0:
        raise UserError(f"{motion.name} shares noise, which a .ckpt cannot tell: save a .safetensors file.")
    said = {"heads": str(motion.adapter.config.motion_num_attention_heads)}
    if motion.shared_noise:
        said["shared_noise"] = f"{motion.shared_noise:g}"
    if motion.sampled_noise != motion.shared_noise:
        said["sampled_noise"] = f"{motion.sampled_noise:g}"
    _write(path, to_original(tensors), said)


def load_lora(path: str) -> LoRA:
    """A MotionLoRA or a domain adapter, in the original's names or in peft's (diffusers' LoRA files).

    Raises:
        UserError: It is missing, damaged, incomplete or no LoRA of attention.
    """
    place = Path(path).expanduser()
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in read_tensors(place)[0].items():
        layer, side = _lora_place(key.removeprefix("unet."))
        if layer is None:
            raise UserError(
                f"{place} is no LoRA of attention's projections: it has a tensor {key}. A MotionLoRA's are named "
                "...processor.to_q_lora.down.weight."
            )
        found.setdefault(layer, {})[side] = value.float()
    kinds = {"motion_modules" in layer for layer in found}
    if len(kinds) > 1:
        raise UserError(f"{place} changes both image layers and motion modules: give two files.")
    for layer, pair in found.items():
        if set(pair) != {"down", "up"}:
            lacking = "up" if "down" in pair else "down"
            raise UserError(f"{place} lacks the {lacking} matrix of {layer}. Download it again.")
        if pair["up"].shape[1] != len(pair["down"]):
            raise UserError(f"{place} has matrices of different ranks at {layer}. Download it again.")
    pairs = {layer: (pair["down"], pair["up"]) for layer, pair in found.items()}
    return LoRA(pairs, name=str(place)).requires_grad_(False).eval()


def save_lora(
    lora: LoRA, path: str | Path, *, strength: float | int = 1.0, peft: bool = False, half: bool = False
) -> None:
    """Write a LoRA with its strength multiplied in, so that its file is meant to be used at 1.

    Args:
        path: .safetensors or .ckpt.
        peft: In peft's names, as diffusers writes them, instead of the original's.
        half: In half precision.
    """
    tensors = {}
    for target, (down, up) in lora.pairs(float(strength)).items():
        names = _peft_names(target) if peft else _original_names(target)
        tensors |= {key: x.half() if half else x for key, x in zip(names, (down, up))}
    _write(Path(path), tensors, {"format": "pt"})


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """All tensors of a file without wrappers and `module.` prefixes, and a safetensors file's metadata.

    Raises:
        UserError: It is missing or damaged, holds more than tensors, or none.
    """
    existing_file(path, "checkpoint")
    check_whole(path)
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            content: Any = {key: file.get_tensor(key) for key in file.keys()}
    else:
        metadata = {}
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can raise anything
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{path} cannot be read as tensors alone ({type(error).__name__}: {reason}). Download it again, or "
                "take its .safetensors file."
            ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {k.removeprefix("module."): v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no tensors.")
    return tensors, metadata


def _motion_only(tensors: Tensors, name: str) -> Tensors:
    """Without the image layers, where the file is a whole video U-Net: what AnimateDiff's training saves."""
    if not any(key.startswith("time_embedding.") for key in tensors):
        return tensors
    refuse_others({key: value for key, value in tensors.items() if "lora" not in key}, name)
    entrance = tensors.get("conv_in.weight")
    sees = entrance is not None and entrance.shape[1] > 4
    kept = {k: x for k, x in tensors.items() if "motion_modules." in k or (sees and k.startswith("conv_in."))}
    logger.info("%s is a whole U-Net: its %d image tensors are not used.", name, len(tensors) - len(kept))
    return kept


def _read_folder(folder: Path, heads: int) -> tuple[Tensors, int]:
    """The tensors of a MotionAdapter's folder, and its heads."""
    names = sorted(entry.name for entry in folder.iterdir())
    weights, _ = choose(names, None)
    if "config.json" not in names or len(weights) != 1:
        raise UserError(
            f"'{folder}' is no folder of a MotionAdapter (config.json and one file of weights). It holds: "
            f"{listing(names)}."
        )
    config = read_json(folder / "config.json")
    if config.get("_class_name") != MotionAdapter.__name__:
        raise UserError(f"'{folder}' holds a {config.get('_class_name')}, not a MotionAdapter.")
    tensors, _ = read_tensors(folder / weights[0])
    found = config.get("motion_num_attention_heads", heads)
    if not isinstance(found, int):
        raise UserError(f"'{folder}' has other heads at each level ({found}), which is not supported.")
    return tensors, found


def _lora_place(key: str) -> tuple[str | None, str]:
    """The layer, in diffusers' names, and the side that a LoRA's tensor belongs to."""
    if match := LORA_KEY.match(key):
        which = "out.0" if match["which"] == "out" else match["which"]
        return diffusers_key(f"{match['layer']}.to_{which}"), match["side"]
    if match := PEFT_KEY.match(key):
        return match["layer"], {"A": "down", "B": "up"}[match["side"]]
    return None, ""


def _original_names(target: str) -> tuple[str, str]:
    if ".placed." in target:  # the original has no such layer
        return _peft_names(target)
    layer, _, which = original_key(target).rpartition(".to_")
    stem = f"{layer}.processor.to_{which.removesuffix('.0')}_lora"
    return f"{stem}.down.weight", f"{stem}.up.weight"


def _peft_names(target: str) -> tuple[str, str]:
    return f"unet.{target}.lora_A.weight", f"unet.{target}.lora_B.weight"


def _write(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    if path.suffix == ".safetensors":
        from safetensors.torch import save as to_bytes

        write_atomically(path, to_bytes(tensors, metadata=metadata))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    torch.save({"state_dict": tensors}, partial)
    partial.replace(path)
