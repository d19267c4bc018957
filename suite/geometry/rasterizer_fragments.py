"""What each pixel sees of a mesh, and what the mesh's attributes are there.

`rasterize` finds the triangle behind each pixel centre: a numba z-buffer for tensors on a CPU, the same
arithmetic in torch elsewhere (rasterizer_torch, also its twin in the tests). Barycentrics and depth are
differentiable in the clip positions, `interpolate` in attributes and barycentrics; on a CPU the gradients are
numba kernels, which have no second derivative. Which face a pixel sees has no gradient: see
`suite.geometry.antialiasing`.

Triangles are seen from both sides. What lies outside the near and far planes is cut away exactly, pixel by
pixel; no triangle is dropped because a corner is behind the camera.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from suite.geometry import rasterizer_torch
from suite.geometry.cameras import Cameras
from suite.geometry.rasterizer_torch import pixel_coordinates, visible_faces
from suite.geometry.transforms import homogeneous


@dataclass(frozen=True)
class Fragments:
    """What each pixel centre sees.

    Attributes:
        face_id: Index of the nearest face, -1 where there is none.
        barycentrics: Perspective-correct weights of the face's three corners; 0 where there is none.
        depth: Clip-space w, which for `Cameras.clip_from_world` is the distance along the view axis; 0 where
            there is none.
    """

    face_id: Int[Tensor, "b h w"]
    barycentrics: Float[Tensor, "b h w 3"]
    depth: Float[Tensor, "b h w"]


def clip_positions(vertices: Float[Tensor, "v 3"], cameras: Cameras) -> Float[Tensor, "b v 4"]:
    """World vertices in the clip space of each camera."""
    return homogeneous(vertices) @ cameras.clip_from_world().to(vertices).transpose(-1, -2)


def rasterize(
    clip: Float[Tensor, "b v 4"], faces: Int[Tensor, "f 3"], height: int, width: int, *, threads: int = 1
) -> Fragments:
    """The nearest triangle at each pixel centre; barycentrics and depth in the dtype of `clip`.

    Args:
        clip: OpenGL clip coordinates; x = w is the right edge of the image, y = w its top (row 0).
        faces: Corners; either winding is seen.
        threads: Views drawn at the same time on a CPU.
    """
    pixels, planes = pixel_coordinates(clip, height, width)
    if clip.is_cuda:
        face_id = torch.stack(
            [visible_faces(p, z, faces, height, width) for p, z in zip(pixels, planes, strict=True)]
        )
        barycentrics, depth = rasterizer_torch.barycentrics(pixels, faces, face_id)
        return Fragments(face_id, barycentrics.to(clip), depth.to(clip))
    dtype = torch.float64 if clip.dtype == torch.float64 else torch.float32
    return Fragments(*_Visible.apply(pixels, planes, faces, (height, width), threads, dtype))


def interpolate(
    attributes: Float[Tensor, "*b v c"], fragments: Fragments, faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "b h w c"]:
    """Attributes of the vertices (shared by the views, or a set for each) at each pixel; 0 where empty."""
    face_id, barycentrics = fragments.face_id, fragments.barycentrics
    dtype = torch.promote_types(attributes.dtype, barycentrics.dtype)
    attributes = attributes.to(dtype).expand(len(face_id), *attributes.shape[-2:])
    if attributes.device.type == "cpu":
        return _Interpolated.apply(attributes, faces, face_id, barycentrics.to(dtype))
    return rasterizer_torch.interpolate(attributes, faces, face_id, barycentrics.to(dtype))


def screen_derivatives(
    attributes: Float[Tensor, "*b v c"],
    clip: Float[Tensor, "b v 4"],
    fragments: Fragments,
    faces: Int[Tensor, "f 3"],
) -> Float[Tensor, "b h w c 2"]:
    """d(attributes) / d(pixel x, pixel y) at each pixel: with uv, what a mip-map level is chosen by."""
    b, h, w = fragments.face_id.shape
    slopes = rasterizer_torch.screen_derivatives(
        pixel_coordinates(clip, h, w)[0], faces, fragments.face_id
    ).to(clip)
    across = [
        rasterizer_torch.interpolate(
            attributes.expand(b, *attributes.shape[-2:]), faces, fragments.face_id, slope
        )
        for slope in slopes.unbind(-1)
    ]
    return torch.stack(across, dim=-1)


def for_each_view(function: Callable[[int], None], views: int, threads: int) -> None:
    """Calls function(0), ..., function(views - 1), which release Python's lock."""
    if threads > 1 and views > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(function, range(views)))
    else:
        for k in range(views):
            function(k)


class _Visible(torch.autograd.Function):
    """pixels -> face_id, barycentrics, depth, through numba."""

    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, planes: Tensor, faces: Tensor, size: tuple, threads: int, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        from suite.geometry.rasterizer_numba import zbuffer

        b, (height, width) = len(pixels), size
        points, distances = pixels.detach().numpy(), planes.detach().numpy()
        triangles = faces.numpy().astype(np.int64, copy=False)
        face_id = torch.full((b, height, width), -1)
        barycentrics = torch.zeros((b, height, width, 3), dtype=dtype)
        depth = torch.zeros((b, height, width), dtype=dtype)
        out = [x.numpy() for x in (face_id, barycentrics, depth)]

        def draw(k: int) -> None:
            zbuffer(points[k], distances[k], triangles, height, width, *(x[k] for x in out))

        for_each_view(draw, b, threads)
        ctx.save_for_backward(pixels, faces, face_id)
        ctx.threads = threads
        ctx.mark_non_differentiable(face_id)
        return face_id, barycentrics, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, to_barycentrics: Tensor, to_depth: Tensor) -> tuple:
        from suite.geometry.rasterizer_numba import barycentrics_backward

        pixels, faces, face_id = ctx.saved_tensors
        to_pixels = torch.zeros_like(pixels)
        points, out, ids = pixels.detach().numpy(), to_pixels.numpy(), face_id.numpy()
        triangles = faces.numpy().astype(np.int64, copy=False)
        weights, depths = to_barycentrics.contiguous().numpy(), to_depth.contiguous().numpy()

        def draw(k: int) -> None:
            barycentrics_backward(points[k], triangles, ids[k], weights[k], depths[k], out[k])

        for_each_view(draw, len(pixels), ctx.threads)
        return to_pixels, None, None, None, None, None


class _Interpolated(torch.autograd.Function):
    """attributes, barycentrics -> values, through numba."""

    @staticmethod
    def forward(ctx: Any, attributes: Tensor, faces: Tensor, face_id: Tensor, barycentrics: Tensor) -> Tensor:
        from suite.geometry.rasterizer_numba import interpolate as kernel

        values = attributes.new_zeros((*face_id.shape, attributes.shape[-1]))
        given = [x.detach().contiguous().numpy() for x in (attributes, face_id, barycentrics)]
        triangles = faces.numpy().astype(np.int64, copy=False)
        for a, ids, weights, out in zip(*given, values.numpy(), strict=True):
            kernel(a, triangles, ids, weights, out)
        ctx.save_for_backward(attributes, faces, face_id, barycentrics)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_values: Tensor) -> tuple:
        from suite.geometry.rasterizer_numba import interpolate_backward

        attributes, faces, face_id, barycentrics = ctx.saved_tensors
        to_attributes = torch.zeros(attributes.shape, dtype=attributes.dtype)
        to_barycentrics = torch.zeros(barycentrics.shape, dtype=barycentrics.dtype)
        given = [x.detach().contiguous().numpy() for x in (attributes, face_id, barycentrics, to_values)]
        triangles = faces.numpy().astype(np.int64, copy=False)
        out = (to_attributes.numpy(), to_barycentrics.numpy())
        for a, ids, weights, incoming, to_a, to_b in zip(*given, *out, strict=True):
            interpolate_backward(a, triangles, ids, weights, incoming, to_a, to_b)
        return to_attributes, None, None, to_barycentrics
