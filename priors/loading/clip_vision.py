"""The picture tower of OpenAI's CLIP, from the names of its release to those of transformers.

visual.conv1                                        patches
visual.class_embedding, visual.positional_embedding
visual.ln_pre, visual.ln_post                       norms before and after
visual.transformer.resblocks.N.attn.in_proj_*       queries, keys and values in one matrix
visual.proj                                         projection, x @ proj
"""

from torch import Tensor

NAMES = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",  # spelt so in transformers
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
IN_BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
BLOCKS = "transformer.resblocks."


def convert_open_ai_vision(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of `prefix` as a CLIPVisionModelWithProjection names them; names unknown here stay as they are."""
    converted: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not name.startswith(prefix):
            continue
        name = name.removeprefix(prefix)
        if name == "proj":
            converted["visual_projection.weight"] = value.T.contiguous()
        elif name.startswith(BLOCKS):
            converted |= _in_block(name.removeprefix(BLOCKS), value)
        else:
            converted[NAMES.get(name, name)] = value
    return converted


def _in_block(name: str, value: Tensor) -> dict[str, Tensor]:
    number, _, rest = name.partition(".")
    place = f"vision_model.encoder.layers.{number}."
    module, _, kind = rest.rpartition(".")
    if rest.startswith("attn.in_proj_"):
        kind = rest.removeprefix("attn.in_proj_")
        parts = zip("qkv", value.chunk(3))
        return {f"{place}self_attn.{part}_proj.{kind}": part_value.clone() for part, part_value in parts}
    return {f"{place}{IN_BLOCK.get(module, module)}.{kind}": value}
