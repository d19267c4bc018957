"""Priors on the pixels themselves: the exact ones need no autoencoder."""

from torch.nn import functional as F

from priors.base import Prior
from suite.types import Images, Latents


class PixelPrior(Prior):
    """A prior whose latents are square images in [-1, 1] at its own size."""

    def encode(self, images: Images) -> Latents:
        """2 images - 1, resized to the prior's size (bilinear, antialiased)."""
        size = (self.resolution, self.resolution)
        if tuple(images.shape[-2:]) != size:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return images * 2 - 1

    def decode(self, latents: Latents) -> Images:
        """(latents + 1) / 2, clipped to [0, 1]."""
        return (latents / 2 + 0.5).clamp(0, 1)
