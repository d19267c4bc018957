"""The original's tensor names and diffusers', and what a file of them is.

    original     down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_q.weight
    diffusers    down_blocks.0.motion_modules.0.transformer_blocks.0.attn2.to_q.weight

    layout    table of positions    in the middle block too    resnets normalise
    v1        24                    no                         over all frames of a clip
    v2        32                    yes                        each frame by itself
    v3        32                    no                         each frame by itself
    sdxl      32, three levels      no                         each frame by itself
    lcm       none in the file      as its model               each frame by itself

Modules that know places have four matrices more (placed.), which no published file has.
Whether a second attention is over frames or to words its to_k tells: as wide as the block, or as the words.
PIA's, which see a still, have a first convolution (conv_in) of 9 channels beside a layout's tensors.
The original has the same table twice in each block, before either attention; diffusers has it once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import MotionAdapter
from torch import Tensor

from suite.errors import UserError

Tensors = dict[str, Tensor]
Layout = str

RENAMES = (  # original, diffusers
    (".temporal_transformer.", "."),
    (".attention_blocks.0.pos_encoder.", ".pos_embed."),
    (".attention_blocks.0.", ".attn1."),
    (".attention_blocks.1.", ".attn2."),
    (".norms.0.", ".norm1."),
    (".norms.1.", ".norm2."),
    (".ff_norm.", ".norm3."),
)
SECOND_TABLE = ".attention_blocks.1.pos_encoder."
POSITIONS_OF_LCM = 64  # what others take where the file has no table: the sinusoids are a formula
OTHERS = (  # a sign among the names, what the file is
    ("pos_encoder.positional_encoding", "a HotshotXL, whose modules are of another kind"),
    ("temporal_attentions.", "a HotshotXL, whose modules are of another kind"),
    ("controlnet_cond_embedding.", "a SparseCtrl, which is a ControlNet and not a motion module"),
    ("input_hint_block.", "a SparseCtrl, which is a ControlNet and not a motion module"),
    (".temporal_transformer.pos_embed", "a HelloMeme, whose modules are of another kind"),
    ("cc_projection.", "a camera-controlled motion module, whose layers are not supported"),
)


@dataclass(frozen=True)
class Shape:
    """What a motion module's tensors tell of it.

    `entrance`: channels of the first convolution, if it sees a still; `words`: width of the tokens, if it reads words;
    `places`: width of the tokens that tell it what is where.
    """

    widths: tuple[int, ...]
    layers: int
    transformer_layers: int
    positions: int
    mid: bool
    layout: Layout
    entrance: int | None = None
    words: int | None = None
    places: int | None = None


def to_diffusers(tensors: Mapping[str, Tensor], name: str) -> Tensors:
    """The tensors of a file in the original's names, in diffusers'; the second table of positions is left out.

    Raises:
        UserError: The two tables of a block differ.
    """
    renamed = {}
    for key, value in tensors.items():
        if SECOND_TABLE in key:
            first = tensors.get(key.replace(SECOND_TABLE, ".attention_blocks.0.pos_encoder."))
            if first is not None and not torch.equal(first, value):
                raise UserError(f"{name} has two different tables of positions in one block ({key}).")
            continue
        renamed[diffusers_key(key)] = value
    return renamed


def to_original(tensors: Mapping[str, Tensor]) -> Tensors:
    """The inverse of `to_diffusers`."""
    renamed = {}
    for key, value in tensors.items():
        original = original_key(key)
        renamed[original] = value
        if ".pos_embed." in key:
            renamed[original.replace(".attention_blocks.0.pos_encoder.", SECOND_TABLE)] = value.clone()
    return renamed


def diffusers_key(key: str) -> str:
    """One name of the original in diffusers' layout."""
    for original, ours in RENAMES:
        key = key.replace(original, ours)
    return key


def original_key(key: str) -> str:
    """One name of diffusers in the original layout."""
    for original, ours in RENAMES[1:]:
        key = key.replace(ours, original)
    return re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", key, count=1)


def refuse_others(tensors: Mapping[str, Tensor], name: str) -> None:
    """Raises:
    UserError: The file holds something else than motion modules: says what.
    """
    for sign, what in OTHERS:
        if any(sign in key for key in tensors):
            raise UserError(f"{name} is {what}.")
    if any("lora" in key for key in tensors):
        motion = any("motion_modules." in key for key in tensors)
        where = "as a MotionLoRA, beside a motion module" if motion else "as domain adapter"
        raise UserError(f"{name} is a LoRA: give it {where}.")
    if not any("motion_modules." in key for key in tensors):
        raise UserError(
            f"{name} has no motion modules: its tensors are named {', '.join(sorted(tensors)[:3])}."
        )


def shape_from(tensors: Mapping[str, Tensor], name: str) -> Shape:
    """What a motion module in diffusers' names is.

    Raises:
        UserError: A tensor that would tell is missing.
    """
    levels = _count(tensors, r"down_blocks\.(\d+)\.")
    widths = []
    for level in range(levels):
        weight = tensors.get(f"down_blocks.{level}.motion_modules.0.proj_in.weight")
        if weight is None:
            raise UserError(
                f"{name} lacks the motion modules of level {level}: down_blocks.{level}.motion_modules.0.proj_in"
                ".weight is missing. Download it again."
            )
        widths.append(weight.shape[1])
    table = tensors.get("down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe")
    mid = any(key.startswith("mid_block.") for key in tensors)
    second = tensors.get("down_blocks.0.motion_modules.0.transformer_blocks.0.attn2.to_k.weight")
    read = None if second is None or second.shape[1] == widths[0] else second.shape[1]
    of_places = tensors.get("down_blocks.0.motion_modules.0.placed.words.weight")
    return Shape(
        widths=tuple(widths),
        layers=_count(tensors, r"down_blocks\.0\.motion_modules\.(\d+)\."),
        transformer_layers=_count(tensors, r"down_blocks\.0\.motion_modules\.0\.transformer_blocks\.(\d+)\."),
        positions=POSITIONS_OF_LCM if table is None else table.shape[1],
        mid=mid,
        layout=_layout(levels, None if table is None else table.shape[1], mid),
        entrance=tensors["conv_in.weight"].shape[1] if "conv_in.weight" in tensors else None,
        words=read,
        places=None if of_places is None else of_places.shape[1],
    )


def _layout(levels: int, positions: int | None, mid: bool) -> Layout:
    if positions is None:
        return "lcm"
    if mid:
        return "v2"
    if levels == 3 and positions != 24:
        return "sdxl"
    return "v1" if positions == 24 else "v3"


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number that the pattern finds among the names."""
    found = [int(match.group(1)) for key in tensors if (match := re.match(pattern, key))]
    return max(found, default=-1) + 1


def add_tables(tensors: Tensors, adapter: MotionAdapter) -> Tensors:
    """With the sinusoids of a new adapter where the file has no table of positions at all."""
    if any(key.endswith("pos_embed.pe") for key in tensors):
        return tensors
    return tensors | {k: v for k, v in adapter.state_dict().items() if k.endswith("pos_embed.pe")}
