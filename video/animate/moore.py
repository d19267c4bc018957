"""Moore-AnimateAnyone's checkpoints: four files of tensors, read strictly with `weights_only=True`.

    reference_unet.pth    a U-Net of diffusers; without the layers behind its last block, whose output nobody uses
    denoising_unet.pth    the same of two dimensions, whole; motion modules in it are left out
    pose_guider.pth       conv_in, blocks.0 to 5, conv_out
    motion_module.pth     AnimateDiff's names, with one in the middle block; may be missing (after stage 1)

Its training writes them as reference_unet-30000.pth and so on: the latest is taken. The configuration of the U-Nets is
the image prior's, which has to be what they were trained from: Stable Diffusion 1.5.
"""

import copy
import logging
import re
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from priors.stable_diffusion import StableDiffusionPrior
from suite.errors import UserError
from suite.io.paths import MissingFile
from suite.io.weights import check_same_tensors
from video.animate.animator import Animator, Encoder
from video.animate.pose_guider import PoseGuider
from video.motion import files as motion_files
from video.motion_prior import unet_of

logger = logging.getLogger(__name__)

NAMES = ("reference_unet", "denoising_unet", "pose_guider", "motion_module")
OPTIONAL = "motion_module"
UNUSED = (
    "conv_norm_out.weight",
    "conv_norm_out.bias",
    "conv_out.weight",
    "conv_out.bias",
)  # of the ReferenceNet


def moore_files(folder: Path) -> dict[str, Path]:
    """The latest file of each name that is there."""
    found = {}
    for name in NAMES:
        steps = {
            int(match[1] or 0): place
            for place in folder.glob(f"{name}*.pth")
            if (match := re.fullmatch(rf"{name}(?:-(\d+))?\.pth", place.name))
        }
        if steps:
            found[name] = steps.get(0) or steps[max(steps)]
    return found


def load_moore(
    folder: Path, prior: StableDiffusionPrior, image_encoder: Encoder, *, noise: str = "moore"
) -> Animator:
    """The animator of a folder with these files.

    Raises:
        UserError: A file is missing or damaged, or does not hold exactly what it should.
    """
    files = moore_files(folder)
    for name in NAMES:
        if name not in files and name != OPTIONAL:
            raise MissingFile(f"'{folder}' has no {name}.pth. Download it again.")
    reference = unet_from(files["reference_unet"], prior, may_lack=UNUSED)
    denoiser = unet_from(files["denoising_unet"], prior, may_have="motion_modules.")
    motion = None
    if OPTIONAL in files:
        motion = motion_files.load(str(files[OPTIONAL]), across_frames=False)
    else:
        logger.warning("'%s' has no %s.pth: frames will not know of each other.", folder, OPTIONAL)
    return Animator(
        denoiser=denoiser, reference=reference, guider=guider_from(files["pose_guider"]), motion=motion,
        image_encoder=image_encoder, noise=noise, name=str(folder),
    )  # fmt: skip


def unet_from(
    path: Path, prior: StableDiffusionPrior, *, may_lack: tuple[str, ...] = (), may_have: str = "\0"
) -> UNet2DConditionModel:
    """A U-Net of the prior's configuration with the tensors of a file.

    Args:
        may_lack: Tensors that may be missing: all or none; they stay the prior's.
        may_have: Part of the names of tensors that are left out.
    """
    unet = nn.Module.to(copy.deepcopy(unet_of(prior)), torch.float32)
    tensors, _ = motion_files.read_tensors(path)
    found = {name: x for name, x in tensors.items() if may_have not in name}
    if not any(name in found for name in may_lack):
        found |= {name: unet.state_dict()[name] for name in may_lack}
    check_same_tensors(unet.state_dict(), found, str(path))
    unet.load_state_dict({name: x.float() for name, x in found.items()})
    return unet


def guider_from(path: Path) -> PoseGuider:
    """The pose guider of a file, of the widths that its tensors have."""
    tensors, _ = motion_files.read_tensors(path)
    guider = PoseGuider(_width(tensors, "conv_out", path), _widths(tensors, path))
    check_same_tensors(guider.state_dict(), tensors, str(path))
    guider.load_state_dict({name: x.float() for name, x in tensors.items()})
    return guider


def _widths(tensors: dict[str, Tensor], path: Path) -> list[int]:
    levels = sum(bool(re.fullmatch(r"blocks\.\d+\.weight", name)) for name in tensors) // 2
    names = ("conv_in", *(f"blocks.{2 * level + 1}" for level in range(levels)))
    return [_width(tensors, name, path) for name in names]


def _width(tensors: dict[str, Tensor], name: str, path: Path) -> int:
    weight = tensors.get(f"{name}.weight")
    if weight is None or weight.dim() != 4:
        raise UserError(
            f"{path} is no pose guider: it has no convolution {name}. Its file is pose_guider.pth."
        )
    return len(weight)
