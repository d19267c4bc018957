"""Cameras in other people's conventions, each there and back.

* OpenCV: camera_from_world with +Y down, +Z forward, and K = [[f, 0, c_x], [0, f, c_y], [0, 0, 1]] in pixels.
* glTF: node matrices in a +Y up, +Z front world; the camera itself is OpenGL's; yfov in radians.
* nerfstudio and Blender: transforms.json, world_from_camera of OpenGL cameras in a +Z up world (as ours);
  fl_x and fl_y in pixels, or camera_angle_x, the horizontal field of view in radians.
* Zero123: pose of a target relative to a condition, (d_polar, sin d_azimuth, cos d_azimuth, d_radius).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.cameras import Cameras
from suite.geometry.transforms import GLTF_FROM_WORLD, OPENCV_FROM_OPENGL, WORLD_FROM_GLTF, rigid_inverse

DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")


def to_opencv(cameras: Cameras) -> tuple[Float[Tensor, "b 4 4"], Float[Tensor, "b 3 3"]]:
    """OpenCV extrinsics (camera_from_world) and intrinsics K in pixels."""
    axes = OPENCV_FROM_OPENGL.to(cameras.world_from_camera)
    k = torch.zeros(len(cameras), 3, 3).to(cameras.fov_deg)
    k[:, 0, 0] = k[:, 1, 1] = cameras.focal_px
    k[:, :2, 2] = cameras.center_px
    k[:, 2, 2] = 1
    return axes @ cameras.camera_from_world, k


def from_opencv(
    camera_from_world: Float[Tensor, "b 4 4"], k: Float[Tensor, "b 3 3"], *, height: int, width: int
) -> Cameras:
    """Cameras from OpenCV extrinsics and intrinsics. Pixels must be square to 1 % and without skew."""
    uneven = (k[:, 0, 0] / k[:, 1, 1] - 1).abs().max()
    if uneven > 0.01 or k[:, 0, 1].abs().max() > 1e-3 * k[:, 0, 0].max():
        raise ValueError(
            f"Cameras have square pixels without skew, but f_x / f_y is off by {float(uneven):.1%} "
            f"and the skew is {float(k[:, 0, 1].abs().max()):g}. Resample the images first."
        )
    axes = OPENCV_FROM_OPENGL.to(camera_from_world)
    fov = 2 * torch.rad2deg(torch.atan(0.5 * height / k[:, 1, 1]))
    point = k[:, :2, 2] / k.new_tensor([width, height])
    centred = bool(((point - 0.5).abs() < 1e-5).all())
    return Cameras(rigid_inverse(camera_from_world) @ axes, fov, height, width, None if centred else point)


def to_gltf(cameras: Cameras) -> tuple[Float[Tensor, "b 4 4"], Float[Tensor, " b"]]:
    """Node matrices (row-major here; a file stores columns) and yfov in radians."""
    return GLTF_FROM_WORLD.to(
        cameras.world_from_camera
    ) @ cameras.world_from_camera, cameras.fov_deg.deg2rad()


def from_gltf(
    matrix: Float[Tensor, "b 4 4"], yfov: Float[Tensor, " b"], *, height: int, width: int
) -> Cameras:
    """Cameras from glTF node matrices and yfov in radians."""
    return Cameras(WORLD_FROM_GLTF.to(matrix) @ matrix, yfov.rad2deg(), height, width)


def to_nerfstudio(cameras: Cameras, file_paths: list[str] | None = None) -> dict[str, Any]:
    """The content of a transforms.json; also Blender's, by its camera_angle_x."""
    focal, center = cameras.focal_px.tolist(), cameras.center_px.tolist()
    names = file_paths or [f"images/{k:04d}.png" for k in range(len(cameras))]
    if len(names) != len(cameras):
        raise ValueError(f"to_nerfstudio got {len(names)} file_paths for {len(cameras)} cameras.")
    frames = [
        {"file_path": name, "transform_matrix": matrix, "fl_x": f, "fl_y": f, "cx": c[0], "cy": c[1]}
        for name, matrix, f, c in zip(names, cameras.world_from_camera.tolist(), focal, center, strict=True)
    ]
    angle = 2 * math.atan(0.5 * cameras.width / focal[0])
    return {"w": cameras.width, "h": cameras.height, "camera_angle_x": angle, "frames": frames}


def from_nerfstudio(
    transforms: Mapping[str, Any], *, height: int | None = None, width: int | None = None
) -> Cameras:
    """Cameras from the content of a transforms.json of nerfstudio or Blender (NeRF-synthetic).

    Intrinsics may stand at the top or in each frame. `height` and `width` are those of the image files;
    needed where the JSON has no "h" and "w", as Blender's.
    """
    if not transforms.get("frames"):
        raise ValueError('There are no cameras in it: a transforms.json has a list "frames".')
    extrinsics, intrinsics, sizes = [], [], set()
    for frame in transforms["frames"]:
        values = {**transforms, **frame}
        if "transform_matrix" not in frame:
            raise ValueError(f'Frame {frame.get("file_path", "?")} has no "transform_matrix".')
        bent = [name for name in DISTORTION if abs(values.get(name) or 0.0) > 1e-4]
        if bent:
            raise ValueError(f"Lens distortion {bent} is not modelled: undistort the images first.")
        h, w = values.get("h", height), values.get("w", width)
        if h is None or w is None:
            raise ValueError('The JSON has no "h" and "w": pass height and width of the image files.')
        h, w = int(h), int(w)
        sizes.add((h, w))
        extrinsics.append(values["transform_matrix"])
        intrinsics.append(_intrinsics(values, h, w))
    if len(sizes) != 1:
        raise ValueError(f"All images must have one size, but (height, width) are {sorted(sizes)}.")
    world_from_camera = torch.tensor(extrinsics, dtype=torch.float32)
    axes = OPENCV_FROM_OPENGL
    h, w = sizes.pop()
    return from_opencv(axes @ rigid_inverse(world_from_camera), torch.tensor(intrinsics), height=h, width=w)


def _intrinsics(values: Mapping[str, Any], height: int, width: int) -> list[list[float]]:
    if "fl_x" in values or "fl_y" in values:
        f_x = float(values.get("fl_x", values.get("fl_y")))
        f_y = float(values.get("fl_y", f_x))
    elif "camera_angle_x" in values:
        f_x = f_y = 0.5 * width / math.tan(0.5 * float(values["camera_angle_x"]))
    else:
        raise ValueError(
            'The JSON has no focal length: it needs "fl_x" (pixels) or "camera_angle_x" (radians).'
        )
    c_x, c_y = values.get("cx", width / 2), values.get("cy", height / 2)
    return [[f_x, 0.0, float(c_x)], [0.0, f_y, float(c_y)], [0.0, 0.0, 1.0]]


def zero123_pose(condition: Cameras, target: Cameras, *, stable: bool = False) -> Float[Tensor, "b 4"]:
    """(d_polar, sin d_azimuth, cos d_azimuth, d_radius), target minus condition, in radians.

    Polar is measured from +Z down, 90 - elevation (Zero-1-to-3, Liu et al. 2023, `get_T` of its data loader).
    A condition of one camera serves all targets. `stable`: the fourth number of Stable Zero123, which is the
    condition's own polar angle.
    """
    polar = torch.deg2rad(90 - target.elevation_deg), torch.deg2rad(90 - condition.elevation_deg)
    azimuth = torch.deg2rad(target.azimuth_deg - condition.azimuth_deg)
    d_radius = target.distance - condition.distance
    last = polar[1].expand_as(azimuth) if stable else d_radius
    return torch.stack([polar[0] - polar[1], azimuth.sin(), azimuth.cos(), last], dim=-1)


def from_zero123(condition: Cameras, pose: Float[Tensor, "b 4"]) -> Cameras:
    """The cameras that `zero123_pose` (not `stable`) describes, looking at the origin."""
    d_polar, sin, cos, d_radius = pose.unbind(-1)
    n = len(pose)
    return Cameras.orbit(
        (condition.azimuth_deg + torch.rad2deg(torch.atan2(sin, cos))).expand(n),
        (condition.elevation_deg - torch.rad2deg(d_polar)).clamp(-90, 90).expand(n),
        (condition.distance + d_radius).expand(n),
        condition.fov_deg.expand(n),
        height=condition.height,
        width=condition.width,
    )
