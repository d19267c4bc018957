"""Rigid transforms and changes of axes. Matrices are named after their product: `p_b = b_from_a @ p_a`.

World: right-handed, +Z up, +X front, +Y left. Camera (OpenGL): +X right, +Y up, looks along -Z.
OpenCV camera: +X right, +Y down, looks along +Z. glTF: +Y up, +Z front, +X left.
"""

import torch
from jaxtyping import Float
from torch import Tensor

OPENCV_FROM_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))  # its own inverse

# Blender's rule: x stays, z becomes y. An object that faced -Y faces +Z afterwards.
Y_UP_FROM_Z_UP = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
Z_UP_FROM_Y_UP = Y_UP_FROM_Z_UP.T.contiguous()

# glTF fixes the front too: our front +X becomes its front +Z, our up +Z its up +Y: (x, y, z) -> (y, z, x).
GLTF_FROM_WORLD = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
WORLD_FROM_GLTF = GLTF_FROM_WORLD.T.contiguous()


def homogeneous(points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 4"]:
    """Append w = 1."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def transform_points(
    b_from_a: Float[Tensor, "*m 4 4"], points_a: Float[Tensor, "*n 3"]
) -> Float[Tensor, "*k 3"]:
    """Move points by affine matrices; the leading axes of both broadcast against each other."""
    rotated = (b_from_a[..., :3, :3] @ points_a[..., None])[..., 0]
    return rotated + b_from_a[..., :3, 3]


def rigid(rotation: Float[Tensor, "*n 3 3"], translation: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 4 4"]:
    """Put a rotation and a translation together: `p -> rotation @ p + translation`."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def rigid_inverse(b_from_a: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 4 4"]:
    """Invert rotation + translation exactly (the transpose of the rotation; no linear solve)."""
    a_from_b_rotation = b_from_a[..., :3, :3].transpose(-1, -2)
    return rigid(a_from_b_rotation, -(a_from_b_rotation @ b_from_a[..., :3, 3:])[..., 0])


def rotation_z(degrees: Float[Tensor, " *n"]) -> Float[Tensor, "*n 4 4"]:
    """Turn about +Z: adds `degrees` to the azimuth of every point."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [(cos, -sin, zero, zero), (sin, cos, zero, zero), (zero, zero, one, zero), (zero, zero, zero, one)]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def wrap_degrees(degrees: Float[Tensor, " *n"]) -> Float[Tensor, " *n"]:
    """The same angle in (-180, 180]."""
    wrapped = torch.remainder(degrees + 180.0, 360.0) - 180.0
    return torch.where(wrapped <= -180.0, wrapped + 360.0, wrapped)


def look_at(
    position: Float[Tensor, "*n 3"], target: Float[Tensor, "*n 3"], up: Float[Tensor, "*n 3"]
) -> Float[Tensor, "*n 4 4"]:
    """`world_from_camera` of an OpenGL camera at `position` that sees `target` in the middle of its image.

    Looking exactly along `up` leaves the roll open: the camera's right is then world +Y (+X if `up` is
    along Y), which is what an orbit at azimuth 0 tends to. `position == target` looks along -X.
    """
    forward = target - position
    still = forward.norm(dim=-1, keepdim=True) < 1e-12
    forward = torch.where(still, forward.new_tensor([-1.0, 0, 0]).expand_as(forward), forward)
    forward = torch.nn.functional.normalize(forward, dim=-1, eps=1e-12)
    up = torch.nn.functional.normalize(up, dim=-1, eps=1e-12)
    right = torch.linalg.cross(forward, up)
    y, x = forward.new_tensor([0.0, 1, 0]), forward.new_tensor([1.0, 0, 0])
    spare = torch.where(forward[..., 1:2].abs() < 0.9, y, x)
    spare = spare - (spare * forward).sum(-1, keepdim=True) * forward
    # float32 cannot tell the direction of a cross product shorter than this
    right = torch.where(right.norm(dim=-1, keepdim=True) < 1e-6, spare, right)
    right = torch.nn.functional.normalize(right, dim=-1, eps=1e-12)
    return rigid(torch.stack([right, torch.linalg.cross(right, forward), -forward], dim=-1), position)
