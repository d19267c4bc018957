"""Motion modules and LoRAs between the layers of a frozen 2D U-Net, for the length of one call.

    image layers see (b f) c h w    motion modules see f frames at each place (b h w)

A motion module follows every resnet, or the spatial attention after it; in the middle block (v2) the attention. The
U-Net itself is not changed: forward hooks are laid on its layers and taken off again, so that the image prior serves
as before, also to others. Gradient checkpointing lays them again while it computes a layer a second time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from video.motion.lora import LoRA
from video.motion.modules import Motion

Hook = Callable[..., object]


@dataclass(frozen=True)
class Insertion:
    """What is put into a U-Net.

    Args:
        motion: The motion modules; None leaves frames to themselves.
        loras: LoRAs with their strengths: on the image layers (domain adapters) or the motion modules (MotionLoRAs).
        checkpointing: Compute layers again in the backward pass instead of keeping what they need for it.
        still: Affinity and latents of a still, for motion modules that see one: a row a frame.
        words: Tokens of the caption, for motion modules that read it: a row a frame.
        bag: Mean embedding of its words, for those that know places: a row a frame.
        numbers: Of the frames, where they are not the first ones one after the other.
    """

    motion: Motion | None = None
    loras: Sequence[tuple[LoRA, float]] = ()
    checkpointing: bool = False
    still: Float[Tensor, "n k y x"] | None = None
    words: Float[Tensor, "n l d"] | None = None
    bag: Float[Tensor, "n d"] | None = None
    numbers: Sequence[int] | None = None


def places(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """The layer that each motion module follows, by the module's name."""
    found = {}
    for side in ("down_blocks", "up_blocks"):
        for i, block in enumerate(getattr(unet, side)):
            layers = block.attentions if hasattr(block, "attentions") else block.resnets
            found |= {f"{side}.{i}.motion_modules.{j}": layer for j, layer in enumerate(layers)}
    return found | {"mid_block.motion_modules.0": unet.mid_block.attentions[0]}


@contextmanager
def inserted(
    unet: UNet2DConditionModel,
    insertion: Insertion,
    frames: int,
    also: Callable[[], AbstractContextManager] = nullcontext,
) -> Iterator[None]:
    """Within it the U-Net treats its batch as clips of so many frames.

    Args:
        also: Lays further hooks; they too are laid again where layers are computed a second time.
    """
    with ExitStack() as stack, _hooked(unet, insertion, frames), also():
        if insertion.checkpointing and torch.is_grad_enabled():
            again = lambda: (nullcontext(), _both(_hooked(unet, insertion, frames), also()))  # noqa: E731
            unet.enable_gradient_checkpointing(
                lambda module, *args: checkpoint(module, *args, use_reentrant=False, context_fn=again)
            )
            stack.callback(unet.disable_gradient_checkpointing)
        yield


@contextmanager
def _both(one: AbstractContextManager, other: AbstractContextManager) -> Iterator[None]:
    with one, other:
        yield


@contextmanager
def _hooked(unet: UNet2DConditionModel, insertion: Insertion, frames: int) -> Iterator[None]:
    handles, motion = [], insertion.motion
    try:
        for lora, strength in insertion.loras:
            host = motion.adapter if lora.of_motion else unet
            handles += [layer.register_forward_hook(hook) for layer, hook in lora.hooks(host, strength)]
        if motion is not None:
            hosts = places(unet)
            for name, transformer in motion.transformers().items():
                hook = _Followed(transformer, frames, insertion)
                handles.append(hosts[name].register_forward_hook(hook))
            if insertion.still is not None:
                added = motion.still_features(insertion.still)
                handles.append(unet.conv_in.register_forward_hook(lambda _, __, y: y + added.to(y.dtype)))
            if motion.across_frames:
                for norm in norms_of_resnets(unet):
                    handles.append(norm.register_forward_pre_hook(_side_by_side(frames)))
                    handles.append(norm.register_forward_hook(_apart_again(frames)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Followed:
    """After an image layer: the motion module, computed in its own precision."""

    def __init__(self, transformer: AnimateDiffTransformer3D, frames: int, insertion: Insertion) -> None:
        self.transformer, self.frames, self.checkpointing = transformer, frames, insertion.checkpointing
        motion, dtype = insertion.motion, transformer.proj_out.weight.dtype
        self.attended = insertion.words.to(dtype) if motion.attends_to_words else None
        self.bag = insertion.bag.to(dtype) if motion.knows_places else None
        self.numbers = list(range(frames) if insertion.numbers is None else insertion.numbers)

    def __call__(
        self, _: nn.Module, __: tuple, output: Tensor | tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        x = output[0] if isinstance(output, tuple) else output
        own = x.to(self.transformer.proj_out.weight.dtype)
        if self.checkpointing and torch.is_grad_enabled():
            y = checkpoint(self.module, own, use_reentrant=False).to(x.dtype)
        else:
            y = self.module(own).to(x.dtype)
        return (y, *output[1:]) if isinstance(output, tuple) else y

    def module(self, x: Tensor) -> Tensor:
        """The motion module, told of its frames' numbers and, where it knows places, of what is where."""
        tables = [m for m in self.transformer.modules() if isinstance(m, SinusoidalPositionalEmbedding)]
        handles = [table.register_forward_hook(self._numbered) for table in tables]
        if hasattr(self.transformer, "placed"):
            sinusoids = tables[0].pe[0, self.numbers].to(self.bag)
            added = self.transformer.placed(self.bag, sinusoids, *x.shape[-2:])
            handles.append(
                self.transformer.norm.register_forward_hook(lambda _, __, y: y + added.to(y.dtype))
            )
        try:
            return self.transformer(x, self.attended, num_frames=self.frames)
        finally:
            for handle in handles:
                handle.remove()

    def _numbered(self, table: SinusoidalPositionalEmbedding, args: tuple, _: Tensor) -> Tensor:
        return args[0] + table.pe[:, self.numbers].to(args[0].dtype)


def norms_of_resnets(unet: UNet2DConditionModel) -> list[nn.GroupNorm]:
    """The norms that v1 was trained with over all frames of a clip: of resnets, and before the last convolution."""
    blocks = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    resnets = [resnet for block in blocks for resnet in block.resnets]
    return [norm for resnet in resnets for norm in (resnet.norm1, resnet.norm2)] + [unet.conv_norm_out]


def _side_by_side(frames: int) -> Hook:
    """Before a norm: (b f) c h w -> b c (f h) w, one picture a clip."""
    return lambda _, args: (args[0].unflatten(0, (-1, frames)).transpose(1, 2).flatten(2, 3), *args[1:])


def _apart_again(frames: int) -> Hook:
    """After it: b c (f h) w -> (b f) c h w."""
    return lambda _, __, y: y.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)
