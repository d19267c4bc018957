"""Motion modules to be trained: fresh ones for a U-Net, and trained ones that learn to read words or to know places."""

import math
from collections.abc import Sequence

from diffusers import MotionAdapter, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn

from suite.errors import UserError
from suite.rng import global_randomness, reseed
from video.motion.modules import Motion, WordsAttention, listed, shape_of
from video.motion.places import Placed


def fresh(
    unet: UNet2DConditionModel, *, positions: int = 32, mid: bool = False, heads: int = 8, still: bool = False,
    words: bool = False, places: bool = False, seed: int = 0,
) -> Motion:  # fmt: skip
    """Motion modules for a U-Net that leave it as it is, to be trained.

    Args:
        positions: The most frames of a clip.
        mid: Whether the middle block has one too, as in v2.
        heads: Of attention.
        still: Whether they have an input for a still.
        words: Whether they read the caption, in place of the second attention over frames.
        places: Whether they are told where in the picture they stand, and what words say of it.
        seed: Of the weights before the zero ones.

    Raises:
        UserError: The heads do not divide the U-Net's channels, or a count is not positive.
    """
    widths, layers = shape_of(unet)
    check_heads(widths, heads)
    if positions < 1:
        raise UserError(f"positions must be positive, got {positions}.")
    with global_randomness():
        reseed(seed, 0, "motion")
        motion = Motion(
            build_adapter(
                widths,
                layers=layers,
                positions=positions,
                mid=mid,
                heads=heads,
                entrance=2 * unet.config.in_channels + 1 if still else None,
                words=unet.config.cross_attention_dim if words else None,
                places=unet.config.cross_attention_dim if places else None,
            ),  # fmt: skip
            name="the motion module in training",
        )
    for transformer in motion.transformers().values():
        nn.init.zeros_(transformer.proj_out.weight)
        nn.init.zeros_(transformer.proj_out.bias)
    if still:
        nn.init.zeros_(motion.adapter.conv_in.weight)
        nn.init.zeros_(motion.adapter.conv_in.bias)
    return motion


def build_adapter(
    widths: Sequence[int], *, layers: int, positions: int, mid: bool, heads: int = 8, transformer_layers: int = 1,
    entrance: int | None = None, words: int | None = None, places: int | None = None,
) -> MotionAdapter:  # fmt: skip
    """diffusers' container of motion modules; 32 groups as the original, or fewer where channels ask for it.

    Args:
        entrance: Channels of the first convolution of modules that see a still: noise, affinity, still. Of its weights
            only those of affinity and still count: the noise's are the U-Net's own.
        words: Width of the tokens of words that the second attention reads; None: it is over frames again.
        places: Width of the tokens of words that say what is where; None: modules know no places.
    """
    adapter = MotionAdapter(
        block_out_channels=tuple(widths), motion_layers_per_block=layers, motion_max_seq_length=positions,
        motion_num_attention_heads=heads, motion_norm_num_groups=math.gcd(32, *widths), use_motion_mid_block=mid,
        motion_transformer_layers_per_block=transformer_layers,
        motion_transformer_layers_per_mid_block=transformer_layers, conv_in_channels=entrance,
    )  # fmt: skip
    if words is not None:
        for block in (m for m in adapter.modules() if isinstance(m, BasicTransformerBlock)):
            block.attn2 = _to_words(block, words, heads)
    if places is not None:
        _tell_places(adapter, places)
    return adapter


def taught_words(motion: Motion, width: int, *, seed: int = 0) -> None:
    """Let trained modules read words: their second attention, over frames, gives way to one that does nothing yet.

    Args:
        width: Of the words' tokens.
        seed: Of its weights before the zero ones.
    """
    with global_randomness():
        reseed(seed, 0, "words")
        for block in (m for m in motion.modules() if isinstance(m, BasicTransformerBlock)):
            block.attn2 = _to_words(block, width, block.attn2.heads)
            nn.init.zeros_(block.attn2.to_out[0].weight)
            nn.init.zeros_(block.attn2.to_out[0].bias)


def taught_places(motion: Motion, width: int, *, seed: int = 0) -> None:
    """Let trained modules know where in the picture they stand, and what words say of it; at first they do as before.

    Args:
        width: Of the words' tokens.
        seed: Of the weights before the zero ones.
    """
    with global_randomness():
        reseed(seed, 0, "places")
        _tell_places(motion.adapter, width)


def check_heads(widths: Sequence[int], heads: int) -> None:
    """Raises:
    UserError: Attention of these channels cannot be split into so many heads.
    """
    if heads < 1 or any(width % heads for width in widths):
        raise UserError(f"heads={heads} does not divide the channels {listed(widths)}.")


def _tell_places(adapter: MotionAdapter, width: int) -> None:
    for transformer in (m for m in adapter.modules() if isinstance(m, AnimateDiffTransformer3D)):
        transformer.placed = Placed(transformer.in_channels, width)


def _to_words(block: BasicTransformerBlock, width: int, heads: int) -> WordsAttention:
    return WordsAttention(block.dim, width, heads=heads, dim_head=block.dim // heads, bias=False)
