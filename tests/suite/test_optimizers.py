"""Muon beside AdamW."""

import copy

import torch
from torch import nn

from suite.optimizers import MuonWithAdamW, matrices_and_others


def network() -> nn.Sequential:
    """A convolution, a table, a matrix and a last layer."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(4, 6), nn.Conv2d(6, 5, 3), nn.Linear(5, 5))
    net.add_module("conv_out", nn.Conv2d(5, 2, 1))
    return net


def with_gradients(net: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    return net


def test_who_serves_whom():
    """Muon takes the inner convolution and the matrix; table, biases and last layer are AdamW's."""
    net = network()
    matrices, others = matrices_and_others(net)
    assert [p.shape for p in matrices] == [(5, 6, 3, 3), (5, 5)]
    assert len(matrices) + len(others) == len(list(net.parameters()))


def test_a_step_is_orthogonal_for_matrices_and_adam_for_the_rest():
    """A matrix changes alike in all directions, by about 0.2 sqrt(largest side) lr; the rest as under AdamW."""
    net = with_gradients(network())
    before = copy.deepcopy(net)
    MuonWithAdamW(*matrices_and_others(net), lr=0.01, weight_decay=0.0).step()
    change = (before[1].weight - net[1].weight).detach().reshape(5, -1)
    values = torch.linalg.svdvals(change) / (0.01 * 0.2 * 54**0.5)
    assert 0.6 < values.min() and values.max() < 1.3
    reference = with_gradients(copy.deepcopy(before))
    torch.optim.AdamW(reference.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.0).step()
    for name in ("0.weight", "1.bias", "conv_out.weight"):
        torch.testing.assert_close(net.get_parameter(name), reference.get_parameter(name))


def test_state_comes_back():
    """Two steps, or one, a save into another optimizer, and one: the same weights."""
    net = with_gradients(network())
    optimizer = MuonWithAdamW(*matrices_and_others(net), lr=0.01)
    optimizer.step()
    again = with_gradients(copy.deepcopy(net))
    other = MuonWithAdamW(*matrices_and_others(again), lr=0.01)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step()
    other.step()
    for a, b in zip(net.parameters(), again.parameters()):
        assert torch.equal(a, b)


def test_no_gradient_no_step():
    """Parameters without a gradient stay; `zero_grad` reaches every parameter."""
    net = with_gradients(network())
    optimizer = MuonWithAdamW(*matrices_and_others(net), lr=0.01)
    optimizer.zero_grad(set_to_none=True)
    before = copy.deepcopy(net.state_dict())
    optimizer.step()
    assert all(torch.equal(before[name], x) for name, x in net.state_dict().items())


def test_channels_may_be_last_in_memory():
    """Weights learn alike whatever their memory format."""
    learnt = []
    for order in (torch.contiguous_format, torch.channels_last):
        net = with_gradients(network()).to(memory_format=order)
        before = net[1].weight.detach().clone()
        MuonWithAdamW(*matrices_and_others(net), lr=0.01).step()
        assert (net[1].weight - before).abs().min() > 0
        learnt.append(net[1].weight)
    torch.testing.assert_close(*learnt, atol=1e-4, rtol=1e-3)  # it orthogonalises in half precision
