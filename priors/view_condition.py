"""What a view-conditioned prior is told: a picture's tokens, the pose of the wanted view, and both as one.

    token = W [CLIP(image), pose] + b
    pose  = (d polar, sin d azimuth, cos d azimuth, ...), target minus reference, radians; then, by name,
              radius          d distance                       Zero123, Zero123-XL
              polar           the reference's own polar angle  Stable Zero123
              radius_polar    both                             what `suite train_novel_view` makes

Polar angles are measured from the zenith down (Liu et al. 2023, arXiv:2303.11328).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.geometry.camera_formats import zero123_pose
from suite.geometry.cameras import Cameras
from suite.types import Images

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def image_tokens(encoder: nn.Module, images: Images) -> Float[Tensor, "b l d"]:
    """What a CLIP picture tower says: its embedding, or a token for the whole and one a patch, in float32.

    The picture is resized as Zero123's authors do: bicubic, corners aligned, without antialiasing.

    Args:
        encoder: A CLIPVisionModelWithProjection, or a CLIPVisionModel.
    """
    side, parameter = encoder.config.image_size, next(encoder.parameters())
    if images.shape[-1] != side:
        images = F.interpolate(images, (side, side), mode="bicubic", align_corners=True)
    mean, std = (images.new_tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
    output = encoder(pixel_values=((images - mean) / std).to(parameter.dtype))
    if has_projection(encoder):
        return output.image_embeds[:, None].float()
    inner = getattr(encoder, "vision_model", encoder)  # transformers 5.6 dropped the inner module
    return inner.post_layernorm(output.last_hidden_state).float()


def relative_pose(pose: str, reference: Cameras, target: Cameras) -> Float[Tensor, "b p"]:
    """The numbers of the module's docstring, for `pose` radius, polar or radius_polar."""
    target = target.to(reference.fov_deg.device)
    with_radius, with_polar = (zero123_pose(reference, target, stable=stable) for stable in (False, True))
    if pose == "radius":
        return with_radius
    return with_polar if pose == "polar" else torch.cat([with_radius, with_polar[:, 3:]], dim=1)


def own_pose(reference: Cameras) -> Float[Tensor, "b 3"]:
    """What is known of the camera that took a picture: sine and cosine of its elevation, its distance less 1.8."""
    elevation = torch.deg2rad(reference.elevation_deg)
    return torch.stack([elevation.sin(), elevation.cos(), reference.distance - 1.8], dim=1)


def join(
    projection: nn.Linear, tokens: Float[Tensor, "b l d"], pose: Float[Tensor, "b p"]
) -> Float[Tensor, "b l k"]:
    """W [token, pose] + b, in float32."""
    pose = pose[:, None].expand(-1, tokens.shape[1], -1)
    return projection(torch.cat([tokens, pose], dim=-1).to(projection.weight.dtype)).float()


def has_projection(encoder: nn.Module) -> bool:
    """Whether it gives one embedding a picture."""
    return hasattr(encoder, "visual_projection")


def patches(encoder: nn.Module) -> int:
    """Patches of a picture."""
    return (encoder.config.image_size // encoder.config.patch_size) ** 2
