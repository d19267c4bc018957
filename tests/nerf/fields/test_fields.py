"""Every field of configs/field keeps the contract; densities and normals have closed forms."""

from pathlib import Path

import pytest
import torch
import yaml
from scenery import Ball, seeded

from nerf.fields.base import Density, Field
from nerf.fields.dense_grid import DenseGridField
from nerf.fields.frequency_mlp import FrequencyField
from nerf.fields.hash_grid import HashGridField
from suite.config import build
from suite.schedules import Linear

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "field").glob("*.yaml"))


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return (2 * torch.rand(*shape, 3, generator=seeded(seed)) - 1) * 0.6


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def field(request) -> Field:
    return build(yaml.safe_load(request.param.read_text()))


def test_shapes_and_ranges(field):
    """Density is >= 0, albedo in [0, 1], normals of length <= 1; for any number of axes, and for no points."""
    for shape in [(5, 7), (3,), (0,)]:
        sample = field(points(*shape), normals=True)
        assert sample.density.shape == shape and sample.albedo.shape == sample.normals.shape == (*shape, 3)
        assert (sample.density >= 0).all() and (sample.albedo >= 0).all() and (sample.albedo <= 1).all()
        assert (sample.normals.norm(dim=-1) <= 1).all()
    assert field(points(4)).normals is None


def test_the_parts_agree(field):
    """`density` and `normals` give what the whole gives; without gradients too, which then need none."""
    at = points(50)
    whole = field(at, normals=True)
    torch.testing.assert_close(field.density(at), whole.density)
    torch.testing.assert_close(field.normals(at), whole.normals)
    with torch.no_grad():
        quiet = field(at, normals=True)
    torch.testing.assert_close(quiet.normals, whole.normals.detach())
    assert whole.normals.requires_grad and not quiet.normals.requires_grad and not quiet.density.requires_grad


def test_it_starts_as_a_ball(field):
    """Dense in the middle, empty at the faces of the box, normals away from the middle."""
    middle, face = field.density(torch.tensor([[0.0, 0.0, 0.05], [0.0, 0.58, 0.0]]))
    assert middle > 5 and face < 0.01 * middle
    direction = torch.nn.functional.normalize(points(30), dim=-1)
    assert (field.normals(0.2 * direction) * direction).sum(-1).min() > 0.9


def test_every_parameter_learns_from_colours_density_and_normals(field):
    """A loss on all outputs reaches all parameters, and a gradient step lowers it."""
    at, target = points(400), torch.rand(400, 3, generator=seeded(1))

    def loss() -> torch.Tensor:
        s = field(at, normals=True)
        return (s.albedo - target).square().mean() + s.density.mean() + (s.normals - target).square().mean()

    before = loss()
    before.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())
    with torch.no_grad():
        for p in field.parameters():
            p -= 1e-3 * p.grad
    assert loss() < before


def test_it_is_the_same_twice(field):
    """Weights come from the field's own seed, not from the global generator."""
    torch.manual_seed(1)
    again = type(field)()
    torch.manual_seed(2)
    other = type(field)()
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), other.parameters()))


def test_density_by_hand():
    """softplus(10 (1 - r / .5)) at r = 0, .25, .5 is 10.0, 5.007, .693; exp(5 exp(-r^2 / .08)) at 0, .2 is
    exp(5), exp(5 exp(-.5)). Times gain, and divided by the radius: per unit of length."""
    unit = torch.tensor([[0.0, 0, 0], [0, 0.25, 0], [0.5, 0, 0]])
    magic3d = Density()
    logit = magic3d.add_blob(torch.zeros(3), unit)
    expected = torch.tensor([10.0000454, 5.0067153, 0.6931472])
    torch.testing.assert_close(magic3d.activate(logit), expected, rtol=1e-5, atol=0)
    dreamfusion = Density(activation="exp", blob="dreamfusion", blob_height=5, blob_width=0.2, gain=3)
    logit = dreamfusion.add_blob(torch.zeros(2), torch.tensor([[0.0, 0, 0], [0, 0, 0.2]]))
    expected = 3 * torch.tensor([148.413159, 20.7536])
    torch.testing.assert_close(dreamfusion.activate(logit), expected, rtol=1e-4, atol=0)
    field = DenseGridField(radius=2.0)
    torch.testing.assert_close(field.density(torch.tensor([[0.0, 0.5, 0.0]])), torch.tensor([5.0067153 / 2]))


def test_exp_does_not_overflow():
    """exp(1000) is capped at exp(15), and its gradient is finite."""
    logit = torch.tensor([1000.0], requires_grad=True)
    density = Density(activation="exp").activate(logit)
    density.sum().backward()
    assert density.isfinite().all() and logit.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["analytic", "finite_difference"])
def test_normals_of_a_ball_are_radial(kind):
    """On a ball the normal is x / |x|, pointing out."""
    at = points(100)
    normals = Ball(normals=kind).normals(at)
    torch.testing.assert_close(normals, torch.nn.functional.normalize(at, dim=-1), rtol=0, atol=5e-3)


def test_analytic_normals_have_true_gradients():
    """d normals / d parameter of a ball shifted by its parameter, against finite differences."""
    at = torch.tensor([[0.2, 0.1, -0.3]])

    def normals(height: float) -> torch.Tensor:
        field = FrequencyField(octaves=2, hidden=8, layers=1).double()
        field.network[0].weight.data[0, 0] += height
        found = field.normals(at.double())
        return found, field.network[0].weight

    found, weight = normals(0.0)
    for axis in range(3):
        (grad,) = torch.autograd.grad(found[0, axis], weight, retain_graph=True)
        slope = (normals(1e-5)[0] - normals(-1e-5)[0])[0, axis] / 2e-5
        torch.testing.assert_close(grad[0, 0], slope, rtol=1e-5, atol=1e-8)


def test_dense_grids_sum_and_show_their_volumes():
    """A vertex value v of each of two grids gives 2 v; `volumes` has axes z, y, x."""
    field = DenseGridField(resolutions=[3, 5], density=Density(blob="none"))
    assert [tuple(v.shape) for v in field.volumes()] == [(3, 3, 3, 4), (5, 5, 5, 4)]
    field.table.data.fill_(0.5)
    torch.testing.assert_close(field.raw(points(4)), torch.ones(4, 4))
    field.table.data.zero_()
    field.volumes()[0].data[2, 0, 1] = 1  # z at its upper end, y at its lower, x in the middle
    assert field.raw(torch.tensor([[0.0, -1.0, 1.0]]))[0, 0] == 1


def test_hash_levels_follow_progress():
    """With active_levels the field changes as progress switches levels on."""
    field = HashGridField(levels=4, finest=64, active_levels=[[0, 1], [1, 4]])
    field.encoding.table.data.normal_(generator=seeded())
    at = points(20)
    field.set_progress(0.0)
    early = field.density(at)
    field.set_progress(1.0)
    assert not torch.allclose(early, field.density(at))


def test_the_network_may_learn_more_slowly():
    """Rates are those of the field times the decay; all parameters are in a group."""
    field = HashGridField(lr=0.1, network_lr=0.01)
    grid, network = field.parameter_groups(Linear(2.0, 4.0))
    assert (grid["lr"](0.5), network["lr"](0.5)) == (pytest.approx(0.3), pytest.approx(0.03))
    assert len(grid["params"]) + len(network["params"]) == len(list(field.parameters()))


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match="radius > 0, normal_step > 0 and lr > 0, got radius=0"):
        HashGridField(radius=0)
    with pytest.raises(
        ValueError, match="'smooth' is not a kind of normals: 'analytic' or 'finite_difference'"
    ):
        FrequencyField(normals="smooth")
    with pytest.raises(ValueError, match="'relu' is not a density activation: 'softplus' or 'exp'"):
        Density(activation="relu")
    with pytest.raises(ValueError, match="'cube' is not a density blob"):
        Density(blob="cube")
    with pytest.raises(ValueError, match="blob_width > 0 and gain > 0, got 0 and 1.0"):
        Density(blob_width=0)
    with pytest.raises(ValueError, match="hidden >= 1 and network_lr > 0, got hidden=0"):
        HashGridField(hidden=0)
    with pytest.raises(ValueError, match="hidden >= 1 and layers >= 1, got hidden=64, layers=0"):
        FrequencyField(layers=0)
    with pytest.raises(ValueError, match=r"resolutions of 2 or more, got \[1\]"):
        DenseGridField(resolutions=[1])
    with pytest.raises(ValueError, match="color_lr > 0, got -1"):
        DenseGridField(color_lr=-1)
