"""The losses that compare a rendering with the picture: arithmetic, and what they are blind to."""

import pytest
import torch

from nerf.reference_losses import ReferenceLosses, depth_loss, normal_loss, rgb_loss
from nerf.renderers.base import Rendering
from priors.reference import Reference
from suite.geometry.cameras import Cameras
from suite.rng import generator

CAMERA = Cameras.orbit(0.0, 0.0, 1.6, 49.13, height=4, width=4)


def rendering(images, background, opacity=None, **more) -> Rendering:
    opacity = torch.ones(1, 1, 4, 4) if opacity is None else opacity
    return Rendering(images, opacity, more.pop("depth", torch.zeros(1, 1, 4, 4)), background, **more)


def reference(image, mask, **more) -> Reference:
    return Reference(image, mask, CAMERA, "test", **more)


def halves() -> torch.Tensor:
    """The left half is 1, the right 0."""
    return (torch.arange(4) < 2).float().expand(1, 1, 4, 4).clone()


def test_the_picture_lies_on_the_rendered_background():
    """A red object on white equals the same object rendered on green; a wrong object does not."""
    mask, red = halves(), torch.tensor([0.8, 0.1, 0.1])[None, :, None, None]
    green = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None].expand(1, 3, 4, 4)
    picture = reference(red * mask + 1 - mask, mask)
    shown = rendering(red * mask + green * (1 - mask), green, mask)
    assert float(rgb_loss(shown, picture)) == pytest.approx(0, abs=1e-12)
    wrong = rendering(red * mask + 0.5 * mask + green * (1 - mask), green, mask)
    assert float(rgb_loss(wrong, picture)) == pytest.approx(0.25 / 2)


def test_depth_is_blind_to_scale_and_shift():
    """1 - correlation over the mask: 0 for 3 d + 2, 2 for -d, 1 for what has nothing to do with it."""
    d = torch.arange(16.0).reshape(1, 1, 4, 4)
    mask = torch.ones_like(d)
    mask[..., 3, 3] = 0
    scaled = 3 * d + 2
    scaled[..., 3, 3] = 1e6  # outside
    assert float(depth_loss(scaled, d, mask)) == pytest.approx(0, abs=1e-5)
    assert float(depth_loss(-d, d, mask)) == pytest.approx(2, abs=1e-5)
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    found = depth_loss(rows[None, None], columns[None, None], torch.ones(1, 1, 4, 4))
    assert float(found) == pytest.approx(1, abs=1e-5)


def test_normals_by_their_angle():
    """1 - cos: 0 along, 1 across, 2 against; outside the mask nothing counts."""
    z, x = (torch.eye(3)[k][None, :, None, None].expand(1, 3, 4, 4) for k in (2, 0))
    mask = halves()
    assert float(normal_loss(2 * z, z, mask)) == 0 and float(normal_loss(-z, z, mask)) == 2
    assert float(normal_loss(x, z, mask)) == 1
    assert float(normal_loss(torch.where(mask > 0, z, -z), z, mask)) == 0


def test_weights_and_what_is_known():
    """Terms are weighted by schedules; depth and normals only where they are known, normals in the camera's axes."""
    losses = ReferenceLosses(rgb=2.0, mask=[[0.0, 0.0], [1.0, 10.0]], depth=1.0, normal=3.0)
    mask, white = halves(), torch.ones(1, 3, 4, 4)
    shown = rendering(torch.zeros(1, 3, 4, 4), white, torch.zeros_like(mask))
    found = losses(shown, reference(white, mask), 0.5)
    assert {name: float(value) for name, value in found.items()} == {"rgb": 2.0, "mask": 5 * 0.5}
    towards = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(
        1, 3, 4, 4
    )  # world +X, where the camera is
    facing = torch.tensor([0.0, 0, 1])[None, :, None, None].expand(1, 3, 4, 4)
    d = torch.rand(1, 1, 4, 4, generator=generator(0, 0, "depth"))
    known = reference(white, mask, depth=d, normals=facing)
    assert losses.wants_normals(known, 0.0) and not losses.wants_normals(reference(white, mask), 0.0)
    found = losses(rendering(white, white, mask, depth=d, normals=towards), known, 0.0)
    assert float(found["normal"]) == pytest.approx(0, abs=1e-6)
    assert float(found["depth"]) == pytest.approx(0, abs=1e-4)


def test_bad_options_are_refused():
    """The message says what is possible."""
    with pytest.raises(ValueError, match="needs size >= 8, got 4"):
        ReferenceLosses(size=4)
