"""What a Stable Diffusion prior is made of, wherever it was loaded from."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from priors.known_words import KnownWords

FAMILIES = {"sd15": "Stable Diffusion 1.x", "sd21": "Stable Diffusion 2.x", "sdxl": "Stable Diffusion XL"}


@dataclass(frozen=True)
class Components:
    """What a prior is made of.

    Args:
        name: Where it came from, for messages.
        unet, vae, text_encoders: Networks of diffusers and transformers (or a codec of this package).
        tokenizers: One a text encoder.
        scheduler: The scheduler's configuration.
        zero_for_empty: Whether the condition of "" is zeros (Stable Diffusion XL) instead of its embedding.
        known_words: The words that the text encoder has seen; None where it reads anything.
    """

    name: str
    unet: nn.Module
    vae: nn.Module
    text_encoders: tuple[nn.Module, ...]
    tokenizers: tuple[Any, ...]
    scheduler: dict[str, Any]
    zero_for_empty: bool = False
    known_words: KnownWords | None = None
