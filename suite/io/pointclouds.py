"""Point clouds, through Open3D, which is imported when it is used."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.errors import UserError
from suite.io.paths import existing_file

FORMATS = (".ply", ".pcd", ".xyz", ".xyzn", ".xyzrgb", ".pts")


@dataclass(frozen=True)
class PointCloud:
    """Points with, if known, RGB in [0, 1] and unit normals."""

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"] | None = None
    normals: Float[Tensor, "n 3"] | None = None


def import_open3d() -> ModuleType:
    """Open3D, or a message that says which system libraries it misses.

    Raises:
        UserError: It cannot be imported.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise UserError(
            f"Open3D cannot be imported ({error}). It needs three system libraries; on Debian and Ubuntu "
            "type 'apt-get install libusb-1.0-0 libgl1 libgomp1'. If it is not there: 'pip install open3d'."
        ) from error
    return open3d


def read_point_cloud(path: str | Path) -> PointCloud:
    """Points of a .ply, .pcd, .xyz, .xyzn, .xyzrgb or .pts file (of a mesh: its vertices).

    Raises:
        UserError: No such file (MissingFile), another format, no points, points that are not finite, or
            Open3D cannot be imported.
    """
    path = existing_file(path, "point cloud")
    _check_suffix(path)
    open3d = import_open3d()
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        cloud = open3d.io.read_point_cloud(str(path))
    points = np.asarray(cloud.points, dtype=np.float32)
    if len(points) == 0:
        raise UserError(f"{path} has no points, or Open3D cannot read it.")
    if not np.isfinite(points).all():
        raise UserError(f"{path} has points that are not finite (NaN or infinity).")
    return PointCloud(
        torch.from_numpy(points.copy()),
        _tensor(cloud.colors) if cloud.has_colors() else None,
        _tensor(cloud.normals) if cloud.has_normals() else None,
    )


def write_point_cloud(path: str | Path, cloud: PointCloud) -> None:
    """Write one of the formats that `read_point_cloud` reads, by the suffix. Colours are stored as bytes.

    Raises:
        UserError: Another suffix, or Open3D cannot be imported or cannot write there.
    """
    path = Path(path)
    _check_suffix(path)
    open3d = import_open3d()
    out = open3d.geometry.PointCloud(_vectors(open3d, cloud.points))
    if cloud.colors is not None:
        out.colors = _vectors(open3d, cloud.colors.clamp(0, 1))
    if cloud.normals is not None:
        out.normals = _vectors(open3d, cloud.normals)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if not open3d.io.write_point_cloud(str(partial), out):
            raise UserError(f"Open3D cannot write {path}.")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"Point clouds are {', '.join(FORMATS)} files, not {path.name!r}.")


def _tensor(values) -> Float[Tensor, "n 3"]:
    return torch.from_numpy(np.asarray(values, dtype=np.float32).copy())


def _vectors(open3d: ModuleType, values: Float[Tensor, "n 3"]):
    return open3d.utility.Vector3dVector(values.detach().cpu().double().numpy())
