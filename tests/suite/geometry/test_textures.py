"""Textures: levels by hand, lookups against the mesh's own, gradients by gradcheck."""

import pytest
import torch

from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh, sample_texture
from suite.geometry.rasterizer import clip_positions, rasterize, render_mesh, screen_derivatives
from suite.geometry.textures import mip_level, mip_map, sample


def noise(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_the_finest_level_is_bilinear():
    """Without a level, and at level 0, it is the mesh's lookup, repeated outside [0, 1]."""
    texture, uv = noise(3, 7, 10), 3 * noise(50, 2) - 1
    expected = sample_texture(texture, uv)
    torch.testing.assert_close(sample(mip_map(texture), uv), expected)
    torch.testing.assert_close(sample(mip_map(texture), uv, torch.full((50,), -2.0).double()), expected)


def test_coarser_levels_are_means():
    """At level k, the centre of a block of 2^k texels shows its mean; half way between levels, half of each."""
    texture = noise(2, 16, 8)
    pyramid = mip_map(texture)
    assert pyramid.sizes.tolist() == [[16, 8], [8, 4], [4, 2], [2, 1], [1, 1]]
    assert len(pyramid.texels) == 128 + 32 + 8 + 2 + 1
    uv = torch.tensor([[6 / 8, 1 - 14 / 16], [2 / 8, 1 - 6 / 16]]).double()
    blocks = torch.stack([texture[:, 12:16, 4:8].mean((1, 2)), texture[:, 4:8, 0:4].mean((1, 2))])
    torch.testing.assert_close(sample(pyramid, uv, torch.full((2,), 2.0).double()), blocks)
    everything = texture.mean((1, 2)).expand(2, 2)
    torch.testing.assert_close(sample(pyramid, uv, torch.full((2,), 99.0).double()), everything)
    between = sample(pyramid, uv, torch.full((2,), 1.5).double())
    ends = [sample(pyramid, uv, torch.full((2,), level).double()) for level in (1.0, 2.0)]
    torch.testing.assert_close(between, (ends[0] + ends[1]) / 2)


def test_any_size_has_all_levels():
    """Sizes that are no powers of two are rounded down; a constant stays what it is."""
    for h, w in ((1, 1), (5, 3), (1, 9), (12, 20)):
        pyramid = mip_map(torch.full((1, h, w), 0.3))
        assert pyramid.sizes[-1].tolist() == [1, 1]
        torch.testing.assert_close(pyramid.texels, torch.full_like(pyramid.texels, 0.3))
    assert len(mip_map(noise(3, 12, 20), levels=2).sizes) == 2


def test_gradients_in_texture_uv_and_level():
    """gradcheck in float64."""
    texture, uv = noise(2, 4, 5).requires_grad_(), (2 * noise(6, 2) - 0.5).requires_grad_()
    level = torch.tensor([0.3, 0.6, 1.2, 1.7, 0.1, 1.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, p, k: sample(mip_map(t), p, k), (texture, uv, level))


def square(size):
    """A square of side 1 before the camera on +X, its texture `size` texels wide."""
    return Mesh(
        torch.tensor([[0.0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]]),
        torch.tensor([[0, 1, 2], [0, 2, 3]]),
        uv=torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
        texture=noise(3, size, size).float(),
    )


@pytest.mark.parametrize("size", [16, 64, 200])
def test_the_level_of_a_facing_square_is_closed_form(size):
    """Everywhere log2(texels of a side / pixels of a side)."""
    mesh, camera = square(size), Cameras.orbit(0.0, 0.0, 1.8, 40.0, height=48, width=48)
    clip = clip_positions(mesh.vertices, camera)
    fragments = rasterize(clip, mesh.faces, 48, 48)
    slopes = screen_derivatives(mesh.uv, clip, fragments, mesh.faces)[fragments.face_id >= 0]
    pixels = camera.focal_px / 1.8
    levels = mip_level(slopes, size, size)
    torch.testing.assert_close(levels, torch.log2(size / pixels).expand(len(levels)), atol=1e-4, rtol=0)


def test_mipmaps_take_the_flicker_out_of_far_textures():
    """Of noise finer than pixels, single texels keep the spread; the mean over a pixel has almost none."""
    mesh = square(512)
    camera = Cameras.orbit(0.0, 0.0, 3.0, 40.0, height=32, width=32)
    options = dict(shading="none", supersample=1)
    flat, smooth = (render_mesh(mesh, camera, mipmaps=x, **options).images for x in (False, True))
    inside = (slice(None), slice(None), slice(12, 20), slice(12, 20))
    assert smooth[inside].std() < 0.2 * flat[inside].std()
    torch.testing.assert_close(smooth[inside].mean(), torch.tensor(0.5), atol=0.02, rtol=0)


def test_pictures_have_gradients_in_the_texture():
    """Unlit, the picture is linear in the texture: gradients sum to the mask, at every level."""
    mesh, camera = square(40), Cameras.orbit(30.0, 20.0, 2.5, 40.0, height=20, width=20)
    for mipmaps in (False, True):
        texture = mesh.texture.clone().requires_grad_()
        drawn = render_mesh(
            Mesh(mesh.vertices, mesh.faces, uv=mesh.uv, texture=texture),
            camera,
            shading="none",
            mipmaps=mipmaps,
            antialias=True,
            supersample=1,
        )
        drawn.images.sum().backward()
        torch.testing.assert_close(texture.grad.sum((1, 2)), drawn.masks.sum().expand(3), rtol=1e-4, atol=0)


def test_errors():
    """What levels there are; what a texture is."""
    with pytest.raises(ValueError, match="A texture of 4 x 9 has 1 to 4 mip levels, not 5"):
        mip_map(torch.zeros(3, 4, 9), levels=5)
    with pytest.raises(ValueError, match=r"at least one channel and one texel, got shape \(3, 0, 4\)"):
        mip_map(torch.zeros(3, 0, 4))
