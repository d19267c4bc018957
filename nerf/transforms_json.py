"""Photographs listed in a `transforms.json`, as Blender's NeRF scenes and nerfstudio write it.

    Blender:     camera_angle_x (horizontal, radians); frames of file_path (".png" left out) and
                 transform_matrix; splits in transforms_train.json, transforms_val.json, transforms_test.json
    nerfstudio:  fl_x, fl_y, cx, cy, k1, k2, p1, p2 for all frames or each, in one file; the split, if any, in
                 train_filenames, val_filenames, test_filenames

Both write world_from_camera for OpenGL cameras. `aabb_scale` is instant-ngp's and is not needed: `normalize`
brings the scene into the field's box.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nerf.scenes import Scene
from suite.errors import UserError
from suite.io.images import read_image, to_bytes

MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE")
EXTENT = 0.6  # half the side of the box that a field covers by default


def read_transforms(path: Path, *, held_out: int, downscale: int, normalize: bool) -> Scene:
    """The photographs of one file, or of a folder with one file or one a split.

    Raises:
        UserError: No such file, no frames, an unknown camera model, a missing number or picture.
    """
    frames = [(file, meta, frame, split) for file, split in _files(path) for meta, frame in _frames(file)]
    held = torch.tensor([split == "test" or _is_for_test(meta, frame) for _, meta, frame, split in frames])
    if not held.any():
        every = max(2, len(frames) // held_out)
        held = torch.arange(len(frames)) % every == every // 2
    if held.all():
        raise UserError(f"{path} has no picture to learn from beside those to measure on, of {len(frames)}.")
    pictures = [_read_picture(file, frame, downscale) for file, _, frame, _ in frames]
    sizes = sorted({tuple(picture.shape) for picture in pictures})
    if len(sizes) > 1:
        raise UserError(f"The pictures of {path} differ in height, width or channels: {sizes}.")
    h, w, _ = sizes[0]
    lenses = torch.tensor([_lens(file, meta | frame, w, h, downscale) for file, meta, frame, _ in frames])
    poses = torch.tensor([frame["transform_matrix"] for _, _, frame, _ in frames], dtype=torch.float32)
    if poses.shape[1:] == (3, 4):
        poses = torch.cat([poses, torch.tensor([0.0, 0, 0, 1]).expand(len(poses), 1, 4)], dim=1)
    return Scene(
        pixels=torch.stack(pictures),
        world_from_camera=_normalized(poses, lenses, h, w) if normalize else poses,
        focal=lenses[:, :2],
        center=lenses[:, 2:4],
        distortion=lenses[:, 4:],
        held_out=held,
    )


def _is_for_test(meta: dict, frame: dict) -> bool:
    """Whether nerfstudio's split keeps the frame out of training."""
    return frame["file_path"] in meta.get("test_filenames", []) + meta.get("val_filenames", [])


def _files(path: Path) -> list[tuple[Path, str]]:
    """Files with the split that they are for."""
    if path.is_file():
        return [(path, "train")]
    found = [(path / f"transforms_{split}.json", split) for split in ("train", "test")]
    if not found[1][0].exists():
        found[1] = (path / "transforms_val.json", "test")
    found = [(file, split) for file, split in found if file.exists()]
    if (path / "transforms.json").exists():
        return [(path / "transforms.json", "train")]
    if not found or found[0][1] != "train":
        raise UserError(
            f"{path} is no scene: it holds neither transforms.json nor transforms_train.json. For a toyworld "
            'object type scene="a red mushroom".'
        )
    return found


def _frames(file: Path) -> list[tuple[dict, dict]]:
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}.") from error
    frames = meta.get("frames") if isinstance(meta, dict) else None
    if not frames:
        raise UserError(f"{file} has no 'frames'.")
    for number, frame in enumerate(frames):
        matrix = np.asarray(frame.get("transform_matrix", []), dtype=object)
        if "file_path" not in frame or matrix.shape not in ((4, 4), (3, 4)):
            raise UserError(f"Frame {number} of {file} needs a 'file_path' and a 4x4 'transform_matrix'.")
    return [(meta, frame) for frame in frames]


def _read_picture(file: Path, frame: dict, downscale: int) -> UInt8[Tensor, "h w c"]:
    """The frame's picture, RGB or RGBA, averaged over blocks."""
    path = file.parent / frame["file_path"]
    if not path.is_file() and path.with_name(path.name + ".png").is_file():
        path = path.with_name(path.name + ".png")
    if not path.is_file():
        raise UserError(f"{file} names the picture {frame['file_path']}, but {path} does not exist.")
    loaded = read_image(path)
    color, alpha = loaded.rgb, loaded.alpha
    if downscale > 1:  # average what is seen: colours count by their alpha
        weight = torch.ones_like(color[:, :1]) if alpha is None else alpha
        share = avg_pool2d(weight, downscale)
        color = avg_pool2d(color * weight, downscale) / share.clamp_min(1e-6)
        alpha = None if alpha is None else share
    picture = color if alpha is None else torch.cat([color, alpha], dim=1)
    return torch.from_numpy(to_bytes(picture[0]))


def _lens(file: Path, known: dict, w: int, h: int, downscale: int) -> list[float]:
    """focal x, y and centre x, y in pixels of the picture as read; k1, k2, p1, p2."""
    model = str(known.get("camera_model", "OPENCV"))
    if model.upper() not in MODELS or known.get("is_fisheye"):
        raise UserError(
            f"{file} has the camera model {model}, known are the perspective ones: {', '.join(MODELS)}."
        )
    if "fl_x" in known:
        x = known["fl_x"] / downscale
    elif "camera_angle_x" in known:
        x = 0.5 * w / math.tan(known["camera_angle_x"] / 2)
    else:
        raise UserError(f"{file} says neither fl_x nor camera_angle_x: the focal length is unknown.")
    y = known["fl_y"] / downscale if "fl_y" in known else x
    center_x = known["cx"] / downscale if "cx" in known else w / 2
    center_y = known["cy"] / downscale if "cy" in known else h / 2
    return [
        float(v) for v in (x, y, center_x, center_y, *(known.get(k, 0) for k in ("k1", "k2", "p1", "p2")))
    ]


def _normalized(
    poses: Float[Tensor, "n 4 4"], lenses: Float[Tensor, "n 8"], h: int, w: int
) -> Float[Tensor, "n 4 4"]:
    """The same cameras in a world whose origin they look at and of which they see EXTENT to each side.

    The origin is the point nearest to all optical axes: sum_i (I - a_i a_i^T) (x - o_i) = 0.
    """
    origin, axis = poses[:, :3, 3], torch.nn.functional.normalize(-poses[:, :3, 2], dim=-1)
    across = torch.eye(3) - axis[:, :, None] * axis[:, None, :]
    center = torch.linalg.lstsq(across.sum(0), (across @ origin[:, :, None]).sum(0)).solution[:, 0]
    seen = (origin - center).norm(dim=-1) * 0.5 * min(h, w) / lenses[:, :2].amin(-1)
    scale = EXTENT / seen.median().clamp_min(1e-6)
    moved = poses.clone()
    moved[:, :3, :3] = torch.nn.functional.normalize(poses[:, :3, :3], dim=1)
    moved[:, :3, 3] = scale * (origin - center)
    return moved
