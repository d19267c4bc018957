"""Each regularizer has its closed form, and every one of configs/regularizer keeps the contract."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from scenery import Ball, Uniform, full_renderer, ray, seeded

from nerf.fields.dense_grid import DenseGridField
from nerf.regularizers.base import Regularizer
from nerf.regularizers.distortion import DepthVariance, Distortion
from nerf.regularizers.opacity import Opacity, OpacityEntropy
from nerf.regularizers.orientation import Orientation
from nerf.regularizers.smoothness import NormalSmoothness, TotalVariation
from nerf.renderers.base import Rendering, WeightedSamples
from nerf.renderers.sampling import Samples
from suite.config import build
from suite.geometry.cameras import Cameras

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "regularizer").glob("*.yaml"))
DIAGONAL = 2 * math.sqrt(3) * 0.6


def rendering_of(opacity: tuple[float, ...] = (0.5,), samples: WeightedSamples | None = None) -> Rendering:
    a = torch.tensor(opacity).view(1, 1, 1, -1)
    return Rendering(a.expand(1, 3, 1, -1), a, a, a.expand(1, 3, 1, -1), samples=samples)


def one_ray(weights: list[float], distances: list[float], step: float, **options) -> Rendering:
    n = len(weights)
    zeros = torch.zeros(n, dtype=torch.long)
    at = Samples(zeros, zeros, torch.arange(n), torch.tensor(distances), torch.zeros(n, 3), step, 1, n)
    options = {"directions": torch.tensor([[0.0, 0, 1]]).expand(n, 3), "normals": None, "rays": 1} | options
    return rendering_of(samples=WeightedSamples(at, torch.tensor(weights), radius=0.6, **options))


def value(regularizer: Regularizer, rendering: Rendering, field=None, progress: float = 0.0) -> float:
    return regularizer(rendering, field or Ball(), progress=progress, generator=seeded()).item()


def test_opacity_by_hand():
    """sqrt(a^2 + .01) at a = 0 and sqrt(.99) is .1 and 1; their mean .55."""
    assert value(Opacity(weight=2.0), rendering_of((0.0, math.sqrt(0.99)))) == pytest.approx(1.1)


def test_entropy_by_hand():
    """log 2 at a = 1/2, almost 0 at a = 0 and 1, where the gradient is finite."""
    assert value(OpacityEntropy(weight=1), rendering_of((0.5,))) == pytest.approx(math.log(2))
    assert value(OpacityEntropy(weight=1), rendering_of((0.0, 1.0))) < 0.01


def test_orientation_by_hand():
    """Weights .5 and .25 with normals (0, 0, .6) away from and (0, 0, -1) towards a camera that looks along +z,
    among 4 rays: .5 * .36 / 4. The weights get no gradient."""
    normals = torch.tensor([[0.8, 0, 0.6], [0, 0, -1.0]], requires_grad=True)
    rendering = one_ray([0.5, 0.25], [1.0, 2.0], 0.1, normals=normals, rays=4)
    rendering.samples.weights.requires_grad_()
    loss = Orientation(weight=1)(rendering, Ball(), progress=0.0, generator=seeded())
    assert loss.item() == pytest.approx(0.5 * 0.36 / 4)
    loss.backward()
    assert rendering.samples.weights.grad is None and normals.grad[1].abs().sum() == 0


def test_orientation_of_a_ball_is_nothing():
    """What is seen of an opaque ball faces the camera."""
    rays = Cameras.orbit([0.0, 120.0], 20.0, height=12, width=12).rays()
    rendering = full_renderer(96)(Ball(slope=200.0), rays, normals=True)
    assert value(Orientation(weight=1), rendering) < 1e-3


def test_distortion_equals_the_double_sum():
    """Eq. 15 of Mip-NeRF 360, summed over all pairs, with distances in diagonals of the box."""
    w, t, step = [0.2, 0.1, 0.4, 0.05], [1.0, 1.1, 1.5, 1.9], 0.1
    pairs = sum(a * b * abs(x - y) for a, x in zip(w, t) for b, y in zip(w, t)) / DIAGONAL
    own = sum(a * a for a in w) * step / DIAGONAL / 3
    assert value(Distortion(weight=1), one_ray(w, t, step, rays=3)) == pytest.approx(
        (pairs + own) / 3, rel=1e-5
    )


def test_distortion_of_a_uniform_ray():
    """n equal weights 1/n over a length L tend to L / 3: the mean distance of two uniform places."""
    n, length = 400, 0.9
    t = [length * (i + 0.5) / n for i in range(n)]
    expected = length / 3 / DIAGONAL
    assert value(Distortion(weight=1), one_ray([1 / n] * n, t, length / n)) == pytest.approx(
        expected, rel=1e-3
    )


def test_depth_variance_by_hand():
    """Two equal weights at distance 2 d have variance d^2, in radii; a ray of opacity .4 does not count."""
    assert value(DepthVariance(weight=1), one_ray([0.4, 0.4], [1.0, 1.6], 0.1)) == pytest.approx(
        0.25, rel=1e-4
    )
    assert value(DepthVariance(weight=1), one_ray([0.2, 0.2], [1.0, 1.6], 0.1)) == 0


def test_total_variation_by_hand():
    """One vertex of 1 in a 3^3 grid of 4 values has one neighbour on either side along each axis if it is the
    middle: 2 differences of 1 among 18 * 4, on three axes."""
    field = DenseGridField(resolutions=[3])
    field.volumes()[0].data[1, 1, 1, 2] = 1
    assert value(TotalVariation(weight=1), rendering_of(), field) == pytest.approx(3 * 2 / 72)


def test_smoothness_of_a_plane_is_nothing():
    """A uniform slope has the same normal everywhere; a ball does not."""

    class Slope(Uniform):
        def raw(self, unit):
            return torch.cat([-4 * unit[:, 2:], unit], dim=-1)

    rays = Cameras.orbit(10.0, 30.0, height=6, width=6).rays()
    smooth, values = NormalSmoothness(weight=1, distance=0.1), []
    for field in (Slope(density=1, color=(0.5,) * 3), Ball(slope=5.0)):
        values.append(value(smooth, full_renderer()(field, rays, normals=True), field))
    assert values[0] < 1e-6 < 1e-2 < values[1]


def test_weights_follow_progress():
    """A scheduled weight is 0 at first, when neither the term nor normals are computed, and 2 at the end."""
    term = Orientation(weight=[[0.5, 0.0], [1.0, 2.0]])
    without_normals = one_ray([0.5], [1.0], 0.1)
    assert not term.wants_normals(0.3) and value(term, without_normals, progress=0.3) == 0
    away = one_ray([0.5], [1.0], 0.1, normals=torch.tensor([[0.0, 0, 1]]))
    assert term.wants_normals(1.0) and value(term, away, progress=1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configured_regularizer(path):
    """Contract: one term, named after its file, with a weight; finite, not negative, its gradient reaches the
    field, also where no ray meets anything."""
    config = yaml.safe_load(path.read_text())
    assert list(config) == [path.stem]
    term = build(config[path.stem])
    assert term.weight(1.0) > 0
    field = DenseGridField(resolutions=[8])
    field.table.data.normal_(generator=seeded())
    for rays in (Cameras.orbit(10.0, height=6, width=6).rays(), ray((2, 0, 0), (1, 0, 0))):
        rendering = full_renderer()(field, rays, normals=term.wants_normals(0.5))
        loss = term(rendering, field, progress=0.5, generator=seeded())
        assert loss.isfinite() and loss >= 0
        loss.backward()
    assert field.table.grad.isfinite().all() and field.table.grad.abs().sum() > 0


def test_what_is_missing_is_said():
    """Each error says what to do."""
    with pytest.raises(
        ValueError, match="Distortion needs the samples of a rendering: render with gradients"
    ):
        value(Distortion(weight=1), rendering_of())
    with pytest.raises(ValueError, match="Orientation needs normals: render with normals=True"):
        value(Orientation(weight=1), one_ray([0.5], [1.0], 0.1))
    with pytest.raises(
        ValueError, match="dense grid, Ball has none: use NormalSmoothness, or field=dense_grid"
    ):
        value(TotalVariation(weight=1), rendering_of())
    with pytest.raises(ValueError, match="distance > 0, got 0"):
        NormalSmoothness(distance=0)
