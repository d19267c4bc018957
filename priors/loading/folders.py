"""Checkpoints in diffusers' layout: model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/."""

import importlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from priors.known_words import KnownWords
from priors.loading.components import FAMILIES, Components
from priors.loading.weights import SUFFIXES, check_whole, choose
from suite.errors import UserError

logger = logging.getLogger(__name__)

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
PARTS_XL = (*PARTS, "text_encoder_2", "tokenizer_2")
PROJECTIONS = ("cc_projection", "clip_camera_projection")  # one of them is in every Zero123
PARTS_ZERO123 = ("unet", "vae", "image_encoder", "scheduler")
PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
)


def load_folder(
    folder: Path, *, family: str, prediction_type: str, variant: str | None, dtype: torch.dtype
) -> Components:
    """Load a folder in diffusers' layout."""
    index = _checked_index(folder)
    unet_config = read_json(_part(folder, "unet") / "config.json")
    check_unet(unet_config, family, folder)
    scheduler = read_json(_part(folder, "scheduler") / "scheduler_config.json")
    said = scheduler.get("prediction_type", "epsilon")
    if prediction_type not in ("auto", said):
        raise UserError(
            f"'{folder}' predicts {said} (scheduler/scheduler_config.json), not {prediction_type}. Type "
            "prior.prediction_type=auto, or correct that file if it is wrong."
        )

    def load(part: str) -> nn.Module:
        return load_network(_part(folder, part), class_of(*index[part]), variant=variant, dtype=dtype)

    text_parts = [part for part in parts_of(index) if part.startswith("text_encoder")]
    words = folder / "words.json"
    return Components(
        name=str(folder),
        unet=load("unet"),
        vae=load("vae"),
        text_encoders=tuple(load(part) for part in text_parts),
        tokenizers=tuple(
            load_tokenizer(_part(folder, part.replace("text_encoder", "tokenizer"))) for part in text_parts
        ),
        scheduler=scheduler,
        zero_for_empty=bool(index.get("force_zeros_for_empty_prompt", False)),
        known_words=KnownWords.of(read_json(words)) if words.exists() else None,
    )


def _checked_index(folder: Path) -> dict[str, Any]:
    """model_index.json, of a pipeline that a prior can be made of."""
    if not (folder / "model_index.json").exists():
        names = sorted(entry.name for entry in folder.iterdir())
        files = [name for name in names if Path(name).suffix in SUFFIXES]
        hint = f" Did you mean '{folder / files[0]}'?" if files else ""
        raise UserError(
            f"'{folder}' is not a checkpoint in diffusers' layout: it has no model_index.json.{hint} "
            f"It holds: {listing(names)}."
        )
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if projection_of(index):
        raise UserError(
            f"'{folder}' is a Zero123, which reads pictures. Type prior=zero123 prior.path={folder}"
        )
    if pipeline not in PIPELINES:
        raise UserError(
            f"'{folder}' holds a {pipeline}, which is another kind of model. This prior is made of a "
            "StableDiffusionPipeline (1.x, 2.x) or a StableDiffusionXLPipeline."
        )
    for part in parts_of(index):
        if not all(index.get(part) or [None]):
            raise UserError(
                f"'{folder}' is a {pipeline} without {part} (model_index.json); a prior needs it."
            )
    return index


def _part(folder: Path, part: str) -> Path:
    if not (folder / part).is_dir():
        names = sorted(entry.name for entry in folder.iterdir())
        raise UserError(f"'{folder}' has no folder {part}/. It holds: {listing(names)}. Download it again.")
    return folder / part


def check_unet(config: Mapping[str, Any], family: str, name: str | Path) -> None:
    """Refuse a U-Net of another family than asked for, or one that is fed more than noise and text."""
    found = family_of(config)
    if family not in ("auto", found):
        raise UserError(f"'{name}' is {FAMILIES[found]}, not {FAMILIES[family]}. Type prior={found}.")
    if config.get("in_channels") != config.get("out_channels"):
        raise UserError(
            f"'{name}' has a U-Net of {config['in_channels']} input channels (inpainting, depth or "
            f"image-conditioned) for {config['out_channels']} outputs; a text prior has as many."
        )


def family_of(config: Mapping[str, Any]) -> str:
    """sd15, sd21 or sdxl, from a U-Net's configuration, whatever its widths."""
    if config.get("addition_embed_type") == "text_time":
        return "sdxl"
    return "sd21" if config.get("use_linear_projection") else "sd15"


def load_network(place: Path, cls: type, *, variant: str | None, dtype: torch.dtype) -> nn.Module:
    """The network of a folder with config.json and weights, completely.

    Raises:
        UserError: Either is missing, the weights are damaged, or a tensor is missing or unknown.
    """
    names = sorted(entry.name for entry in place.iterdir())
    weights, found = choose(names, variant)
    if "config.json" not in names or not weights:
        lacking = "weights" if "config.json" in names else "config.json"
        raise UserError(f"'{place}' has no {lacking}. It holds: {listing(names)}. Download it again.")
    if found != variant:
        asked = f"variant {variant}" if variant else "plain weights"
        logger.warning("'%s' has no %s; taking %s.", place, asked, ", ".join(weights))
    for name in weights:
        check_whole(place / name)
    model, report = from_pretrained(cls, place, variant=found, dtype=dtype)
    refuse_differences(place, report["missing_keys"], report["unexpected_keys"])
    return model


def from_pretrained(
    cls: type, place: Path, *, variant: str | None, dtype: torch.dtype
) -> tuple[nn.Module, dict]:
    """`cls.from_pretrained` with its loading report, and its errors in one line."""
    try:
        return cls.from_pretrained(
            place, variant=variant, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # sizes that differ, unreadable pickles: several libraries' exceptions
        reason = " ".join(str(error).split())[:400]
        raise UserError(f"'{place}' cannot be loaded as {cls.__name__}: {reason}") from error


def refuse_differences(place: Path | str, missing: Collection[str], unexpected: Collection[str]) -> None:
    """Raise if a checkpoint's tensors are not exactly the network's.

    Raises:
        UserError: They are not; names the first few.
    """
    sides = [
        f"{len(names)} {word} ({listing(sorted(names), 3)})"
        for names, word in ((missing, "missing"), (unexpected, "unknown"))
        if names
    ]
    if sides:
        raise UserError(
            f"'{place}' does not hold exactly its network's tensors: {', '.join(sides)}. Download it again, "
            "or check that the configuration beside it is its own."
        )


def class_of(library: str, name: str) -> type:
    """A component's class, from diffusers, transformers or this package: nothing else is imported."""
    if library not in ("diffusers", "transformers") and library.split(".")[0] != "priors":
        raise UserError(
            f"model_index.json asks for {library}.{name}; only classes of diffusers, transformers and priors "
            "are loaded."
        )
    try:
        return getattr(importlib.import_module(library), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"model_index.json asks for {library}.{name}, which does not exist here.") from error


def load_tokenizer(folder: Path, **options: str) -> Any:
    """A CLIP tokenizer from a folder with tokenizer.json, or vocab.json and merges.txt."""
    from transformers import CLIPTokenizer

    if not (folder / "tokenizer.json").exists() and not (folder / "vocab.json").exists():
        names = sorted(entry.name for entry in folder.iterdir())
        raise UserError(
            f"'{folder}' has no CLIP vocabulary: neither tokenizer.json nor vocab.json and merges.txt. "
            f"It holds: {listing(names)}."
        )
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True, **options)


def listing(names: Sequence[str], limit: int = 12) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more


def missing_parts(folder: Path) -> list[str]:
    """What a folder in diffusers' layout lacks, of what a prior needs."""
    try:
        index = read_json(folder / "model_index.json")
    except UserError:
        return ["model_index.json"]
    missing = []
    for part in parts_of(index):
        names = [entry.name for entry in (folder / part).iterdir()] if (folder / part).is_dir() else []
        if not any(name.endswith(".json") for name in names):
            missing.append(part)
        elif part not in ("scheduler", "tokenizer", "tokenizer_2"):
            missing += [] if choose(names, None)[0] else [part]
    return missing


def parts_of(index: Mapping[str, Any]) -> tuple[str, ...]:
    """The components that a prior needs of a pipeline with this model_index.json."""
    if projection := projection_of(index):
        return (*PARTS_ZERO123, projection)
    return PARTS_XL if "XL" in index.get("_class_name", "") else PARTS


def projection_of(index: Mapping[str, Any]) -> str | None:
    """The component that joins picture and camera, which only a Zero123 has."""
    return next((name for name in PROJECTIONS if name in index), None)


def wanted_files(files: Sequence[str], variant: str | None) -> list[str]:
    """Of a repository's files those that a prior needs: no safety checker, no second copy of the weights."""
    if "model_index.json" not in files:
        raise UserError(
            "That repository is not in diffusers' layout (no model_index.json). Download its .safetensors "
            "file and give that path."
        )
    chosen = ["model_index.json"]
    zero123 = any(name.startswith(PROJECTIONS) for name in files)
    for part in (*PARTS_ZERO123, *PROJECTIONS) if zero123 else PARTS_XL:
        names = [name.removeprefix(part + "/") for name in files if name.startswith(part + "/")]
        weights, _ = choose(names, variant)
        chosen += [f"{part}/{name}" for name in names if name.endswith((".json", ".txt"))]
        chosen += [f"{part}/{name}" for name in weights]
    return chosen


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no file '{path}'. Download the checkpoint again.") from error
    except ValueError as error:
        raise UserError(f"'{path}' is not valid JSON ({error}). Download it again.") from error
