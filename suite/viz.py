"""Pictures for people: turntables, contact sheets, colours for depth and normals.

What renders is a function of cameras that gives `Views`: `mesh_views` makes one of a mesh, and
`nerf.meshing.views.field_views` does the same for a field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.cameras import Cameras, orbit_path
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import render_mesh
from suite.io.images import contact_sheet as grid
from suite.io.images import write_image
from suite.io.videos import write_video
from suite.types import Images, Masks


@dataclass(frozen=True)
class Views:
    """Pictures of a scene from a batch of cameras.

    Attributes:
        images: RGB on the background.
        masks: Coverage.
        depth: Distance along the view axis; anything where the mask is 0.
        normals: Unit normals in the world; None if there are none.
    """

    images: Images
    masks: Masks
    depth: Float[Tensor, "b 1 h w"] | None = None
    normals: Float[Tensor, "b 3 h w"] | None = None


Render = Callable[[Cameras], Views]


def mesh_views(mesh: Mesh, **options: object) -> Render:
    """A function of cameras that draws the mesh; `options` are those of `suite.geometry.render_mesh`."""

    def render(cameras: Cameras) -> Views:
        drawn = render_mesh(mesh, cameras, **options)
        return Views(drawn.images, drawn.masks, drawn.depth, drawn.normals)

    return render


def depth_colors(depth: Float[Tensor, "b 1 h w"], masks: Masks, *, near: float, far: float) -> Images:
    """Depth from yellow (`near`) over green to violet (`far`) on white: viridis, as a polynomial.

    Coefficients: Matt Zucker's fit to matplotlib's map (public domain), within 0.01.
    """
    coefficients = depth.new_tensor([
        [0.2777273272234177, 0.005407344544966578, 0.3340998053353061],
        [0.1050930431085774, 1.404613529898575, 1.384590162594685],
        [-0.3308618287255563, 0.214847559468213, 0.09509516302823659],
        [-4.634230498983486, -5.799100973351585, -19.33244095627987],
        [6.228269936347081, 14.17993336680509, 56.69055260068105],
        [4.776384997670288, -13.74514537774601, -65.35303263337234],
        [-5.435455855934631, 4.645852612178535, 26.3124352495832],
    ])  # fmt: skip
    if not far > near:
        raise ValueError(f"depth_colors needs near < far, got near={near}, far={far}.")
    x = ((far - depth) / (far - near)).clamp(0, 1)
    color = torch.zeros_like(x).expand(-1, 3, -1, -1)
    for row in coefficients.flip(0):
        color = color * x + row[:, None, None]
    return color.clamp(0, 1) * masks + (1 - masks)


def normal_colors(normals: Float[Tensor, "b 3 h w"], masks: Masks, cameras: Cameras | None = None) -> Images:
    """(n + 1) / 2 on white. With cameras, n is turned into each camera's frame: what faces it is blue."""
    if cameras is not None:
        rotation = cameras.camera_from_world[:, :3, :3].to(normals)
        normals = torch.einsum("bij,bjhw->bihw", rotation, normals)
    return ((normals + 1) / 2).clamp(0, 1) * masks + (1 - masks)


def side_by_side(views: Views, cameras: Cameras) -> Images:
    """RGB, normals and depth in one row; what the views lack is left out."""
    panels = [views.images]
    if views.normals is not None:
        panels.append(normal_colors(views.normals, views.masks, cameras))
    if views.depth is not None:
        reach = float(cameras.distance.mean())
        panels.append(depth_colors(views.depth, views.masks, near=0.65 * reach, far=1.35 * reach))
    return torch.cat([panel.cpu() for panel in panels], dim=-1)


def turntable(
    render: Render,
    path: str | Path,
    *,
    frames: int = 48,
    fps: int = 24,
    size: int = 128,
    elevation_deg: float | int = 15.0,
    distance: float | int = 1.8,
    fov_deg: float | int = 40.0,
    at_once: int = 4,
    device: torch.device | str = "cpu",
) -> Path:
    """Writes a video of one turn about the object: RGB, normals and depth side by side.

    Args:
        render: Draws a batch of cameras.
        path: .mp4, .gif or .webp.
        size: Height and width of each panel, in pixels.
        at_once: Frames drawn in one call.
        device: Of the cameras.
    """
    cameras = orbit_path(frames, elevation_deg, distance, fov_deg, height=size, width=size).to(device)
    pieces = [cameras[k : k + at_once] for k in range(0, frames, at_once)]
    shown = [side_by_side(render(some), some) for some in pieces]
    path = Path(path)
    write_video(path, torch.cat(shown), fps)
    return path


def contact_sheet(
    render: Render,
    path: str | Path | None = None,
    *,
    views: int = 8,
    size: int = 128,
    columns: int = 4,
    elevation_deg: float | int = 15.0,
    distance: float | int = 1.8,
    fov_deg: float | int = 40.0,
    at_once: int = 4,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "3 H W"]:
    """RGB from `views` azimuths, labelled, as one picture; written to `path` if there is one."""
    path_of_views = orbit_path(views, elevation_deg, distance, fov_deg, height=size, width=size).to(device)
    pieces = [path_of_views[k : k + at_once] for k in range(0, views, at_once)]
    images = torch.cat([render(some).images.cpu() for some in pieces])
    labels = [f"azimuth {round(azimuth)}" for azimuth in path_of_views.azimuth_deg.tolist()]
    sheet = grid(images, columns, labels)
    if path is not None:
        write_image(path, sheet)
    return sheet
