import sys

import pytest
import torch

from suite.errors import UserError
from suite.io.pointclouds import PointCloud, read_point_cloud, write_point_cloud


def cloud() -> PointCloud:
    rng = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(20, 3, generator=rng), dim=-1)
    return PointCloud(torch.randn(20, 3, generator=rng), torch.rand(20, 3, generator=rng), normals)


@pytest.mark.usefixtures("open3d")
@pytest.mark.parametrize("suffix", [".ply", ".pcd"])
def test_there_and_back(tmp_path, suffix):
    """Points and normals survive, colours to a byte."""
    write_point_cloud(tmp_path / f"a{suffix}", cloud())
    back = read_point_cloud(tmp_path / f"a{suffix}")
    torch.testing.assert_close(back.points, cloud().points, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(back.normals, cloud().normals, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(back.colors, cloud().colors, atol=1 / 255, rtol=0)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.usefixtures("open3d")
def test_points_alone(tmp_path):
    """Without colours and normals there are none after reading."""
    write_point_cloud(tmp_path / "a.ply", PointCloud(cloud().points))
    back = read_point_cloud(tmp_path / "a.ply")
    assert back.colors is None and back.normals is None


def test_without_open3d_the_message_names_the_libraries(tmp_path, monkeypatch):
    """An import that fails says which system packages to install."""
    (tmp_path / "a.ply").write_text("ply")
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(UserError, match="apt-get install libusb-1.0-0 libgl1 libgomp1"):
        read_point_cloud(tmp_path / "a.ply")


@pytest.mark.usefixtures("open3d")
def test_errors(tmp_path):
    """Missing, of another kind, empty, not finite, not writable."""
    with pytest.raises(FileNotFoundError, match="There is no point cloud at"):
        read_point_cloud(tmp_path / "a.ply")
    with pytest.raises(UserError, match="Point clouds are .ply, .*not 'a.obj'"):
        write_point_cloud(tmp_path / "a.obj", cloud())
    (tmp_path / "bad.ply").write_text("hello")
    with pytest.raises(UserError, match="bad.ply has no points, or Open3D cannot read it"):
        read_point_cloud(tmp_path / "bad.ply")
    write_point_cloud(tmp_path / "nan.ply", PointCloud(torch.full((2, 3), float("nan"))))
    with pytest.raises(UserError, match="nan.ply has points that are not finite"):
        read_point_cloud(tmp_path / "nan.ply")
    with pytest.raises(UserError, match="Open3D cannot write .*empty.ply"):
        write_point_cloud(tmp_path / "empty.ply", PointCloud(torch.zeros(0, 3)))
