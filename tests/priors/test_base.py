"""Conditions as batches, the cache of texts, and what every prior does alike."""

import warnings

import pytest
import torch

from priors.base import CACHED_TEXTS, CameraContract, Condition, Prior
from priors.prompts import ViewPrompts
from suite.diffusion.noise import NoiseSchedule
from suite.geometry.cameras import Cameras


class CountingPrior(Prior):
    """Embeds a text as its length and remembers what it was asked; predicts its weight times x_t."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule, self.kind = NoiseSchedule.cosine(), "epsilon"
        self.latent_channels, self.factor, self.resolution = 3, 1, 4
        self.weight, self.asked = torch.nn.Parameter(torch.tensor([2.0])), []

    def encode(self, images):
        return images

    def decode(self, latents):
        return latents

    def encode_text(self, texts):
        self.asked += texts
        tokens = torch.tensor([[float(len(text))] for text in texts]) * self.weight
        return Condition({"tokens": tokens, "length": torch.tensor([len(text) for text in texts])})

    def network(self, x_t, t, condition):
        return self.weight * x_t


def conditions(*values: float) -> Condition:
    """A batch with a negative and one Perp-Neg text."""
    x = torch.tensor(values)
    return Condition(
        {"x": x[:, None]}, Condition({"x": -x[:, None]}), ((Condition({"x": 10 * x[:, None]}), x),)
    )


def flat(condition: Condition) -> list[list[float]]:
    """Positive, negative, unwanted, weights."""
    ((unwanted, weight),) = condition.perpendicular
    parts = condition.tensors["x"], condition.negative.tensors["x"], unwanted.tensors["x"], weight
    return [part.flatten().tolist() for part in parts]


def test_cutting_and_joining_reach_negatives_and_weights():
    """A batch cut in two and joined again is itself; indices pick; repeat tiles as torch does."""
    whole = conditions(1.0, 2.0, 3.0)
    assert len(whole) == 3
    assert flat(Condition.cat([whole[:1], whole[1:]])) == flat(whole)
    assert flat(whole[torch.tensor([2, 0])]) == flat(conditions(3.0, 1.0))
    assert flat(whole[:2].repeat(2)) == flat(conditions(1.0, 2.0, 1.0, 2.0))


def test_to_and_detach():
    """A dtype is for numbers, not for indices; detach cuts the graph."""
    condition = Condition({"x": torch.ones(2, 1, requires_grad=True) * 2, "index": torch.tensor([1, 2])})
    half = condition.to(torch.bfloat16)
    assert half.tensors["x"].dtype == torch.bfloat16 and half.tensors["index"].dtype == torch.int64
    assert (
        condition.to("cpu").tensors["x"].requires_grad and not condition.detach().tensors["x"].requires_grad
    )


@pytest.mark.parametrize(
    "other",
    [
        Condition({"y": torch.ones(1, 1)}),
        Condition({"x": torch.ones(1, 2)}),
        Condition({"x": torch.ones(1, 1)}),
    ],
    ids=["names", "shapes", "negative"],
)
def test_different_conditions_do_not_mix(other):
    """Joining conditions of other names, shapes or parts says which are which."""
    with pytest.raises(ValueError, match=r"cannot share a batch: \(x \(1,\); with negative; 1 perp.* and \("):
        Condition.cat([conditions(1.0), other])


def test_texts_are_embedded_once():
    """Every distinct text, the negative "" among them, goes through the text encoder once."""
    prior = CountingPrior()
    condition = prior.embed(["aaa", "b", "aaa"])
    assert condition.tensors["tokens"].flatten().tolist() == [6.0, 2.0, 6.0]
    assert condition.negative.tensors["tokens"].flatten().tolist() == [0.0, 0.0, 0.0]
    assert condition.tensors["length"].tolist() == [3, 1, 3]
    prior.embed(["b", "cc"])
    assert prior.asked == ["aaa", "b", "", "cc"]
    assert not condition.tensors["tokens"].requires_grad


def test_remembered_texts_are_few_and_forgotten_when_asked():
    """The oldest go first; forget_texts and moving the module drop all."""
    prior = CountingPrior()
    many = [f"{i:03d}" for i in range(CACHED_TEXTS + 50)]
    assert len(prior.embed(many)) == len(many)
    assert len(prior._texts) == CACHED_TEXTS and many[0] not in prior._texts and many[-1] in prior._texts
    prior.forget_texts()
    assert len(prior._texts) == 0
    prior.embed(["a"])
    assert prior.double().embed(["a"]).tensors["tokens"].dtype == torch.float64


def test_blended_texts_are_weighted_sums_of_embeddings():
    """3/4 of "aaaa" and 1/4 of "" embed as 3/4 of the length; Perp-Neg's texts and weights come along."""
    weights = torch.tensor([-1.0, -2.0])
    views = ViewPrompts(
        ((("aaaa", 0.75), ("", 0.25)), (("bb", 1.0),)), ("no", ""), ((("x", "yyy"), weights),)
    )
    prior = CountingPrior()
    del prior.asked[:]
    prior.encode_text = lambda texts: Condition({"tokens": torch.tensor([[float(len(t))] for t in texts])})
    condition = prior.embed(views)
    assert condition.tensors["tokens"].flatten().tolist() == [3.0, 2.0]
    assert condition.negative.tensors["tokens"].flatten().tolist() == [2.0, 0.0]
    ((unwanted, got),) = condition.perpendicular
    assert unwanted.tensors["tokens"].flatten().tolist() == [1.0, 3.0] and torch.equal(got, weights)


def test_predict_counts_images_and_keeps_no_graph():
    """evaluations counts images; gradients reach neither x_t nor the network unless asked for."""
    prior, x = CountingPrior(), torch.ones(3, 3, 4, 4, requires_grad=True)
    t, condition = torch.full((3,), 0.5), prior.embed(["a"] * 3)
    assert not prior.predict(x, t, condition).raw.requires_grad
    assert prior.predict(x, t, condition, grad=True).raw.requires_grad
    assert prior.evaluations == 6
    torch.testing.assert_close(prior.predict(x, t, condition).alpha, torch.full((3, 1, 1, 1), 0.5**0.5))


def test_mistakes_are_explained():
    """One string for a list, an image for a prior of words, batches of different lengths."""
    prior = CountingPrior()
    with pytest.raises(ValueError, match=r"use embed\(\['a car'\]\)"):
        prior.embed("a car")
    with pytest.raises(ValueError, match="CountingPrior is not conditioned on images"):
        prior.embed(["a car"], image=torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="got 2 images, 2 times, 1 conditions"):
        prior.predict(torch.zeros(2, 3, 4, 4), torch.ones(2), prior.embed(["a"]))


def test_camera_contract_warns_outside():
    """Zero123's contract: silent within, one warning for each quantity outside, with the range."""
    contract = CameraContract(fov_deg=(49.13, 49.13), distance=(1.5, 2.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contract.check(Cameras.orbit([0.0, 90.0], distance=1.5, fov_deg=49.13))
    with pytest.warns(UserWarning, match="distance 1.5 to 2.2 longest sides"):
        contract.check(Cameras.orbit([0.0, 90.0], distance=2.5, fov_deg=49.13))
    with pytest.warns(UserWarning, match="fov_deg 49.13 to 49.13 degrees"):
        contract.check(Cameras.orbit([0.0], distance=2.0, fov_deg=40.0))
