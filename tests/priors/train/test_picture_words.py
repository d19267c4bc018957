"""First lessons: a text prior's words for what is to be seen, and from where."""

import pytest
import torch

from priors.train.picture_words import STRENGTH, PictureWords, directions, spread_over, view_features
from priors.train.train_novel_view import pairs_of, pictures_of
from priors.train.view_denoiser import ViewTraining
from priors.view_condition import PoseProjection, join
from priors.zero123 import load
from suite.geometry.cameras import Cameras
from suite.rng import generator
from suite.toyworld.view_pairs import ViewPairs

TEXTS = ["a red car", "a blue mushroom", "a teapot"]


@pytest.fixture(scope="module")
def training() -> ViewTraining:
    """From the pocket prior, of 64 pixels."""
    return ViewTraining(torch.zeros(1, 3, 64, 64), init="pocket", layers=1, autocast=False)


@pytest.fixture(scope="module")
def words(training) -> PictureWords:
    return training.words


def cameras(*azimuths: int) -> Cameras:
    return Cameras.orbit(azimuths, 20.0, 1.8, 49.0, height=64, width=64)


def test_each_word_has_as_many_patches():
    """Attention over words that are all said twice is attention over the words: the denoiser's answer is the same."""
    assert spread_over(32, 64).bincount().eq(2).all()
    assert spread_over(3, 7).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_the_denoiser_knows_them_as_the_words(training, words):
    """Without their view features it answers nearly as to the words themselves, the view's among them."""
    views = ("front view", "side view", "back view")
    said = words.text([f"{text}, {view}" for text, view in zip(TEXTS, views)])["tokens"].float()
    features = view_features(cameras(0, 90, 180)) @ words.directions
    doubled = words(TEXTS, cameras(0, 90, 180)) - features[:, None]
    x, t = torch.randn(3, 24, 16, 16, generator=generator(0, 0, "x")), torch.full((3,), 800)
    with torch.no_grad():
        right, near, other = (
            training.average["unet"](x, t, y).sample for y in (said, doubled, said.roll(1, 0))
        )
    assert (near - right).norm() < 0.1 * (other - right).norm()


def test_directions_are_apart_and_of_a_share_of_a_token():
    """Orthogonal rows of norm 0.25 sqrt(width), the same from the same seed."""
    rows = directions(192, 5, 0)
    torch.testing.assert_close(rows @ rows.T, STRENGTH**2 * 192 * torch.eye(5), atol=1e-4, rtol=1e-4)
    assert torch.equal(rows, directions(192, 5, 0)) and not torch.equal(rows, directions(192, 5, 1))


def test_view_features_by_hand():
    """Azimuth 90, elevation 20, distance 1.8: sine 1, cosine 0; of twice the angle 0, -1; a little near."""
    expected = torch.tensor([1.0, 0.0, 0.0, -1.0, 0.342, -0.143])
    torch.testing.assert_close(view_features(cameras(90))[0], expected, atol=1e-3, rtol=0)


def test_the_right_tokens_have_no_loss(words):
    """And tell every thing from the others; another's tell none. The same words twice are no mistake."""
    right = words(TEXTS, cameras(0, 90, 180))
    loss, told = words.loss(right, TEXTS, cameras(0, 90, 180))
    assert loss == 0 and told == 1
    loss, told = words.loss(right.roll(1, 0), TEXTS, cameras(0, 90, 180))
    assert loss > 0.1 and told == 0
    assert words.loss(right[[0, 0]], TEXTS[:1] * 2, cameras(0, 0))[1] == 1


def test_the_projection_passes_words_on(training):
    """A fresh one leaves tokens as they are, wherever the camera goes."""
    tokens = torch.randn(2, 65, 192, generator=generator(0, 0, "tokens"))
    torch.testing.assert_close(join(training.average["projection"], tokens, torch.ones(2, 5)), tokens)


def test_a_hidden_layer_multiplies():
    """What a linear layer cannot: the product of a token's number and the pose's, after 300 steps."""
    random = generator(0, 0, "numbers")
    projection = PoseProjection(2, 1, 64)
    x = torch.rand(256, 2, generator=random) * 2 - 1
    optimizer = torch.optim.Adam(projection.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (projection(x)[:, 0] - x.prod(1)).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05 * float(x.prod(1).var())


def test_a_prior_with_it_loads_again(training, tmp_path):
    """Hidden layer included, which `save` writes beside the linear one."""
    training.save(tmp_path)
    ours, loaded = training.average["projection"], load(str(tmp_path)).projection
    assert isinstance(loaded, PoseProjection)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_they_are_learnt(training):
    """Twenty steps on one batch; the denoiser gets no gradient."""
    views = ViewPairs(size=64, views=2).batch(4, 0, 0)
    pictures, _, reference, wanted = pairs_of(
        pictures_of(views.images), views.labels, generator(0, 0, "pairs")
    )
    texts = [seen.name for seen in views.labels]
    learning = [p for part in ("image_encoder", "projection") for p in training.learning[part].parameters()]
    optimizer = torch.optim.AdamW(learning, lr=3e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss, _ = training.naming_loss(pictures, texts, reference, wanted)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is None for p in training.learning["unet"].parameters())
    with torch.no_grad():
        assert training.naming_loss(pictures, texts, reference, wanted)[1] == 1
