"""ReferenceNet: a second U-Net looks at a still, and the denoiser's spatial self-attention sees what it saw there.

    A(x) = softmax(W_q x (W_k [x; r])^T / sqrt(d)) W_v [x; r]        [;]: side by side on the axis of tokens

    x    tokens of one frame in a self-attention of the denoiser, normalised        b n c
    r    tokens of the still in the same self-attention of the ReferenceNet         b n c; the bank has one of each

Hu et al. 2023, arXiv:2311.17117, Sec. 3.2. The paper lays r beside x along the picture's width, attends, and keeps the
first half: the same numbers for twice the queries. W_q, W_k, W_v are the denoiser's. Where a still is left out, its
tokens weigh exactly nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor

from suite.types import Latents

Bank = Mapping[str, Float[Tensor, "b _ _"]]
"""The name of a self-attention -> the still's tokens there."""
LEFT_OUT = -1e4  # added to attention's logits: exp of it is 0 in every precision, and float16 holds it


def self_attentions(unet: UNet2DConditionModel) -> dict[str, Attention]:
    """The spatial self-attentions by name, in the order of the network's own modules."""
    return {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, Attention) and name.endswith(".attn1")
    }


def look(
    unet: UNet2DConditionModel, latents: Latents, tokens: Float[Tensor, "b l k"]
) -> dict[str, Float[Tensor, "b _ _"]]:
    """The bank of stills, from a ReferenceNet at time 0.

    Args:
        latents: Of the stills, without noise.
        tokens: What its cross-attention sees.
    """
    bank: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(_Keeping(bank, name)) for name, layer in self_attentions(unet).items()
    ]
    try:
        times = torch.zeros(len(latents), device=latents.device)
        unet(latents.to(unet.dtype), times, encoder_hidden_states=tokens.to(unet.dtype))
    finally:
        for handle in handles:
            handle.remove()
    return bank


@contextmanager
def seeing(
    unet: UNet2DConditionModel, bank: Bank, frames: int, shown: Float[Tensor, " b"] | None = None
) -> Iterator[None]:
    """Within it the denoiser's self-attentions see the stills too, each the one of its clip.

    Args:
        bank: One still a clip; an empty one changes nothing.
        frames: Of a clip: the denoiser's batch is `(b f)`.
        shown: 1, or 0 for clips whose still is to be left out; None shows all.

    Raises:
        ValueError: The bank is another network's.
    """
    layers = self_attentions(unet)
    if bank and bank.keys() != layers.keys():
        raise ValueError(
            f"The bank has {len(bank)} self-attentions, the denoiser {len(layers)}, or other ones."
        )
    handles = [
        layers[name].register_forward_pre_hook(_Joining(tokens, frames, shown), with_kwargs=True)
        for name, tokens in bank.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Keeping:
    """Before a self-attention: its tokens are kept."""

    def __init__(self, bank: dict[str, Tensor], name: str) -> None:
        self.bank, self.name = bank, name

    def __call__(self, _: Attention, args: tuple) -> None:
        self.bank.setdefault(self.name, args[0])  # computed again in a backward pass, it is the same


class _Joining:
    """Before a self-attention: keys and values are to come from its own tokens and the still's."""

    def __init__(self, tokens: Tensor, frames: int, shown: Tensor | None) -> None:
        self.tokens, self.frames, self.shown = tokens, frames, shown

    def __call__(self, _: Attention, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        x = args[0]
        still = self.tokens.to(x.dtype).repeat_interleave(self.frames, 0)
        kwargs = kwargs | {"encoder_hidden_states": torch.cat([x, still], dim=1)}
        if self.shown is not None:
            hidden = LEFT_OUT * (1 - self.shown.to(x)).repeat_interleave(self.frames)
            own = torch.zeros(len(x), 1, x.shape[1], dtype=x.dtype, device=x.device)
            kwargs["attention_mask"] = torch.cat(
                [own, hidden[:, None, None].expand(-1, 1, still.shape[1])], -1
            )
        return args, kwargs
