"""What a picture tells of a thing's shape and colour: a volume in the frustum of its camera, to be seen from elsewhere.

    volume = decoder(CLIP patches, pixels, camera)        v = (density, picture's RGB + change), see
                                                          `suite.geometry.frustum_volumes`

A denoiser that is shown the volume's view from the wanted camera need not learn how things turn, only what is likely
where the picture does not tell (GeNVS, Chan et al. 2023, arXiv:2304.02602). Trained by `suite train_view_volume`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from priors.shape_memory import Recalled, ShapeMemory
from priors.view_condition import own_pose
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import Volumes
from suite.types import Images

EMPTY = -4.0  # raw density at the start: a ray is stopped half the time
STEEP = 32.0  # times what the last layer says of density: a surface is a step of ten or so between two voxels
FIRM, FILLED = 30.0, 0.35  # how steep a recalled surface is, and how much of a voxel it fills
SWIFT = 8.0  # times what the last layer says of how far the memory is trusted
ALIKE = 0.22  # where outlines differ by more, a memory is not trusted at first
CAREFUL = 3.0  # how much less or more
GROUPS = 16


class ViewVolume(ModelMixin, ConfigMixin):
    """Decoder from a picture and its encoder's patches to a volume: a transformer, then convolutions.

    Args:
        size: Height and width of pictures in pixels.
        grid: Voxels a side, and layers; half or a quarter of size.
        tokens: Width of the encoder's tokens, and of the transformer's.
        patch: Side of its patches in pixels.
        blocks: Of the transformer.
        turns: How often the patches go through all of them.
        channels: At the grid's resolution, and at half of it.
        shape_memory: The configuration of a `ShapeMemory`, whose shapes it is reminded of; none without.
    """

    @register_to_config
    def __init__(
        self,
        size: int = 64,
        grid: int = 32,
        tokens: int = 192,
        patch: int = 8,
        blocks: int = 2,
        turns: int = 4,
        channels: Sequence[int] = (48, 96),
        shape_memory: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if size // patch * 4 != grid or size % grid:
            raise ValueError(f"grid must be four times the patches a side, {size // patch}, got {grid}.")
        fine, middle = channels
        self.camera = nn.Sequential(nn.Linear(3, tokens), nn.SiLU(), nn.Linear(tokens, tokens))
        self.transformer = nn.ModuleList(
            [
                BasicTransformerBlock(tokens, max(1, tokens // 32), 32, activation_fn="gelu")
                for _ in range(blocks)
            ]
        )
        for block in self.transformer:
            block.attn1.set_processor(AttnProcessor())
        self.pixels = nn.Conv2d(3 * (size // grid) ** 2, fine, 3, padding=1)
        self.smaller = nn.Conv2d(fine, middle, 3, stride=2, padding=1)

        def block(inputs: int, outputs: int) -> ResnetBlock2D:
            return ResnetBlock2D(
                in_channels=inputs, out_channels=outputs, temb_channels=tokens, groups=GROUPS
            )

        self.middle = block(tokens + middle, middle)
        self.fine = block(middle + fine, fine)
        self.norm = nn.GroupNorm(GROUPS, fine)
        self.conv_out = nn.Conv2d(fine, 4 * grid, 1)
        with torch.no_grad():
            self.conv_out.weight.mul_(0.3)
            self.conv_out.weight[:grid] /= STEEP
            self.conv_out.bias.zero_()
            self.conv_out.bias[:grid] = EMPTY / STEEP
        self.memory = None
        if shape_memory is not None:
            self.memory = ShapeMemory(**shape_memory)
            self.recalled = nn.Conv2d(grid, fine, 3, padding=1)
            self.reliable = nn.Linear(1, tokens)
            self.trust = nn.Conv2d(fine, grid, 1)
            for part in (self.recalled, self.reliable, self.trust):
                nn.init.zeros_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(
        self,
        images: Images,
        tokens: Float[Tensor, "b l k"],
        reference: Cameras,
        recalled: Recalled | None = None,
    ) -> Volumes:
        """Volumes of pictures.

        Args:
            images: RGB in [0, 1], of the configured size.
            tokens: What the picture's encoder says: one for the whole, then one a patch.
            reference: The cameras that took them.
            recalled: What its memory says of them, where that is known already.
        """
        grid, side = self.config.grid, self.config.size // self.config.patch
        if recalled is None:
            recalled = self.recall(images, reference)
        camera = self.camera(own_pose(reference).to(images.dtype))
        if recalled is not None:
            reliable = ((ALIKE - recalled.differs) / ALIKE)[:, None].to(camera.dtype)
            camera = camera + self.reliable(reliable)
        x = tokens.to(images.dtype) + camera[:, None]
        for _ in range(self.config.turns):
            for block in self.transformer:
                x = block(x)
        x = x[:, 1:].movedim(1, 2).unflatten(2, (side, side))
        fine = self.pixels(F.pixel_unshuffle(2 * images - 1, self.config.size // grid))
        if recalled is not None:
            fine = fine + self.recalled(recalled.occupancy.to(fine.dtype))
        for block, beside in ((self.middle, self.smaller(F.silu(fine))), (self.fine, fine)):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), beside], dim=1), camera)
        x = F.silu(self.norm(x))
        out = self.conv_out(x).float().unflatten(1, (4, grid))
        density, seen = STEEP * out[:, 0], F.avg_pool2d(images, self.config.size // grid)[:, :, None]
        if recalled is not None:
            trust = (SWIFT * self.trust(x).float() + CAREFUL * reliable.float()[..., None, None]).sigmoid()
            density = density + trust * FIRM * (recalled.occupancy - FILLED)
        return torch.cat([density[:, None], out[:, 1:] + seen], dim=1).permute(0, 2, 3, 4, 1).contiguous()

    def recall(
        self, images: Images, reference: Cameras, *, without: Int[Tensor, " b"] | None = None
    ) -> Recalled | None:
        """What the memory says of pictures, where there is one: see `ShapeMemory.recall`."""
        if self.memory is None:
            return None
        grid = self.config.grid
        with torch.autocast(images.device.type, enabled=False):
            return self.memory.recall(images.float(), reference, grid, grid, without=without)

    def of(self, images: Images, tokens: Float[Tensor, "b l k"], reference: Cameras) -> Volumes:
        """The same of pictures of any size, in this network's precision."""
        side = (self.config.size, self.config.size)
        if images.shape[-2:] != side:
            images = F.interpolate(images, side, mode="bilinear", antialias=True)
        return self(images.to(self.dtype), tokens, reference)


def reminded(volume: ViewVolume, memory: ShapeMemory) -> ViewVolume:
    """The same network with this memory, which it trusts at first where outlines are alike."""
    options = {name: value for name, value in memory.config.items() if not name.startswith("_")}
    larger = ViewVolume(**{**volume.config, "shape_memory": options})
    kept = {name: value for name, value in volume.state_dict().items() if not name.startswith("memory.")}
    larger.load_state_dict({**larger.state_dict(), **kept})
    larger.memory = memory
    return larger
