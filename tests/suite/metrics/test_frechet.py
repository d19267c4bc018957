"""Frechet distances against closed forms."""

import logging

import numpy as np
import pytest
import scipy.linalg
import torch

from suite.metrics.frechet import RandomVideoFeatures, frechet_distance, frechet_video_distance
from suite.rng import generator


def test_closed_forms():
    """In one dimension (m_a - m_b)^2 + (s_a - s_b)^2; of a set and itself 0; of one shifted by v, |v|^2."""
    a = torch.tensor([[-1.0], [1.0]]) * 3 + 5  # mean 5, variance 18
    b = torch.tensor([[-1.0], [1.0]])  # mean 0, variance 2
    assert frechet_distance(a, b) == pytest.approx(25 + (18**0.5 - 2**0.5) ** 2)
    x = torch.randn(40, 6, generator=generator(0, 0, "x"))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x + torch.tensor([3.0, 4, 0, 0, 0, 0])) == pytest.approx(25, rel=1e-5)


def test_against_scipys_matrix_root():
    """The formula of the docstring, with scipy's square root of a matrix."""
    a, b = torch.randn(2, 50, 5, generator=generator(0, 0, "ab")).double()
    b = b @ torch.randn(5, 5, generator=generator(0, 1, "ab")).double() + 1
    s_a, s_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root = scipy.linalg.sqrtm(s_a @ s_b).real
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + np.trace(s_a + s_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_random_features_see_pictures_and_order():
    """The same seed gives the same features; frames in another order, or stills, give others."""
    video = torch.rand(1, 6, 3, 24, 20, generator=generator(0, 0, "video"))
    extractor = RandomVideoFeatures()
    one = extractor(video)
    assert one.shape == (1, 64) and torch.equal(one, RandomVideoFeatures()(video))
    assert not torch.equal(one, RandomVideoFeatures(seed=1)(video))
    assert (one - extractor(video[:, [0, 3, 1, 4, 2, 5]])).abs().max() > 1e-4
    assert extractor(video[:, :1]).isfinite().all()


def test_distance_of_videos_grows_with_what_is_wrong(caplog):
    """More noise is further from the truth; the embedded extractor says loudly that it is not comparable."""
    videos = torch.rand(8, 4, 3, 1, 1, generator=generator(0, 0, "a")).expand(-1, -1, -1, 16, 16)
    noise = torch.randn(videos.shape, generator=generator(0, 0, "noise"))
    with caplog.at_level(logging.WARNING):
        near, far = (frechet_video_distance(videos + s * noise, videos) for s in (0.05, 0.2))
    assert 0 < near < far and "not comparable with published FVD" in caplog.text
    means = frechet_video_distance(videos + 1, videos, lambda x: x.mean((1, 3, 4)))
    assert means == pytest.approx(3, rel=1e-4)


def test_errors():
    """One video, or features of two extractors."""
    with pytest.raises(ValueError, match="at least 2 videos on each side, got 1 and 3"):
        frechet_distance(torch.ones(1, 4), torch.ones(3, 4))
    with pytest.raises(ValueError, match="features of 4 and 5 numbers: use one extractor"):
        frechet_distance(torch.ones(2, 4), torch.ones(3, 5))
