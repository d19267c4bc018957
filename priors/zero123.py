"""Zero-1-to-3: what an object looks like from elsewhere, given one picture of it (Liu et al. 2023, arXiv:2303.11328).

    token = W [CLIP(image), pose] + b        what the U-Net attends to
    eps_hat(x_t, t) = U-Net([x_t, E(2 image - 1)], t, token)

    E       the autoencoder's mode, *not* multiplied by its scaling factor, unlike x_0
    pose    of the wanted view relative to the picture's: see `priors.view_condition`

A prior with a volume (pocket_zero123) lays E(2 view - 1) beside x_t, the view of the picture's volume from the wanted
camera (`priors.view_volume`), in place of the picture itself.

Guidance starts from a zero token (after the projection) and a zero latent, as the authors sample. Their training fed
W [0, pose] + b instead: a mismatch of the originals that is kept here, because their results come with it.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from priors.base import CameraContract, Condition
from priors.checkpoints import check_packages, locate, quiet
from priors.loading.zero123 import Zero123Components, check_fit, load_zero123_file, load_zero123_folder
from priors.stable_diffusion import DTYPES, HALF_DEVICES, KINDS
from priors.view_condition import has_projection, image_tokens, join, patches, relative_pose
from priors.view_prior import ViewPrior
from suite.diffusion.noise import NoiseSchedule
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import Volumes, render_volumes
from suite.types import Images, Latents, Times

FOV_DEG = 49.13  # a lens of 35 mm before a sensor of 32 mm: 2 atan(16 / 35)
DISTANCE = (1.5, 2.2)


class Zero123Prior(ViewPrior):
    """A frozen Zero123.

    Objects have a longest side of 1, are centred, and are seen on white with a field of view of 49.13 degrees from a
    distance of 1.5 to 2.2; it warns of anything else that it can see.

    Args:
        components: Its parts, from `priors.loading.zero123`.
        resolution: Side of the images that it is asked about; None is the one it was trained on.
        guidance_scale: The classifier-free scale that suits distilling it; the authors sample with 3.
        half_on_gpu: Become float16 when moved to a GPU, and float32 when moved back.
        start: The time at which sampling its views begins where nobody says: see `priors.view_sampling`.
    """

    def __init__(
        self,
        components: Zero123Components,
        *,
        resolution: int | None = None,
        guidance_scale: float = 3.0,
        half_on_gpu: bool = False,
        start: float = 1.0,
    ) -> None:
        super().__init__()
        check_fit(components)
        self.name, self.pose = components.name, components.pose
        self.unet, self.vae = components.unet, components.vae
        self.image_encoder, self.projection = components.image_encoder, components.projection
        self.volume = components.volume
        self.schedule = NoiseSchedule.from_scheduler_config(components.scheduler)
        self.kind = KINDS[components.scheduler.get("prediction_type", "epsilon")]
        self.latent_channels = self.vae.config.latent_channels
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        native = self.unet.config.sample_size * self.factor
        self.resolution = resolution or native
        if self.resolution % self.factor or self.resolution < 4 * self.factor:
            raise UserError(
                f"resolution={resolution} does not fit {self.name}: use a multiple of {self.factor} from "
                f"{4 * self.factor}, as {native}."
            )
        self.camera_contract = CameraContract(fov_deg=(FOV_DEG, FOV_DEG), distance=DISTANCE)
        self.guidance_scale, self.half_on_gpu, self.start = guidance_scale, half_on_gpu, float(start)
        self._looked: tuple[Tensor, Latents | Volumes] | None = None
        self.requires_grad_(False).eval()

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "Zero123Prior":
        if self.half_on_gpu:  # before the move, so that the GPU never holds float32
            device = function(torch.empty(0, device=self.device)).device
            dtype = torch.float16 if device.type in HALF_DEVICES else torch.float32
            for network in self.children():
                nn.Module.to(network, dtype)
        self._looked = None
        return super()._apply(function, recurse)

    def train(self, mode: bool = True) -> "Zero123Prior":
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    # --------------------------------------------------------------------------------------- what it is asked

    def show(self, image: Images, reference: Cameras) -> None:
        """The picture that `embed` speaks of from now on where it is given none.

        Args:
            image: One picture, or one for each camera of every `embed`; of a centred object on white.
            reference: The camera that took it, or one each. Only differences of azimuth matter.

        Raises:
            ValueError: Their numbers differ.
        """
        if len(image) != len(reference):
            raise ValueError(f"show needs a camera a picture, got {len(image)} and {len(reference)}.")
        self.camera_contract.check(reference)
        _check_background(image)
        self._shown, self._looked = (image, reference), None

    def condition_of(
        self, texts: Sequence[str], cameras: Cameras, image: Images | None, reference: Cameras | None
    ) -> Condition:
        """The picture's tokens with each camera's pose, and what is laid beside x_t. It does not read the texts.

        Raises:
            ValueError: There are several pictures, but not one a camera.
        """
        if image is None:
            (tokens, beside), reference = self.looked(), self._shown[1]
        else:
            self.camera_contract.check(reference)
            tokens, beside = self.look(image, reference)
        n = len(cameras)
        if len(reference) not in (1, n):
            raise ValueError(
                f"embed takes one picture or one a camera, got {len(reference)} for {n} cameras."
            )
        pose = relative_pose(self.pose, reference, cameras).to(self.device)
        beside = beside.expand(n, *beside.shape[1:])
        found = {
            "tokens": join(self.projection, tokens.expand(n, -1, -1), pose),
            "latents": self._latents(self.seen(beside, reference, cameras)) if self.volume else beside,
        }
        nothing = Condition({name: torch.zeros_like(tensor) for name, tensor in found.items()})
        return Condition(found, nothing, empty=nothing)

    def looked(self) -> tuple[Float[Tensor, "b l d"], Latents | Volumes]:
        """`look` at what is shown, once."""
        self._looked = self._looked or self.look(*self._shown)
        return self._looked

    def expected(
        self, cameras: Cameras, image: Images | None = None, *, reference: Cameras | None = None
    ) -> Images | None:
        """Views of the picture's volume, blurred where it is unsure; None without one."""
        if self.volume is None:
            return None
        if image is None:
            (_, volume), reference = self.looked(), self._shown[1]
        else:
            _, volume = self.look(image, reference)
        return self.seen(volume.expand(len(cameras), *volume.shape[1:]), reference, cameras)

    @torch.no_grad()
    def look(self, image: Images, reference: Cameras) -> tuple[Float[Tensor, "b l d"], Latents | Volumes]:
        """A picture's tokens before the projection, and its latent, or its volume where the prior has one."""
        image = self._resized(image.to(self.device))
        tokens = image_tokens(self.image_encoder, image)
        if self.volume:
            return tokens, self.volume.of(image, reference.to(self.device))
        return tokens, self._latents(image)

    @torch.no_grad()
    def seen(self, volumes: Volumes, reference: Cameras, wanted: Cameras) -> Images:
        """Views of volumes that `look` made, one each: the mean of what may be there, blurred where that is unsure."""
        one_each = torch.arange(len(volumes)) if len(reference) > 1 else torch.zeros(len(volumes)).long()
        wanted = wanted.resized(self.resolution, self.resolution).to(self.device)
        return render_volumes(volumes, reference[one_each].to(self.device), wanted).clamp(0, 1)

    def _latents(self, images: Images) -> Latents:
        """As the U-Net is given them: not scaled."""
        return self.vae.encode((2 * images - 1).to(self.vae.dtype)).latent_dist.mode().float()

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """Zeros for "".

        Raises:
            ValueError: Any other text.
        """
        if any(texts):
            raise ValueError(
                f"{type(self).__name__} does not read texts but cameras: give embed cameras=, or '' for none."
            )
        side, n = self.resolution // self.factor, len(texts)
        length = 1 if has_projection(self.image_encoder) else 1 + patches(self.image_encoder)
        return Condition(
            {
                "tokens": torch.zeros(n, length, self.projection.out_features, device=self.device),
                "latents": torch.zeros(n, self.latent_channels, side, side, device=self.device),
            }
        )

    # --------------------------------------------------------------------------------- images, latents, network

    def encode(self, images: Images) -> Latents:
        """Images to latents, differentiable in the images: the posterior's mode, scaled."""
        return self._latents(self._resized(images)) * self.vae.config.scaling_factor

    def decode(self, latents: Latents) -> Images:
        """Latents to images in [0, 1]."""
        x = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample
        return (x.float() / 2 + 0.5).clamp(0, 1)

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """The U-Net's answer at x_t beside the picture's latent.

        Raises:
            ValueError: x_t is not of the picture's size.
        """
        dtype, tokens, latents = self.unet.dtype, condition.tensors["tokens"], condition.tensors["latents"]
        if x_t.shape != latents.shape:
            raise ValueError(
                f"x_t {tuple(x_t.shape)} and the picture's latents {tuple(latents.shape)} differ: this prior "
                f"makes images of {self.resolution} pixels; set resolution= for another size."
            )
        both = torch.cat([x_t, latents], dim=1)
        answer = self.unet(
            both.to(dtype), self.schedule.model_time(t), encoder_hidden_states=tokens.to(dtype)
        )
        return answer.sample.float()

    def _resized(self, images: Images) -> Images:
        size = (self.resolution, self.resolution)
        if images.shape[-2:] == size:
            return images
        smaller = images.shape[-1] > self.resolution
        return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=smaller)


def _check_background(image: Images) -> None:
    """Warn of pictures whose border is not white (once: the message does not depend on them)."""
    border = torch.cat([image[..., [0, -1], :].flatten(1), image[..., [0, -1]].flatten(1)], dim=1)
    if bool((border.mean(dim=1) < 0.9).any()):
        warnings.warn(
            "The picture's border is not white; this prior knows objects on white. Cut the object out first.",
            stacklevel=3,
        )


def load(
    path: str | Path,
    *,
    pose: str = "auto",
    dtype: str = "auto",
    variant: str | None = None,
    resolution: int | None = None,
    guidance_scale: float = 3.0,
    start: float = 1.0,
    config: str | None = None,
) -> Zero123Prior:
    """A Zero123 from a folder, a single file, the hub or this package.

    Args:
        path: A folder in diffusers' layout, a .ckpt or .safetensors file, owner/name on the hub, or pocket_zero123.
        pose: radius (Zero123), polar (Stable Zero123), radius_polar; "auto" takes what the folder says, else polar
            where the name has "stable" in it.
        dtype: Of the networks: float32, float16, bfloat16; "auto" is float32, and float16 on a GPU.
        variant: Weight files to prefer, as fp16.
        resolution: Side of the images it is asked about; None is the one it was trained on.
        guidance_scale: The classifier-free scale that distillation uses where it is not told otherwise.
        start: The time at which sampling its views begins where nobody says, in [0, 1]: 1 is noise; less, for a prior
            with a volume, begins with the volume's views, and 0 is these.
        config: A folder with configurations, for single files of unusual size.

    Raises:
        UserError: The checkpoint is missing, damaged, incomplete or of another kind, or an option is wrong.
    """
    if dtype not in ("auto", *DTYPES):
        raise UserError(f"dtype={dtype!r} is not one of: auto, {', '.join(DTYPES)}.")
    number = DTYPES.get(dtype, torch.float32)
    parts = load_parts(path, pose=pose, dtype=number, variant=variant, config=config)
    if not 0 <= start <= 1 or (start < 1 and parts.volume is None):
        raise UserError(
            f"start is a time from 0 to 1, below 1 only for a prior with a volume; got {start:g}. Type prior.start=1."
        )
    return Zero123Prior(
        parts,
        resolution=resolution,
        guidance_scale=guidance_scale,
        half_on_gpu=dtype == "auto",
        start=start,
    )


def load_parts(
    path: str | Path,
    *,
    pose: str = "auto",
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
    config: str | None = None,
) -> Zero123Components:
    """What a Zero123 is made of; the options are those of `load`."""
    check_packages()
    found = locate(path, variant)
    with quiet():
        if found.is_file():
            return load_zero123_file(found, pose=pose, dtype=dtype, config=config)
        return load_zero123_folder(found, name=str(path), pose=pose, variant=variant, dtype=dtype)
