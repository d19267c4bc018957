"""Density and colour on a grid in a camera's frustum, and views of it from other cameras.

    depth of layer k     d - r + (k + 1/2) 2 r / D        d: distance of the camera from the origin, r: REACH
    sigma(p)             OPACITY softplus(v_0(p))         v: the four numbers of a voxel, trilinear between centres
    pixel                sum_i T_i (1 - e^(-sigma_i s)) v_rgb(p_i) + T_S white,   T_i = exp(-s sum_(j<i) sigma_j)

A voxel lies behind the pixel whose column it is in, so that what a picture shows at a pixel is told along that pixel's
ray, as in pixelNeRF (Yu et al. 2021, arXiv:2012.02190). Outside the grid there is nothing.

Beside its colour a ray has a number that is trained on true depths: how much of it ends where it should, within NEAR of
its true depth, or in the white where there is nothing (the likelihood of what a depth sensor would see).

`march_torch` is the sum in torch, for any device; on a CPU `suite.geometry.frustum_volumes_numba` computes the same.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from suite.geometry.cameras import Cameras

REACH = 0.75  # layers and samples lie this far before and behind the origin; objects have a longest side of 1
OPACITY = 30.0  # density is in units of one over the longest side
SAMPLES = 48
NEAR = 0.047  # a voxel or so

Volumes = Float[Tensor, "b layers rows columns 4"]


def render_volumes(
    volumes: Volumes, reference: Cameras, wanted: Cameras, *, samples: int = SAMPLES
) -> Float[Tensor, "b 3 i j"]:
    """Views of volumes on white; differentiable in the volumes.

    Args:
        volumes: Raw density, then RGB; layers from near to far, rows downwards, of the reference's pixels.
        reference: The cameras in whose frustums they lie.
        wanted: As many cameras as volumes; their size is the views'.
        samples: Along a ray.

    Raises:
        ValueError: The numbers of volumes and cameras differ.
    """
    pixels = torch.arange(wanted.height * wanted.width, device=volumes.device).expand(len(wanted), -1)
    colors, _ = cast_rays(volumes, reference, wanted, pixels, samples=samples)
    return colors.unflatten(2, (wanted.height, wanted.width))


def cast_rays(
    volumes: Volumes,
    reference: Cameras,
    wanted: Cameras,
    pixels: Int[Tensor, "b r"],
    *,
    samples: int = SAMPLES,
    jitter: Float[Tensor, "b r"] | None = None,
    depth: Float[Tensor, "b r"] | None = None,
) -> tuple[Float[Tensor, "b 3 r"], Float[Tensor, "b r"]]:
    """Some pixels of the same views, and how much of each ray ends where it should.

    Args:
        pixels: Row times width plus column.
        jitter: In [0, 1), where between its ends a step is sampled; in its middle where it is missing.
        depth: Along the viewing axis, of what is truly seen; 0 where nothing is. Missing, nothing is anywhere.

    Raises:
        ValueError: The numbers of volumes and cameras differ.
    """
    if not len(volumes) == len(reference) == len(wanted):
        raise ValueError(
            "Volumes need a reference and a wanted camera each, "
            f"got {len(volumes)}, {len(reference)}, {len(wanted)}."
        )
    which = pixels.long()[..., None].expand(-1, -1, 3)
    rays = wanted.rays()
    origins, directions = (x.flatten(1, 2).gather(1, which) for x in (rays.origins, rays.directions))
    near = -(origins * directions).sum(-1) - REACH
    true = torch.full_like(near, -1.0)
    if depth is not None:
        axis = -wanted.world_from_camera[:, None, :3, 2]
        true = torch.where(depth > 0, depth / (directions * axis).sum(-1), true)
    camera = reference.camera_from_world
    origins = torch.einsum("bij,brj->bri", camera[:, :3, :3], origins) + camera[:, None, :3, 3]
    directions = torch.einsum("bij,brj->bri", camera[:, :3, :3], directions)
    lens = torch.stack([2 * reference.focal_px / reference.height, reference.distance], dim=1)
    jitter = torch.full_like(near, 0.5) if jitter is None else jitter
    if volumes.device.type == "cpu":
        from suite.geometry.frustum_volumes_numba import march_numba as march
    else:
        march = march_torch
    found = march(volumes, origins, directions, near, jitter, true, lens, samples)
    return found[..., :3].movedim(-1, 1), found[..., 3]


def frustum_points(reference: Cameras, layers: int, side: int) -> Float[Tensor, "b layers side side 3"]:
    """Centres of the voxels of `frustum_volumes` as if the camera stood at azimuth 0."""
    device = reference.distance.device
    across, deep = (((torch.arange(n, device=device) + 0.5) / n * 2 - 1).float() for n in (side, layers))
    behind, down, right = torch.meshgrid(REACH * deep, across, across, indexing="ij")
    distance, focal, elevation = (
        x[:, None, None, None]
        for x in (reference.distance, reference.focal_px, torch.deg2rad(reference.elevation_deg))
    )
    scale = (distance + behind) * reference.height / (2 * focal)
    up = -down * scale
    x = -behind * elevation.cos() - up * elevation.sin()
    z = -behind * elevation.sin() + up * elevation.cos()
    return torch.stack([x, right * scale, z], dim=-1)


def mirrored_places(
    reference: Cameras, planes_deg: Float[Tensor, " b"], layers: int, side: int
) -> Float[Tensor, "b layers side side 2"]:
    """Where voxels' mirror images are seen in the same pictures: column and row, each -1 to 1 from edge to edge.

    Args:
        planes_deg: Azimuths of vertical planes through the origin, which are the mirrors; relative to the cameras'.
    """
    points = frustum_points(reference, layers, side)
    angles = 2 * torch.deg2rad(planes_deg)[:, None, None, None]
    x, y, z = points.unbind(-1)
    x, y = angles.cos() * x + angles.sin() * y, angles.sin() * x - angles.cos() * y
    elevation, distance, lens = (
        number[:, None, None, None]
        for number in (
            torch.deg2rad(reference.elevation_deg),
            reference.distance,
            2 * reference.focal_px / reference.height,
        )
    )
    behind = -x * elevation.cos() - z * elevation.sin()
    up = z * elevation.cos() - x * elevation.sin()
    scale = lens / (distance + behind)
    return torch.stack([y * scale, -up * scale], dim=-1)


def shape_points(
    points: Float[Tensor, "b p 3"], azimuths: Float[Tensor, "b k"], stretches: Float[Tensor, "b k 3"]
) -> tuple[Float[Tensor, "b k p"], ...]:
    """x, y and z in a shape's own frame: of points whose camera, at azimuth 0, turns to these azimuths."""
    angles = torch.deg2rad(azimuths)[..., None]
    c, s = angles.cos(), angles.sin()
    x, y, z = points[:, None].unbind(-1)
    along_x, along_y, along_z = stretches[..., None].unbind(2)
    return (c * x - s * y) / along_x, (s * x + c * y) / along_y, z / along_z


def lay(
    grids: Float[Tensor, "b k x y z"],
    azimuths: Float[Tensor, "b k"],
    stretches: Float[Tensor, "b k 3"],
    reference: Cameras,
    layers: int,
    side: int,
) -> Float[Tensor, "b k layers side side"]:
    """Grids over the unit cube about the origin, turned and stretched, in frustums; trilinear between voxels.

    Args:
        azimuths: Of the cameras as the grids see them; those of `reference` are not read.
        stretches: How much longer each is along its own axes than its grid.
    """
    x, y, z = shape_points(frustum_points(reference, layers, side).flatten(1, 3), azimuths, stretches)
    place = 2 * torch.stack([z, y, x], dim=-1).unflatten(2, (layers, side, side)).flatten(0, 1)
    found = F.grid_sample(grids.flatten(0, 1)[:, None], place, align_corners=False)
    return found.unflatten(0, azimuths.shape)[:, :, 0]


def march_torch(
    volumes: Volumes,
    origins: Float[Tensor, "b r 3"],
    directions: Float[Tensor, "b r 3"],
    near: Float[Tensor, "b r"],
    jitter: Float[Tensor, "b r"],
    true: Float[Tensor, "b r"],
    lens: Float[Tensor, "b 2"],
    samples: int,
) -> Float[Tensor, "b r 4"]:
    """Colours of rays in the reference cameras' spaces, and how much of each ends where it should.

    Args:
        near: Distance of the first step's beginning.
        true: Distance of what is truly seen; negative where nothing is.
        lens: One over the tangent of half the field of view, and the camera's distance.
    """
    step = 2 * REACH / samples
    along = near[..., None] + (torch.arange(samples, device=near.device) + jitter[..., None]) * step
    p = origins[:, :, None] + along[..., None] * directions[:, :, None]  # b r s 3
    depth = -p[..., 2]
    scale = (lens[:, 0, None, None] / depth.clamp_min(1e-6))[..., None]
    layer = (depth - lens[:, 1, None, None]) / REACH
    place = torch.cat([p[..., :1] * scale, -p[..., 1:2] * scale, layer[..., None]], dim=-1)
    inside = (place.abs() < 1).all(-1) & (depth > 1e-6)
    found = F.grid_sample(
        volumes.movedim(-1, 1), place[:, None], align_corners=False, padding_mode="border"
    )[:, :, 0]  # fmt: skip
    density = OPACITY * F.softplus(found[:, 0]) * inside
    passed = torch.exp(-step * density.cumsum(-1))
    before = torch.cat([torch.ones_like(passed[..., :1]), passed[..., :-1]], dim=-1)
    seen, left = before - passed, passed[..., -1:]
    ends = (seen * ((along - true[..., None]).abs() < NEAR)).sum(-1, keepdim=True) + left * (true < 0)[
        ..., None
    ]
    return torch.cat([torch.einsum("brs,bcrs->brc", seen, found[:, 1:]) + left, ends], dim=-1)
