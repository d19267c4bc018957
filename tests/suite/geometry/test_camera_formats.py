import json
import math

import pytest
import torch

from suite.geometry.camera_formats import (
    from_gltf,
    from_nerfstudio,
    from_opencv,
    from_zero123,
    to_gltf,
    to_nerfstudio,
    to_opencv,
    zero123_pose,
)
from suite.geometry.cameras import Cameras, CameraSampler
from suite.geometry.transforms import GLTF_FROM_WORLD, homogeneous, transform_points

POINTS = torch.tensor([[0.3, -0.2, 0.4], [0.0, 0.1, -0.3], [-0.4, 0.4, 0.0]])


def cameras(principal_point: bool = False) -> Cameras:
    sampler = CameraSampler(
        views=4, fov_deg=(30, 70), height=48, width=80, position_jitter=0.1, center_jitter=0.2, up_jitter=0.1
    )
    views = sampler.sample(torch.Generator().manual_seed(3))
    point = torch.tensor([[0.52, 0.47]]).expand(4, 2) if principal_point else None
    return Cameras(views.world_from_camera, views.fov_deg, 48, 80, point)


def same(a: Cameras, b: Cameras) -> None:
    torch.testing.assert_close(a.world_from_camera, b.world_from_camera, atol=2e-6, rtol=0)
    torch.testing.assert_close(a.fov_deg, b.fov_deg)
    assert (a.height, a.width) == (b.height, b.width)
    torch.testing.assert_close(a.center_px, b.center_px)


@pytest.mark.parametrize("shifted", [False, True])
def test_opencv(shifted):
    """K [R|t] X, dehomogenised, are the pixels of `project`; and there and back is the identity."""
    views = cameras(shifted)
    extrinsics, k = to_opencv(views)
    x = torch.einsum("bij,bjk,nk->bni", k, extrinsics[:, :3], homogeneous(POINTS))
    pixels, depth = views.project(POINTS)
    torch.testing.assert_close(x[..., :2] / x[..., 2:], pixels, atol=1e-3, rtol=0)
    torch.testing.assert_close(x[..., 2], depth)
    same(from_opencv(extrinsics, k, height=48, width=80), views)


def test_gltf():
    """A point moved to glTF's axes has the same camera coordinates; there and back is the identity."""
    views = cameras()
    matrix, yfov = to_gltf(views)
    p_camera = transform_points(views.camera_from_world[:, None], POINTS)
    moved = transform_points(GLTF_FROM_WORLD, POINTS)
    torch.testing.assert_close(transform_points(torch.linalg.inv(matrix)[:, None], moved), p_camera)
    assert float(yfov.max()) < math.pi
    same(from_gltf(matrix, yfov, height=48, width=80), views)


@pytest.mark.parametrize("shifted", [False, True])
def test_nerfstudio(shifted):
    """There, through JSON text, and back is the identity."""
    views = cameras(shifted)
    same(from_nerfstudio(json.loads(json.dumps(to_nerfstudio(views)))), views)


def test_blender():
    """camera_angle_x is horizontal: at 90 degrees and 2:1 the vertical field of view is 2 atan(1/2)."""
    frame = {"file_path": "r_0", "transform_matrix": torch.eye(4).tolist()}
    views = from_nerfstudio({"camera_angle_x": math.pi / 2, "frames": [frame]}, height=100, width=200)
    torch.testing.assert_close(views.fov_deg, torch.tensor([math.degrees(2 * math.atan(0.5))]))
    assert views.principal_point is None


def test_zero123_by_hand():
    """Up by 30 degrees is polar -30; azimuth 20 -> -50 is -70; farther by .5 is +.5."""
    pose = zero123_pose(Cameras.orbit(20.0, 10.0, 1.5, 49.13), Cameras.orbit(-50.0, 40.0, 2.0, 49.13))
    a = math.radians(-70)
    expected = torch.tensor([[-math.radians(30), math.sin(a), math.cos(a), 0.5]])
    torch.testing.assert_close(pose, expected, atol=1e-5, rtol=0)
    stable = zero123_pose(Cameras.orbit(20.0, 10.0, 1.5), Cameras.orbit(-50.0, 40.0, 2.0), stable=True)
    torch.testing.assert_close(stable[0, 3], torch.tensor(math.radians(80)))


def test_zero123_there_and_back():
    """The target is recovered from the relative pose, poles and the seam at 180 degrees included."""
    condition = Cameras.orbit(170.0, 25.0, 1.7, 49.13, height=32, width=32)
    targets = Cameras.orbit(
        [-170.0, 0, 90, 180], [-40.0, 89, 0, 25], [1.5, 2, 1.8, 1.7], 49.13, height=32, width=32
    )
    back = from_zero123(condition, zero123_pose(condition, targets))
    torch.testing.assert_close(back.world_from_camera, targets.world_from_camera, atol=1e-5, rtol=0)


def test_errors():
    """What cannot be represented is refused with the reason."""
    views, eye = cameras(), torch.eye(4).tolist()
    extrinsics, k = to_opencv(views)
    k = k.clone()
    k[:, 0, 0] *= 1.1
    with pytest.raises(ValueError, match="square pixels.*off by 10.0%.*Resample"):
        from_opencv(extrinsics, k, height=48, width=80)
    with pytest.raises(ValueError, match="2 file_paths for 4 cameras"):
        to_nerfstudio(views, ["a", "b"])
    with pytest.raises(ValueError, match='a list "frames"'):
        from_nerfstudio({})
    frame = {"file_path": "a.png", "transform_matrix": eye}
    with pytest.raises(ValueError, match='a.png has no "transform_matrix"'):
        from_nerfstudio({"frames": [{"file_path": "a.png"}]})
    with pytest.raises(ValueError, match=r"\['k1'\] is not modelled: undistort"):
        from_nerfstudio({"frames": [frame], "k1": 0.1, "h": 4, "w": 4, "fl_x": 4})
    with pytest.raises(ValueError, match="pass height and width"):
        from_nerfstudio({"frames": [frame], "fl_x": 4})
    with pytest.raises(ValueError, match="no focal length"):
        from_nerfstudio({"frames": [frame], "h": 4, "w": 4})
    with pytest.raises(ValueError, match=r"one size, but \(height, width\) are \[\(4, 4\), \(5, 4\)\]"):
        from_nerfstudio({"frames": [frame, {**frame, "h": 5}], "h": 4, "w": 4, "fl_x": 4})
