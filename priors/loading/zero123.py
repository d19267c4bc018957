"""Zero123 checkpoints: folders in diffusers' layout and the original single files; loaded completely or refused.

    folder         unet/, vae/, image_encoder/, scheduler/ and cc_projection/ (of diffusers' community pipeline) or
                   clip_camera_projection/ (of threestudio's and DreamGaussian's conversions); and, of
                   `suite train_novel_view volume=`, view_volume/
    single file    105000.ckpt, zero123-xl.ckpt, stable_zero123.ckpt, in the names of the CompVis code:
                       model.diffusion_model.*            U-Net; model_ema.*, its moving average, is preferred
                       first_stage_model.*                autoencoder
                       cond_stage_model.model.visual.*    CLIP ViT-L/14; what is left of its text tower is not used
                       cc_projection.*                    joins picture and camera

Nothing in a checkpoint of Zero123's authors says with which fourth number of the pose it was trained: see `pose_of`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from priors.checkpoints import SHIPPED, quiet
from priors.loading.clip_vision import convert_open_ai_vision
from priors.loading.folders import (
    PARTS_ZERO123,
    PROJECTIONS,
    class_of,
    listing,
    load_network,
    projection_of,
    read_json,
)
from priors.loading.single_files import CONFIGURATIONS, UNET, VAE, filled, ldm_unet, ldm_vae
from priors.loading.weights import choose, read_tensors
from priors.shape_memory import ShapeMemory
from priors.view_condition import has_projection
from priors.view_volume import ViewVolume
from suite.errors import UserError

VISION, PROJECTION = "cond_stage_model.model.visual.", "cc_projection."
VOLUME = "view_volume"  # a folder that only `suite train_novel_view volume=` writes
MEMORY = "shape_memory"  # a folder of `suite train_shape_memory`; a view volume holds it afterwards
POSES = {"radius": 4, "polar": 4, "radius_polar": 5}  # how many numbers; see priors.zero123.relative_pose


@dataclass(frozen=True)
class Zero123Components:
    """What a Zero123 is made of.

    Args:
        name: Where it came from, for messages.
        unet, vae: As Stable Diffusion's, but that the U-Net is fed two latents.
        image_encoder: A CLIPVisionModelWithProjection (one token a picture) or a CLIPVisionModel (one a patch).
        projection: A linear layer, from a token and the pose to what the U-Net attends to.
        scheduler: The scheduler's configuration.
        pose: Which numbers the pose is: one of POSES.
        volume: What makes a volume of the picture, whose view is laid beside x_t; else the picture itself is.
    """

    name: str
    unet: nn.Module
    vae: nn.Module
    image_encoder: nn.Module
    projection: nn.Linear
    scheduler: dict[str, Any]
    pose: str
    volume: ViewVolume | None = None


def check_fit(components: Zero123Components) -> None:
    """Raises:
    UserError: The parts are of different models.
    """
    unet, vae, encoder = components.unet.config, components.vae.config, components.image_encoder
    width = encoder.config.projection_dim if has_projection(encoder) else encoder.config.hidden_size
    linear = components.projection
    pairs = (
        ("input channels in its U-Net", unet.in_channels, "twice the autoencoder's", 2 * vae.latent_channels),
        ("inputs of its projection", linear.in_features, "tokens and pose", width + POSES[components.pose]),
        ("outputs of its projection", linear.out_features, "the U-Net's", unet.cross_attention_dim),
    )
    for what, ours, whose, theirs in pairs:
        if ours != theirs:
            raise UserError(
                f"{components.name} mixes parts of different models, or its pose is not {components.pose}: "
                f"{ours} {what}, {whose} {theirs}."
            )


def load_zero123_folder(
    folder: Path, *, name: str, pose: str, variant: str | None, dtype: torch.dtype
) -> Zero123Components:
    """Load a folder in diffusers' layout.

    Args:
        name: What the user called it: a folder of the hub's cache is named by its revision.

    Raises:
        UserError: It holds something else, or something is missing or damaged.
    """
    if not (folder / "model_index.json").exists():
        names = listing(sorted(entry.name for entry in folder.iterdir()))
        raise UserError(f"'{folder}' has no model_index.json, so it is no checkpoint. It holds: {names}.")
    index = read_json(folder / "model_index.json")
    projection = projection_of(index)
    if projection is None:
        raise UserError(
            f"'{folder}' holds a {index.get('_class_name')}; a Zero123 has {' or '.join(PROJECTIONS)} too."
        )
    for part in (*PARTS_ZERO123, projection):
        if not (folder / part).is_dir():
            names = listing(sorted(entry.name for entry in folder.iterdir()))
            raise UserError(f"'{folder}' has no folder {part}/. It holds: {names}. Download it again.")

    def load(part: str) -> nn.Module:
        return load_network(folder / part, class_of(*index[part]), variant=variant, dtype=dtype)

    return Zero123Components(
        name=name,
        unet=load("unet"),
        vae=load("vae"),
        image_encoder=load("image_encoder"),
        projection=_folder_projection(folder / projection, variant, dtype),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        pose=pose_of(pose, index.get("pose"), name),
        volume=load_network(folder / VOLUME, ViewVolume, variant=variant, dtype=dtype)
        if (folder / VOLUME).is_dir()
        else None,
    )


def load_view_volume(folder: str | Path) -> ViewVolume:
    """The volume of a folder of `suite train_view_solids` or `suite train_view_volume`, or of a Zero123 that has one.

    Raises:
        UserError: There is none, or it is damaged.
    """
    folder = SHIPPED.get(str(folder), Path(folder).expanduser())
    if not (folder / VOLUME).is_dir():
        raise UserError(
            f"'{folder}' has no folder {VOLUME}/. "
            "Give volume/ of a run of suite train_view_volume or train_view_solids."
        )
    with quiet():
        return load_network(folder / VOLUME, ViewVolume, variant=None, dtype=torch.float32)


def load_shape_memory(folder: str | Path) -> ShapeMemory:
    """The memory of shapes that `suite train_shape_memory` made.

    Raises:
        UserError: There is none.
    """
    folder = Path(folder).expanduser()
    if not (folder / MEMORY).is_dir():
        raise UserError(f"'{folder}' has no folder {MEMORY}/. Give one that suite train_shape_memory made.")
    with quiet():
        return load_network(folder / MEMORY, ShapeMemory, variant=None, dtype=torch.float32)


def load_zero123_file(
    path: Path, *, pose: str, dtype: torch.dtype, config: str | Path | None
) -> Zero123Components:
    """Load an original single file.

    Args:
        config: A folder with configurations, for networks of unusual size.

    Raises:
        UserError: It is damaged, incomplete or something else.
    """
    tensors = read_tensors(path)
    for prefix, what in ((UNET, "U-Net"), (VAE, "autoencoder"), (VISION, "CLIP"), (PROJECTION, "projection")):
        if not any(name.startswith(prefix) for name in tensors):
            raise UserError(
                f"'{path}' is no Zero123: it has no {what} ({prefix}*); its tensors are named "
                f"{listing(sorted(tensors), 3)}. Give 105000.ckpt, zero123-xl.ckpt or stable_zero123.ckpt."
            )
    folder = Path(config).expanduser() if config else CONFIGURATIONS / "zero123"
    return Zero123Components(
        name=str(path),
        unet=ldm_unet(tensors, folder, dtype, path),
        vae=ldm_vae(tensors, folder, dtype, path),
        image_encoder=_vision(tensors, folder, dtype, path),
        projection=_linear(tensors, PROJECTION, dtype, f"{path} ({PROJECTION}*)"),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        pose=pose_of(pose, None, str(path)),
    )


def pose_of(asked: str, said: str | None, name: str) -> str:
    """Which pose a checkpoint was trained with: as asked, else as its model_index.json says, else by its name.

    Raises:
        UserError: What was asked or said is no pose, or they differ.
    """
    for pose in (asked, said):
        if pose not in ("auto", None, *POSES):
            raise UserError(f"pose={pose!r} is not one of: auto, {', '.join(POSES)}.")
    if said and asked not in ("auto", said):
        raise UserError(f"'{name}' was trained with pose={said} (model_index.json), not {asked}.")
    if said or asked != "auto":
        return said or asked
    return "polar" if "stable" in Path(name).name.lower().replace("stable-diffusion", "") else "radius"


def _vision(tensors: dict[str, Tensor], folder: Path, dtype: torch.dtype, path: Path) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig.from_pretrained(folder / "image_encoder", local_files_only=True)
    return filled(
        lambda: CLIPVisionModelWithProjection(config),
        lambda: convert_open_ai_vision(tensors, VISION),
        {},
        VISION,
        dtype,
        path,
    )


def _folder_projection(place: Path, variant: str | None, dtype: torch.dtype) -> nn.Linear:
    """The projection of a folder, whatever its class called it: the sizes are those of the weights."""
    names = sorted(entry.name for entry in place.iterdir())
    files, _ = choose(names, variant)
    if not files:
        raise UserError(f"'{place}' has no weights. It holds: {listing(names)}. Download it again.")
    tensors = read_tensors(place / files[0])
    return _linear(tensors, "", dtype, str(place))


def _linear(tensors: dict[str, Tensor], prefix: str, dtype: torch.dtype, place: str) -> nn.Linear:
    own = {name.rpartition(".")[2]: value for name, value in tensors.items() if name.startswith(prefix)}
    count = sum(name.startswith(prefix) for name in tensors)
    if set(own) != {"weight", "bias"} or count != 2 or own["weight"].shape[:1] != own["bias"].shape:
        names = sorted(name for name in tensors if name.startswith(prefix))
        raise UserError(
            f"'{place}' is not one linear layer: it holds {listing(names, 4)}. Download it again."
        )
    linear = nn.Linear(*reversed(own["weight"].shape), device="meta")
    linear.load_state_dict({name: value.to(dtype) for name, value in own.items()}, assign=True)
    return linear.eval()
