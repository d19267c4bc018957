"""Sharpness, by closed forms."""

import math

import pytest
import torch

from suite.metrics.sharpness import compare_sharpness, detail_of

SIZE = 64
ALL = torch.ones(1, 1, SIZE, SIZE)


def wave(period: float, amplitude: float = 0.25) -> torch.Tensor:
    x = torch.arange(SIZE) * (2 * math.pi / period)
    return (0.5 + amplitude * x.sin()).expand(1, 3, SIZE, SIZE).contiguous()


@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_wave_keeps_what_the_gaussian_takes_away(period):
    """Of a wave of frequency w the detail is 1 - exp(-w^2 s^2 / 2) of it; away from the border."""
    detail, _ = detail_of(wave(period), ALL, 2.0)
    kept = 1 - math.exp(-0.5 * (2 * math.pi / period * 2.0) ** 2)
    middle = detail[..., 16:48, 16:48]
    assert float(middle.square().mean().sqrt()) == pytest.approx(kept * 0.25 / 2**0.5, rel=0.03)


def test_contrast_is_sharpness():
    """The same pattern at half the contrast is half as sharp and matches; another pattern does not match."""
    faint, strong = wave(6, 0.1), wave(6, 0.2)
    found = compare_sharpness(faint, ALL, strong, ALL)
    assert found.sharpness == pytest.approx(0.5, rel=1e-3) and found.match == pytest.approx(1, abs=1e-4)
    assert compare_sharpness(strong, ALL, faint, ALL).sharpness == pytest.approx(2, rel=1e-3)
    other = compare_sharpness(strong.transpose(2, 3).contiguous(), ALL, strong, ALL)
    assert other.sharpness == pytest.approx(1, rel=1e-3) and abs(other.match) < 0.1


def test_silhouettes_do_not_count():
    """A disk of one colour on any background has no detail; nothing can be compared with it, or with nothing."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disk = ((x - 32) ** 2 + (y - 32) ** 2 < 400).float()[None, None]
    picture = (0.8 * disk + 0.1 * (1 - disk)).expand(1, 3, SIZE, SIZE)
    detail, inside = detail_of(picture, disk)
    assert float(detail.abs().max()) < 1e-5 and 900 < int(inside.sum()) < 1250
    assert compare_sharpness(wave(6), ALL, picture, disk) is None
    assert compare_sharpness(wave(6), 0 * ALL, wave(6), ALL) is None


def test_noise_is_not_taken_for_the_truth():
    """Noise as strong as the detail is as sharp, but matches nothing."""
    noise = (0.5 + 0.2 * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))).clamp(
        0, 1
    )
    found = compare_sharpness(noise, ALL, wave(6), ALL)
    assert found.sharpness > 0.8 and abs(found.match) < 0.1
