"""A linear patch codec: an autoencoder whose encoder and decoder are one orthogonal matrix.

Each 4x4 patch of an image in [-1, 1] becomes its first principal components:

    z = scale * B (p - mean),    p = mean + B^T z / scale,    B B^T = 1

so that distillation's gradient reaches the pixels undistorted (a small convolutional encoder in its place answers with
adversarial texture). It speaks as diffusers' `AutoencoderKL` does, and stands in that place of a checkpoint directory.
"""

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


class PatchCodec(ModelMixin, ConfigMixin):
    """An orthogonal linear codec of image patches.

    Args:
        patch: Side of a patch in pixels; a power of two.
        latent_channels: Number of components kept.
        in_channels: Channels of an image.
        scaling_factor: Latents times this are what a denoiser sees: about unit variance.
        block_out_channels: Only its length is read, by diffusers' pipelines: the factor is 2 ** (length - 1).
    """

    @register_to_config
    def __init__(
        self,
        patch: int = 4,
        latent_channels: int = 12,
        in_channels: int = 3,
        scaling_factor: float = 1.0,
        block_out_channels: Sequence[int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        size = in_channels * patch * patch
        self.basis = torch.nn.Parameter(torch.eye(latent_channels, size), requires_grad=False)
        self.mean = torch.nn.Parameter(torch.zeros(size), requires_grad=False)

    def encode(self, x: Float[Tensor, "b c h w"], return_dict: bool = True) -> AutoencoderKLOutput:
        """Latents of images in [-1, 1]; the distribution has no spread."""
        patches = F.pixel_unshuffle(x, self.config.patch) - self.mean[:, None, None]
        latents = torch.einsum("kp,bphw->bkhw", self.basis, patches)
        moments = torch.cat([latents, torch.full_like(latents, -30.0)], dim=1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments, deterministic=True))

    def decode(
        self, z: Float[Tensor, "b k h w"], return_dict: bool = True, generator=None
    ) -> DecoderOutput | tuple:
        """Images in about [-1, 1] of latents."""
        patches = torch.einsum("kp,bkhw->bphw", self.basis, z) + self.mean[:, None, None]
        images = F.pixel_shuffle(patches, self.config.patch)
        return DecoderOutput(sample=images) if return_dict else (images,)


def fit_codec(images: Float[Tensor, "b 3 h w"], *, patch: int = 4, latent_channels: int = 12) -> PatchCodec:
    """The codec of the principal components of these images in [0, 1]; scaled to latents of unit variance."""
    patches = F.pixel_unshuffle(images * 2 - 1, patch).movedim(1, -1).reshape(-1, 3 * patch * patch).double()
    mean = patches.mean(0)
    _, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    basis = vectors.flip(-1)[:, :latent_channels].T
    # eigenvectors come with either sign; make the largest entry positive so that a refit gives the same codec
    basis = basis * basis.gather(1, basis.abs().argmax(1, keepdim=True)).sign()
    latents = (patches - mean) @ basis.T
    codec = PatchCodec(patch, latent_channels, 3, float(1 / latents.std()), (1,) * patch.bit_length())
    with torch.no_grad():
        codec.basis.copy_(basis)
        codec.mean.copy_(mean)
    return codec
