"""The exact prior of known things: Bayes' rule by dense linear algebra, renders given back, words and views."""

import pytest
import torch

from priors.analytic import ImageSetPrior
from priors.prompts import Prompt
from priors.toyworld import ToyworldPrior, posterior
from suite.diffusion.classifier_free import guided
from suite.diffusion.samplers import dpmpp_2m
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.rng import generator
from suite.task import evolving_tensors

CAR, MUSHROOM = "a red car", "a blue mushroom"


def cameras(azimuth, elevation=20.0, size=16):
    return Cameras.orbit(azimuth, elevation, 1.8, 40.0, height=size, width=size)


def test_posterior_is_bayes_rule_with_dense_covariances():
    """E[x_0 | x_t], E[eps | x_t] of N(m_k, s^2 u_k u_k^T) in each channel, by matrices of all pixels."""
    draw = generator(0, 0, "posterior")
    b, k, h, w, s = 2, 3, 2, 3, 0.3
    pictures = torch.rand(b, k, 4, h, w, generator=draw, dtype=torch.float64)
    x_t = torch.randn(b, 3, h, w, generator=draw, dtype=torch.float64)
    c_0, weights = (
        torch.tensor([0.2, 0.5, 0.8]).double(),
        torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]]).double(),
    )
    alpha, sigma = torch.tensor([0.8, 0.3]).double(), torch.tensor([0.6, 0.95]).double()
    x_0, eps = posterior(x_t, alpha, sigma, pictures, c_0, s, weights)
    for i in range(b):
        logs, means = [], []
        for j in range(k):
            u = (2 * (1 - pictures[i, j, 3])).reshape(-1)
            prior_covariance = s**2 * torch.outer(u, u)
            total = alpha[i] ** 2 * prior_covariance + sigma[i] ** 2 * torch.eye(h * w)
            log, mean = weights[i, j].log(), []
            for c in range(3):
                m = 2 * pictures[i, j, c].reshape(-1) - 1 + u * c_0[c]
                d = x_t[i, c].reshape(-1) - alpha[i] * m
                log = log - 0.5 * (d @ torch.linalg.solve(total, d) + torch.logdet(total))
                mean.append(m + alpha[i] * prior_covariance @ torch.linalg.solve(total, d))
            logs.append(log)
            means.append(torch.stack(mean).reshape(3, h, w))
        r = torch.softmax(torch.stack(logs), 0)
        expected = torch.einsum("k,kchw->chw", r, torch.stack(means))
        torch.testing.assert_close(x_0[i], expected)
        torch.testing.assert_close(alpha[i] * x_0[i] + sigma[i] * eps[i], x_t[i])


def test_one_background_is_the_exact_denoiser_of_an_image_set():
    """With backgrounds that never vary it equals ImageSetPrior of the same pictures, for any noise."""
    prior = ToyworldPrior(prompts=[CAR], size=16, views=6, background=(1, 1, 1), background_std=0.0)
    rgba = prior._known("red car")
    images = rgba[:, :3] + 1 - rgba[:, 3:]
    views = ImageSetPrior(images=images, captions=["car"] * 6)
    t, x_t = torch.tensor([0.1, 0.5, 0.9]), torch.randn(3, 3, 16, 16, generator=generator(0, 0, "x"))
    ours, theirs = (
        prior.predict(x_t, t, prior.embed([CAR] * 3)),
        views.predict(x_t, t, views.embed(["car"] * 3)),
    )
    torch.testing.assert_close(ours.x_0, theirs.x_0, atol=1e-4, rtol=0)


def test_it_gives_back_the_thing_on_the_background_at_hand():
    """A picture from a camera it has never stored, on a colour nobody told it, comes back out of the noise."""
    prior, view = ToyworldPrior(), cameras([33.0, -101.0])
    condition = prior.embed([CAR] * 2, view)
    rgba = prior._render(prior.surfaces["red car"], view)
    colors = torch.tensor([[0.1, 0.7, 0.3], [0.9, 0.2, 0.6]])[..., None, None]
    truth = prior.encode(rgba[:, :3] + (1 - rgba[:, 3:]) * colors)
    t, eps = torch.tensor([0.8, 0.8]), torch.randn(truth.shape, generator=generator(0, 0, "eps"))
    found = prior.predict(prior.schedule.add_noise(truth, eps, t), t, condition)
    assert float((found.x_0 - truth).abs().max()) < 0.2  # in pure noise it would be off by .8
    torch.testing.assert_close(found.x_0, truth, atol=0.2, rtol=0)
    assert float((rgba[0] - rgba[1]).abs().mean()) > 0.05, "the two cameras see different pictures"


def test_guidance_changes_nothing_where_one_thing_is_known():
    """ "" means any thing that is known, from the same camera: with one thing the two answers are equal."""
    view, x_t, t = (
        cameras([10.0]),
        torch.randn(1, 3, 64, 64, generator=generator(0, 0, "x")),
        torch.tensor([0.5]),
    )
    alone = ToyworldPrior()
    condition = alone.embed([CAR], view)
    assert torch.equal(guided(alone, x_t, t, condition, 100.0).x_0, guided(alone, x_t, t, condition, 1.0).x_0)
    both = ToyworldPrior(prompts=[CAR, MUSHROOM])
    condition = both.embed([CAR], view)
    assert condition.negative.tensors["weights"].tolist() == [[0.5, 0.5]]
    assert condition.tensors["weights"].tolist() == [[1.0, 0.0]]
    t = torch.tensor([0.999])  # so noisy that any of the two could be it
    far = guided(both, x_t, t, condition, 3.0).x_0 - guided(both, x_t, t, condition, 1.0).x_0
    assert float(far.abs().max()) > 0.5


def test_words_choose_the_views_where_no_camera_is_told():
    """Without a camera, or told to go by words, a prompt leaves the pictures of the thing and view it says."""
    prior = ToyworldPrior(prompts=[CAR, MUSHROOM], camera="words", size=16, views=24)
    weights = prior.embed(["a red car, back view"], cameras([0.0])).tensors["weights"].reshape(2, 24)
    azimuth, elevation = prior.bank_cameras.azimuth_deg, prior.bank_cameras.elevation_deg
    assert torch.equal(weights[0] > 0, (azimuth.abs() > 135) & (elevation <= 60))
    assert float(weights.sum()) == pytest.approx(1.0) and not weights[1].any()
    blend = Prompt(text=CAR, views="interpolated").seen_from(cameras([45.0]))
    mixed = prior.embed(blend).tensors["weights"].reshape(2, 24)[0]
    assert (
        float(mixed[azimuth.abs() < 45].sum())
        > 0
        < float(mixed[(azimuth.abs() > 45) & (elevation < 60)].sum())
    )


def test_what_is_sampled_is_one_of_its_pictures():
    """From noise to a picture: that of one camera on one plain background."""
    prior = ToyworldPrior(size=16, views=8)
    shape, draw = (2, 3, 16, 16), generator(0, 0, "sample")
    condition = prior.embed([CAR, "a blue mushroom"])
    x_T = torch.randn(shape, generator=draw)
    images = prior.decode(dpmpp_2m(prior, x_T, condition, steps=12, scale=1.0))
    for image, name in zip(images, ("red car", "blue mushroom")):
        rgba = prior._known(name)
        background = image[:, 0, 0, None, None]
        candidates = rgba[:, :3] + (1 - rgba[:, 3:]) * background
        assert float((candidates - image).abs().mean((1, 2, 3)).min()) < 0.02


def test_nothing_of_it_goes_into_checkpoints():
    """Its pictures follow from its options; a run's checkpoints hold none of them."""
    prior = ToyworldPrior(prompts=[CAR], size=16, views=4)
    prior.embed([CAR])
    assert evolving_tensors(prior) == {}
    assert not list(prior.parameters()) and prior.evaluations == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"camera": "guess"}, "camera='guess' is not one of: exact, words"),
        ({"views": 0}, "ToyworldPrior needs size >= 8, views >= 1"),
        ({"prompts": ["a red unicorn"]}, "names no object of toyworld.*objects=FOLDER"),
        ({"objects": "nowhere"}, "There is no folder nowhere"),
    ],
)
def test_options_are_checked(options, message):
    """Each mistake is answered with what is possible."""
    with pytest.raises(UserError, match=message):
        ToyworldPrior(**options)


def test_it_says_what_it_does_not_know():
    """A prompt outside its prompts, a prior that knows nothing yet, too few views for a word, an image."""
    prior = ToyworldPrior(prompts=[CAR], size=16, views=1)
    with pytest.raises(UserError, match="knows red car; not 'blue mushroom'"):
        prior.embed([MUSHROOM])
    with pytest.raises(UserError, match="knows nothing yet"):
        ToyworldPrior().embed([""])
    with pytest.raises(UserError, match="None of the 1 views is a overhead view: more views="):
        prior.embed(["a red car, overhead view"])
    with pytest.raises(ValueError, match="not conditioned on images"):
        prior.embed([CAR], image=torch.zeros(1, 3, 8, 8))
