"""Randomness is a function of (seed, step, name)."""

import itertools

import torch

from suite.rng import generator, global_randomness, reseed


def draw(*key):
    return torch.randn(64, generator=generator(*key))


def test_same_key_same_draw():
    """The generator depends on its arguments alone, not on what was drawn before."""
    first = draw(1, 2, "noise")
    torch.randn(1000)
    assert torch.equal(first, draw(1, 2, "noise"))


def test_other_keys_are_independent():
    """Another seed, step or name gives draws correlated no more than independent ones (|r| < 5/sqrt n)."""
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (0, 11, "a"), (1, 1, "a"), (-1, 0, "a")]
    draws = torch.stack([torch.randn(4096, generator=generator(*key)) for key in keys])
    correlations = torch.corrcoef(draws)
    for i, j in itertools.combinations(range(len(keys)), 2):
        assert abs(correlations[i, j]) < 5 / 4096**0.5


def test_keys_do_not_run_together():
    """(1, 12) and (11, 2) are different keys, although their digits are the same."""
    assert not torch.equal(draw(1, 12, ""), draw(11, 2, ""))


def test_generator_values_do_not_change():
    """The numbers of a seed stay what they are: these were written down when the function was."""
    expected = torch.tensor(EXPECTED)
    torch.testing.assert_close(torch.rand(3, generator=generator(0, 0, "step")), expected, rtol=0, atol=1e-7)


def test_global_randomness_is_put_back():
    """What happens inside leaves torch's global random state as it was."""
    before = torch.get_rng_state()
    with global_randomness():
        reseed(0, 0, "x")
        first = torch.rand(3)
        reseed(0, 0, "x")
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())


EXPECTED = [0.6399861, 0.888372, 0.091787]
