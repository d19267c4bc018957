"""Optical flow against flow that is known."""

import torch
from skimage.data import camera

from suite.metrics.flow import consistent, strength, tvl1_flow, warped
from suite.rng import generator


def moved(dx: int, dy: int, size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Two windows of a photograph: what is seen moves by (dx, dy)."""
    grey = torch.from_numpy(camera()[::4, ::4].copy()).float() / 255
    a, b = (grey[40 - y : 40 - y + size, 40 - x : 40 - x + size] for x, y in ((0, 0), (dx, dy)))
    return a.expand(1, 3, -1, -1), b.expand(1, 3, -1, -1)


def test_flow_of_a_shift():
    """A photograph that moves by (2, -1) has this flow, to a third of a pixel in the middle of the picture."""
    flow = tvl1_flow(*moved(2, -1))
    assert flow.shape == (1, 2, 48, 48)
    middle = flow[0, :, 12:-12, 12:-12].flatten(1).median(dim=1).values
    torch.testing.assert_close(middle, torch.tensor([2.0, -1.0]), atol=0.33, rtol=0)


def test_flow_of_large_frames_is_enlarged():
    """Shrunk to half, then enlarged: the same flow in the pixels of the frame."""
    flow = tvl1_flow(*moved(4, 0), longest=24)
    middle = flow[0, :, 12:-12, 12:-12].flatten(1).median(dim=1).values
    torch.testing.assert_close(middle, torch.tensor([4.0, 0.0]), atol=0.7, rtol=0)


def test_warping_undoes_the_flow():
    """With x_t+1(p + f) = x_t(p), the next frame warped by f is the frame, wherever f stays inside."""
    a, b = moved(3, 2)
    flow = torch.tensor([3.0, 2.0])[None, :, None, None].expand(1, 2, 48, 48)
    torch.testing.assert_close(warped(b, flow)[..., :44, :44], a[..., :44, :44], atol=1e-4, rtol=0)


def test_consistency_by_hand():
    """There and back by opposite flows is consistent but where it leaves the picture; other flows are not."""
    there = torch.tensor([2.0, 0.0])[None, :, None, None].expand(1, 2, 8, 8)
    both = consistent(there, -there)
    assert both[0, :, :6].all() and not both[0, :, 6:].any()
    assert not consistent(there, there).any()


def test_strength_is_the_mean_of_the_longest():
    """Of 100 vectors of length 0.01, 0.02, ..., 1, the longest five have a mean of 0.98."""
    lengths = torch.arange(1, 101)[torch.randperm(100, generator=generator(0, 0, "order"))] / 100
    flow = torch.stack([0.6 * lengths, -0.8 * lengths]).reshape(1, 2, 10, 10)
    torch.testing.assert_close(strength(flow), torch.tensor([0.98]))
