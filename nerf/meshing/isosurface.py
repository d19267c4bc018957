"""The surface on which a field's density passes a level, by marching cubes (Lewiner et al. 2003, scikit-image).

    s(x) = (density(x) - level) / (density(x) + level)      in [-1, 1], positive inside, 0 on the surface

is what gets interpolated between grid points, not the density: near the surface it is linear in the density's
logarithm, which is what fields store, and between full and empty neighbours the surface falls in the middle.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf.fields.base import Field
from nerf.meshing.views import device_of
from suite.geometry.mesh import Mesh

POINTS_AT_ONCE = 2**18


@torch.no_grad()
def sample_density(
    field: Field, resolution: int, occupied: Bool[Tensor, "i j k"] | None = None
) -> Float[Tensor, "x y z"]:
    """Density at `resolution` + 1 points along each axis of the field's box, corners included, on the CPU.

    Args:
        occupied: A renderer's occupancy grid (axes z, y, x): where it is empty the renderer sees nothing, and
            neither does the mesh; the field is not asked there.
    """
    device = device_of(field)
    count = resolution + 1
    axis = torch.linspace(-field.radius, field.radius, count)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    wanted = torch.arange(len(points))
    if occupied is not None:
        cells = len(occupied)
        cell = (torch.arange(count) * cells // resolution).clamp_max(cells - 1)
        inside = occupied.cpu().permute(2, 1, 0)[cell][:, cell][:, :, cell]
        wanted = inside.reshape(-1).nonzero()[:, 0]
    density = torch.zeros(len(points))
    for some in wanted.split(POINTS_AT_ONCE):
        density[some] = field.density(points[some].to(device)).float().cpu()
    return density.reshape(count, count, count)


def isosurface(
    density: Float[Tensor, "x y z"], level: float | int, radius: float | int, *, fill: int | None = None
) -> Mesh:
    """The closed surface around what is denser than `level`, in the box [-radius, radius]^3.

    Args:
        density: At equal steps along each axis, the box's corners included.
        fill: Hollows that are reached from outside only through openings narrower than 2 * fill cells are
            filled: no picture has ever shown what is in them. 0 fills only those that are closed, None nothing.

    Returns: A mesh whose faces look outwards; without faces where nothing is that dense.
    """
    from skimage.measure import marching_cubes

    if not level > 0:
        raise ValueError(f"isosurface needs level > 0, got {level}.")
    # one empty layer around the box closes what reaches its walls
    s = np.pad(((density - level) / (density + level)).numpy(), 1, constant_values=-1.0)
    if fill is not None:
        s[_hollows(s < 0, fill)] = 1.0
    if not (s > 0).any():
        return Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    step = 2 * radius / (len(density) - 1)
    vertices, faces, _, _ = marching_cubes(s, 0.0, gradient_direction="ascent", allow_degenerate=False)
    points = torch.from_numpy(np.ascontiguousarray(vertices)).float()
    points = ((points - 1) * step - radius).clamp(-radius, radius)
    return Mesh(points, torch.from_numpy(np.ascontiguousarray(faces)).long())


def _hollows(empty: Bool[np.ndarray, "x y z"], opening: int) -> Bool[np.ndarray, "x y z"]:
    """Empty places that a ball of `opening` cells cannot come near, rolling in from the corner.

    The inside of a distilled object is unconstrained: without this, worm holes there make up as much area as
    the surface (and double the Chamfer distance to the truth).
    """
    from scipy.ndimage import binary_dilation, binary_erosion, label

    roomy = binary_erosion(empty, iterations=opening, border_value=1) if opening else empty
    regions, _ = label(roomy)
    reached = regions == regions[0, 0, 0]
    if opening:
        reached = binary_dilation(reached, iterations=opening + 1, mask=empty)
    return empty & ~reached
