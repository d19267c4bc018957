"""Animators on disk: this package's folders, read strictly, and Moore-AnimateAnyone's files (`video.animate.moore`).

animator.json                    which noise, the pose guider's widths, and `rest`: whose tensors are left out
denoising_unet/ reference_unet/  of diffusers; or, with a rest, .safetensors of what differs from the prior's U-Net
image_encoder/                   of transformers
pose_guider.safetensors
motion_module.safetensors        in AnimateDiff's names; absent before the second stage of training
"""

import copy
import json
import logging
import zlib
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save as to_bytes
from torch import Tensor
from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

from priors.checkpoints import quiet
from priors.loading.folders import class_of, listing, load_network, read_json
from priors.stable_diffusion import StableDiffusionPrior
from suite.errors import UserError
from suite.io.paths import MissingFile
from suite.io.weights import check_same_tensors, write_atomically
from video.animate.animator import Animator, Encoder, copied
from video.animate.moore import load_moore, moore_files
from video.animate.pose_guider import PoseGuider
from video.motion import files as motion_files
from video.motion_prior import unet_of

logger = logging.getLogger(__name__)
INDEX, GUIDER, MOTION = "animator.json", "pose_guider.safetensors", "motion_module.safetensors"
UNETS = {"denoiser": "denoising_unet", "reference": "reference_unet"}
ENCODER = "image_encoder"
ENCODERS = (CLIPVisionModel, CLIPVisionModelWithProjection)


def load(path: str, prior: StableDiffusionPrior, *, image_encoder: str = "", noise: str = "auto") -> Animator:
    """An animator from this package's folder, or from one with Moore-AnimateAnyone's .pth files.

    Args:
        prior: The image prior that it belongs to.
        image_encoder: A folder with a CLIP picture tower, if it is not image_encoder/ in the folder.
        noise: See `Animator`; "auto" is what the folder says, or "moore" for Moore's files.

    Raises:
        UserError: It is missing, damaged, incomplete, something else, or of another prior.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise MissingFile(f"There is no folder of an animator at {folder}.")
    encoder = Path(image_encoder).expanduser() if image_encoder else folder / ENCODER
    if (folder / INDEX).exists():
        made = _load_own(folder, prior, encoder, noise)
    elif moore_files(folder):
        made = load_moore(folder, prior, load_encoder(encoder), noise="moore" if noise == "auto" else noise)
    else:
        names = sorted(entry.name for entry in folder.iterdir())
        raise UserError(
            f"'{folder}' is no animator: it has neither {INDEX} nor Moore-AnimateAnyone's reference_unet.pth. It "
            f"holds: {listing(names)}."
        )
    made.check_fit(prior)
    return made.requires_grad_(False).eval()


def save(
    animator: Animator, path: str | Path, *, half: bool = False, base: UNet2DConditionModel | None = None
) -> None:
    """Write a folder.

    Args:
        half: In half precision.
        base: The image prior's U-Net: of both U-Nets only what differs from it is written, and the folder needs that
            prior, with these very weights.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: getattr(animator, part) for part, name in UNETS.items()}
    index = {"noise": animator.noise, "guider_widths": list(animator.guider.widths)}
    tensors = {GUIDER: animator.guider.state_dict()}
    whole = {ENCODER: animator.image_encoder} | (parts if base is None else {})
    if base is not None:
        index["rest"] = checksum(base)
        for name, network in parts.items():
            tensors[f"{name}.safetensors"] = _differences(network, base)
    with quiet():
        for name, network in whole.items():
            written = copy.deepcopy(network).cpu()
            (torch.nn.Module.half(written) if half else written).save_pretrained(folder / name)
    for name, found in tensors.items():
        kept = {k: (x.half() if half else x).detach().cpu().contiguous() for k, x in found.items()}
        write_atomically(folder / name, to_bytes(kept, metadata={"format": "pt"}))
    if animator.motion is not None:
        motion_files.save(animator.motion, folder / MOTION, half=half)
    write_atomically(folder / INDEX, json.dumps(index, indent=2) + "\n")


def needs_prior(path: str | Path) -> bool:
    """Whether of both U-Nets a folder holds only what differs from the image prior's."""
    index = Path(path).expanduser() / INDEX
    return index.exists() and "rest" in read_json(index)


def checksum(unet: UNet2DConditionModel) -> int:
    """CRC-32 of a U-Net's weights, in single precision."""
    total = 0
    for name, x in sorted(unet.state_dict().items()):
        total = zlib.crc32(x.detach().float().cpu().contiguous().numpy(), zlib.crc32(name.encode(), total))
    return total


def _differences(network: UNet2DConditionModel, base: UNet2DConditionModel) -> dict[str, Tensor]:
    rest = base.state_dict()
    return {
        name: x
        for name, x in network.state_dict().items()
        if not torch.equal(x.cpu(), rest[name].float().cpu())
    }


def load_encoder(folder: Path) -> Encoder:
    """A CLIP picture tower from a folder of transformers.

    Raises:
        UserError: It is missing, damaged or another network.
    """
    if not (folder / "config.json").exists():
        raise MissingFile(
            f"There is no image encoder at {folder}: give image_encoder=FOLDER, a CLIP picture tower of transformers."
        )
    said = (read_json(folder / "config.json").get("architectures") or ["none"])[0]
    if said not in {cls.__name__ for cls in ENCODERS}:
        names = " or ".join(cls.__name__ for cls in ENCODERS)
        raise UserError(f"'{folder}' holds a {said}, not a {names}.")
    return load_network(folder, class_of("transformers", said), variant=None, dtype=torch.float32)


def _load_own(folder: Path, prior: StableDiffusionPrior, encoder: Path, noise: str) -> Animator:
    index = read_json(folder / INDEX)
    unknown = sorted((index.keys() - {"rest"}) ^ {"noise", "guider_widths"})
    if unknown:
        raise UserError(
            f"'{folder / INDEX}' must say noise and guider_widths, nothing else: see {unknown[0]}."
        )
    unets = _whole(folder) if "rest" not in index else _with_rest(folder, unet_of(prior), index["rest"])
    guider = PoseGuider(unets["denoiser"].config.block_out_channels[0], index["guider_widths"])
    tensors, _ = motion_files.read_tensors(folder / GUIDER)
    check_same_tensors(guider.state_dict(), tensors, str(folder / GUIDER))
    guider.load_state_dict({name: x.float() for name, x in tensors.items()})
    motion = None
    if (folder / MOTION).exists():
        motion = motion_files.load(str(folder / MOTION), across_frames=False)
    return Animator(
        **unets, guider=guider, image_encoder=load_encoder(encoder), motion=motion,
        noise=index["noise"] if noise == "auto" else noise, name=str(folder),
    )  # fmt: skip


def _whole(folder: Path) -> dict[str, UNet2DConditionModel]:
    for name in UNETS.values():
        if not (folder / name).is_dir():
            raise UserError(f"'{folder}' has no folder {name}/. Copy it again.")
    return {
        part: load_network(folder / name, UNet2DConditionModel, variant=None, dtype=torch.float32)
        for part, name in UNETS.items()
    }


def _with_rest(folder: Path, base: UNet2DConditionModel, rest: int) -> dict[str, UNet2DConditionModel]:
    """Both U-Nets: the image prior's with what differs."""
    if checksum(base) != rest:
        raise UserError(f"'{folder}' belongs to other weights of this prior: train it again, or take those.")
    unets = {}
    for part, name in UNETS.items():
        file = folder / f"{name}.safetensors"
        if not file.exists():
            raise UserError(f"'{folder}' has no {file.name}. Copy it again.")
        unets[part], (tensors, _) = copied(base), motion_files.read_tensors(file)
        check_same_tensors(base.state_dict(), base.state_dict() | tensors, str(file))
        unets[part].load_state_dict({k: x.float() for k, x in tensors.items()}, strict=False)
    return unets
