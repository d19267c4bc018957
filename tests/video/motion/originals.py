"""AnimateDiff's files with random weights, and a slow implementation of what they mean; from descriptions alone."""

import math

import torch
from torch import Tensor

PREFIX = "{}.motion_modules.{}.temporal_transformer"


def random_original(
    widths=(16, 32, 32, 32), *, layers: int = 2, positions: int = 32, mid: bool = False, words: int | None = None,
    places: int | None = None, seed: int = 0,
) -> dict[str, Tensor]:  # fmt: skip
    """All tensors of a motion module in the original's names; the second attention is to words of that width.

    With `places`, a width of words, there are the four matrices that tell modules where they stand, which originals
    have not.
    """
    draws, tensors = torch.Generator().manual_seed(seed), {}
    down = [(f"down_blocks.{i}", j, c) for i, c in enumerate(widths) for j in range(layers)]
    up = [(f"up_blocks.{i}", j, c) for i, c in enumerate(reversed(widths)) for j in range(layers + 1)]
    middle = [("mid_block", 0, widths[-1])] if mid else []
    for block, j, c in (*down, *up, *middle):
        for name, shape in _shapes(c, words).items():
            value = torch.randn(shape, generator=draws) / math.sqrt(shape[-1])
            offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            tensors[f"{PREFIX.format(block, j)}.{name}"] = value * 0.5 + offset
        for part, shape in () if places is None else (
            ("words.weight", (48, places)), ("words.bias", (48,)), ("numbers.weight", (48, c)), ("numbers.bias", (48,)),
            ("places.weight", (48, 14)), ("places.bias", (48,)), ("out.weight", (c, 48)),
        ):  # fmt: skip
            tensors[f"{PREFIX.format(block, j)}.placed.{part}"] = torch.randn(shape, generator=draws) / 8
        for attention in (0, 1):
            key = (
                f"{PREFIX.format(block, j)}.transformer_blocks.0.attention_blocks.{attention}.pos_encoder.pe"
            )
            tensors[key] = sinusoids(positions, c)
    return tensors


def _shapes(c: int, words: int | None) -> dict[str, tuple[int, ...]]:
    inner = "transformer_blocks.0"
    shapes = {
        "norm.weight": (c,), "norm.bias": (c,), "proj_in.weight": (c, c), "proj_in.bias": (c,),
        "proj_out.weight": (c, c), "proj_out.bias": (c,),
        f"{inner}.ff.net.0.proj.weight": (8 * c, c), f"{inner}.ff.net.0.proj.bias": (8 * c,),
        f"{inner}.ff.net.2.weight": (c, 4 * c), f"{inner}.ff.net.2.bias": (c,),
        f"{inner}.ff_norm.weight": (c,), f"{inner}.ff_norm.bias": (c,),
    }  # fmt: skip
    for a in (0, 1):
        shapes |= {f"{inner}.norms.{a}.{kind}": (c,) for kind in ("weight", "bias")}
        seen = words if a and words else c
        shapes |= {f"{inner}.attention_blocks.{a}.to_{x}.weight": (c, c if x == "q" else seen) for x in "qkv"}
        shapes[f"{inner}.attention_blocks.{a}.to_out.0.weight"] = (c, c)
        shapes[f"{inner}.attention_blocks.{a}.to_out.0.bias"] = (c,)
    return shapes


def sinusoids(positions: int, c: int) -> Tensor:
    """sin(k / 10000^(2i/c)) and its cosine, in turn."""
    table = torch.zeros(1, positions, c)
    for k in range(positions):
        for i in range(0, c, 2):
            angle = k / 10000 ** (i / c)
            table[0, k, i], table[0, k, i + 1] = math.sin(angle), math.cos(angle)
    return table


def slow_module(
    tensors: dict[str, Tensor],
    prefix: str,
    x: Tensor,
    *,
    groups: int,
    heads: int = 8,
    words: Tensor | None = None,
    said: Tensor | None = None,
) -> Tensor:
    """One module on a clip `f c h w`, a frame, place and head at a time, in float64; `words`: tokens `l d`.

    `said` is the mean of the caption's words, for modules that know places.
    """
    w = {key[len(prefix) + 1 :]: v.double() for key, v in tensors.items() if key.startswith(prefix + ".")}
    x = x.double()
    f, c, height, width = x.shape
    normed = torch.stack([_group_norm(frame, groups, w["norm.weight"], w["norm.bias"]) for frame in x])
    out, block = x.clone(), "transformer_blocks.0"
    for row in range(height):
        for column in range(width):
            for k in range(f if said is not None else 0):
                mean = said.double()
                mean = (mean - mean.mean()) / (mean.var(unbiased=False) + 1e-5).sqrt()
                of_words = 8 * (w["placed.words.weight"] @ mean + w["placed.words.bias"])
                of_number = (
                    w["placed.numbers.weight"] @ sinusoids(f, c)[0, k].double() + w["placed.numbers.bias"]
                )
                of_place = (
                    w["placed.places.weight"] @ place(row, column, height, width) + w["placed.places.bias"]
                )
                normed[k, :, row, column] += w["placed.out.weight"] @ (of_words * of_number * of_place)
            h = normed[:, :, row, column] @ w["proj_in.weight"].T + w["proj_in.bias"]
            for a in (0, 1):
                name = f"{block}.attention_blocks.{a}"
                n = _layer_norm(h, w[f"{block}.norms.{a}.weight"], w[f"{block}.norms.{a}.bias"])
                n = n + w[f"{name}.pos_encoder.pe"][0, :f]
                h = h + _attention(n, n if a == 0 or words is None else words.double(), w, name, heads)
            n = _layer_norm(h, w[f"{block}.ff_norm.weight"], w[f"{block}.ff_norm.bias"])
            value, gate = (n @ w[f"{block}.ff.net.0.proj.weight"].T + w[f"{block}.ff.net.0.proj.bias"]).chunk(
                2, -1
            )
            gelu = gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
            h = h + (value * gelu) @ w[f"{block}.ff.net.2.weight"].T + w[f"{block}.ff.net.2.bias"]
            out[:, :, row, column] += h @ w["proj_out.weight"].T + w["proj_out.bias"]
    return out


def place(row: int, column: int, height: int, width: int) -> Tensor:
    """What tells of a place: v and u from -1 to 1; sines, then cosines, of 1, 2 and 4 quarter turns of them."""
    at = ((2 * row + 1) / height - 1, (2 * column + 1) / width - 1)
    angles = [math.pi / 2 * octave * x for octave in (1, 2, 4) for x in at]
    return torch.tensor([*at, *map(math.sin, angles), *map(math.cos, angles)], dtype=torch.float64)


def _attention(n: Tensor, seen: Tensor, w: dict[str, Tensor], name: str, heads: int) -> Tensor:
    q, k, v = (y @ w[f"{name}.to_{x}.weight"].T for x, y in zip("qkv", (n, seen, seen)))
    size, parts = n.shape[1] // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(size), dim=-1)
        parts.append(weights @ v[:, part])
    return torch.cat(parts, 1) @ w[f"{name}.to_out.0.weight"].T + w[f"{name}.to_out.0.bias"]


def _group_norm(frame: Tensor, groups: int, weight: Tensor, bias: Tensor) -> Tensor:
    parts = [(g - g.mean()) / (g.var(unbiased=False) + 1e-6).sqrt() for g in frame.chunk(groups)]
    return torch.cat(parts) * weight[:, None, None] + bias[:, None, None]


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def random_motion_lora(module: dict[str, Tensor], *, rank: int = 2, seed: int = 1) -> dict[str, Tensor]:
    """A MotionLoRA for such a module, in the original's names."""
    draws, tensors = torch.Generator().manual_seed(seed), {}
    for key, value in module.items():
        if ".attention_blocks." in key and ".to_" in key and key.endswith(".weight"):
            layer, _, which = key.removesuffix(".weight").removesuffix(".0").rpartition(".to_")
            stem = f"{layer}.processor.to_{which}_lora"
            tensors[f"{stem}.down.weight"] = torch.randn(rank, value.shape[1], generator=draws)
            tensors[f"{stem}.up.weight"] = torch.randn(value.shape[0], rank, generator=draws) / 10
    return tensors
