"""transforms.json as Blender and nerfstudio write it, and every way in which it can be wrong."""

import json
import math
from pathlib import Path

import pytest
import torch
from scenery import seeded

from nerf.scenes import load
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.io.images import write_image


def cameras(count: int) -> Cameras:
    return Cameras.orbit([360.0 * k / count for k in range(count)], 20.0, 4.0, 40.0, height=10, width=20)


def write(folder: Path, name: str, meta: dict, count: int = 4, suffix: str = "", alpha: bool = False) -> Path:
    """A file of `count` frames with noise for pictures."""
    poses = cameras(count).world_from_camera.tolist()
    frames = []
    for k, pose in enumerate(poses):
        picture = folder / "images" / f"{Path(name).stem}_{k}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        coverage = torch.rand(1, 10, 20, generator=seeded(k)) if alpha else None
        write_image(picture, torch.rand(3, 10, 20, generator=seeded(k)), alpha=coverage)
        path = f"./images/{picture.stem}{suffix}"
        frames.append({"file_path": path, "transform_matrix": pose})
    (folder / name).write_text(json.dumps({**meta, "frames": frames}))
    return folder / name


def test_blender(tmp_path):
    """camera_angle_x is horizontal; the test split is held out; ".png" is implied; the cameras come closer, so
    that they see .6 to either side of the origin, in the shorter direction of the picture."""
    angle = 2 * math.atan(20 / 2 / 13.7)
    write(tmp_path, "transforms_train.json", {"camera_angle_x": angle}, count=5, alpha=True)
    write(tmp_path, "transforms_test.json", {"camera_angle_x": angle}, count=3, alpha=True)
    scene = load(source=str(tmp_path))
    assert scene.pixels.shape == (8, 10, 20, 4) and scene.held_out.tolist() == [False] * 5 + [True] * 3
    torch.testing.assert_close(scene.focal, torch.full((8, 2), 13.7))
    assert scene.center[0].tolist() == [10.0, 5.0]
    distance = scene.world_from_camera[:, :3, 3].norm(dim=-1)
    torch.testing.assert_close(distance, torch.full((8,), 0.6 * 13.7 / 5), rtol=1e-4, atol=0)
    expected = cameras(5).world_from_camera[:, :3, :3]
    torch.testing.assert_close(scene.world_from_camera[:5, :3, :3], expected, rtol=0, atol=1e-5)


def test_nerfstudio(tmp_path):
    """fl_x, fl_y, cx, cy and k1 are taken, a frame's own before the file's; test_filenames are held out; the
    world is kept as it is if asked for."""
    meta = {
        "fl_x": 21.0,
        "fl_y": 22.0,
        "cx": 9.5,
        "cy": 5.5,
        "k1": 0.1,
        "w": 20,
        "h": 10,
        "camera_model": "OPENCV",
    }
    meta["test_filenames"] = ["./images/transforms_2.png"]
    path = write(tmp_path, "transforms.json", meta, suffix=".png")
    data = json.loads(path.read_text())
    data["frames"][1]["fl_x"] = 30.0
    path.write_text(json.dumps(data))
    scene = load(source=str(path), normalize=False)
    assert scene.held_out.tolist() == [False, False, True, False] and scene.pixels.shape[-1] == 3
    assert scene.focal.tolist()[:2] == [[21.0, 22.0], [30.0, 22.0]] and scene.center[0].tolist() == [9.5, 5.5]
    torch.testing.assert_close(scene.distortion[0], torch.tensor([0.1, 0, 0, 0]))
    torch.testing.assert_close(scene.world_from_camera, cameras(4).world_from_camera)


def test_what_the_cameras_look_at_becomes_the_origin(tmp_path):
    """Cameras around (5, -3, 2) are moved there and back: normalizing undoes any shift and scale of the world."""
    path = write(tmp_path, "transforms.json", {"fl_x": 14.0}, suffix=".png")
    data = json.loads(path.read_text())
    for frame in data["frames"]:
        for axis, shift in enumerate((5.0, -3.0, 2.0)):
            frame["transform_matrix"][axis][3] = 7 * frame["transform_matrix"][axis][3] + shift
    before = load(source=str(path)).world_from_camera
    path.write_text(json.dumps(data))
    torch.testing.assert_close(load(source=str(path)).world_from_camera, before, rtol=1e-3, atol=1e-4)


def test_a_split_is_made_where_there_is_none(tmp_path):
    """Without a test split every (n / held_out)th picture is held out, and some are not."""
    path = write(tmp_path, "transforms.json", {"fl_x": 14.0}, count=9, suffix=".png")
    assert load(source=str(path), held_out=3).held_out.sum() == 3
    assert load(source=str(path), held_out=100).held_out.sum() == 4


def test_downscaling_averages_what_is_seen(tmp_path):
    """Half the size: alpha is the mean of four, the colour their mean weighted by alpha; focal lengths halve."""
    write(tmp_path, "transforms.json", {"fl_x": 14.0}, alpha=True, suffix=".png")
    full, half = load(source=str(tmp_path)), load(source=str(tmp_path), downscale=2)
    color, alpha = full.picture(0)
    block = (slice(0, 1), slice(None), slice(2, 4), slice(6, 8))
    mean = (color[block] * alpha[block]).sum((2, 3)) / alpha[block].sum((2, 3))
    small_color, small_alpha = half.picture(0)
    torch.testing.assert_close(small_color[..., 1, 3], mean, rtol=0, atol=0.51 / 255)
    torch.testing.assert_close(small_alpha[..., 1, 3], alpha[block].mean((2, 3)), rtol=0, atol=0.51 / 255)
    assert half.focal[0].tolist() == [7.0, 7.0] and half.center[0].tolist() == [5.0, 2.5]


def refused(path: Path, change: dict | None = None, **options) -> str:
    if change is not None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError) as error:
        load(source=str(path), **options)
    return str(error.value)


def test_what_is_wrong_is_said(tmp_path):
    """No file, no JSON, no frames, a frame without pose, a fisheye lens, no focal length, a missing or damaged
    picture, pictures of two sizes, nothing to learn from."""
    assert "is no scene" in refused(tmp_path / "transforms.json")
    path = write(tmp_path, "transforms.json", {"fl_x": 14.0}, suffix=".png")
    good = path.read_text()
    path.write_text("{")
    assert "cannot be read as JSON" in refused(path)
    path.write_text(good)
    assert "has no 'frames'" in refused(path, {"frames": []})
    path.write_text(good)
    frames = json.loads(good)["frames"]
    assert "Frame 1 of" in refused(path, {"frames": [frames[0], {"file_path": "x"}]})
    path.write_text(good)
    assert "camera model OPENCV_FISHEYE, known are the perspective" in refused(
        path, {"camera_model": "OPENCV_FISHEYE"}
    )
    path.write_text(good)
    path.write_text(json.dumps({"frames": frames}))
    assert "neither fl_x nor camera_angle_x" in refused(path)
    path.write_text(good)
    assert "no picture to learn from" in refused(path, {"test_filenames": [f["file_path"] for f in frames]})
    path.write_text(good)
    assert "nothing.png" in refused(path, {"frames": [frames[0], frames[1] | {"file_path": "nothing.png"}]})
    path.write_text(good)
    write_image(tmp_path / "images" / "transforms_3.png", torch.zeros(3, 5, 5))
    assert "differ in height, width or channels: [(5, 5, 3), (10, 20, 3)]" in refused(path)
    (tmp_path / "images" / "transforms_3.png").write_bytes(b"not a picture")
    assert "transforms_3.png" in refused(path)
