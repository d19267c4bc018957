"""The exact denoisers against Bayes' rule by hand, by quadrature and by sampling."""

import pytest
import torch

from priors.analytic import GaussianMixturePrior, GaussianPrior, ImageSetPrior, posterior
from priors.prompts import Prompt
from suite.diffusion.noise import NoiseSchedule
from suite.diffusion.samplers import ddim, dpmpp_2m, starting_noise
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.rng import generator

COLOURS = {"captions": ["a red car", "a blue car", "a blue house"], "stds": [0.1, 0.2, 0.3]}
MEANS = [[0.9, 0.1, 0.1], [0.1, 0.1, 0.9], [0.2, 0.3, 0.8]]


def pixels(values, dtype=torch.float64):
    """One grey 1 x 1 image for each value."""
    return torch.tensor(values, dtype=dtype).reshape(-1, 1, 1, 1).expand(-1, 3, 1, 1)


def test_gaussian_is_the_linear_estimator():
    """x_0_hat = m + alpha s^2 / (alpha^2 s^2 + sigma^2) (x_t - alpha m), at alpha = sigma = 2^-1/2."""
    prior = GaussianPrior(mean=0.5, std=2.0)
    t = torch.tensor([0.5], dtype=torch.float64)
    p = prior.predict(pixels([1.5]), t, prior.embed(["a"]))
    a = 0.5**0.5
    expected = 0.5 + a * 4 / (0.5 * 4 + 0.5) * (1.5 - a * 0.5)
    assert p.x_0.flatten().tolist() == pytest.approx([expected] * 3, rel=1e-12)
    assert p.eps.flatten().tolist() == pytest.approx([(1.5 - a * expected) / a] * 3, rel=1e-12)


def test_no_spread_and_no_noise():
    """A prior of one point answers it; without noise x_t is the answer; in pure noise the mean is."""
    t, x = torch.tensor([0.3, 1.0, 1e-9], dtype=torch.float64), pixels([0.1, 0.2, 0.3])
    point = GaussianPrior(mean=0.7, std=0.0).predict(x, t, GaussianPrior().embed(["a"] * 3))
    torch.testing.assert_close(point.x_0, torch.full_like(x, 0.7))
    wide = GaussianPrior(mean=0.7, std=1.0).predict(x, t, GaussianPrior().embed(["a"] * 3))
    torch.testing.assert_close(wide.x_0[1], torch.full_like(x[1], 0.7))
    torch.testing.assert_close(wide.x_0[2], x[2], rtol=0, atol=1e-7)


def test_the_empty_prompt_has_its_own_gaussian():
    """Guidance has something to amplify: under "" the mean and deviation are the unconditional ones."""
    prior = GaussianPrior(mean=0.7, std=0.0, unconditional_mean=0.2, unconditional_std=0.0)
    condition, t = prior.embed(["a"]), torch.tensor([0.5])
    x = torch.zeros(1, 3, 2, 2)
    torch.testing.assert_close(prior.predict(x, t, condition).x_0, torch.full_like(x, 0.7))
    torch.testing.assert_close(prior.predict(x, t, condition.negative).x_0, torch.full_like(x, 0.2))


@pytest.mark.parametrize("schedule", [NoiseSchedule.cosine(), NoiseSchedule.flow()], ids=["cosine", "flow"])
def test_mixture_is_the_posterior_by_quadrature(schedule):
    """E[x_0 | x_t] and E[eps | x_t] of a scalar mixture equal integrals over a fine grid of x_0."""
    means, stds, weights = (
        torch.tensor([-1.0, 0.5, 2.0]),
        torch.tensor([0.3, 0.1, 0.6]),
        torch.tensor([1.0, 2.0, 3.0]),
    )
    prior = GaussianMixturePrior(
        captions=["a", "b", "c"],
        means=means.tolist(),
        stds=stds.tolist(),
        weights=weights.tolist(),
        schedule=schedule,
    )
    t = torch.tensor([0.15, 0.5, 0.9], dtype=torch.float64)
    x_t = torch.tensor([0.4, -0.3, 1.1], dtype=torch.float64)
    condition = prior.embed([""] * 3)
    alpha, sigma = schedule.alpha_sigma(t)
    x_0, eps = posterior(  # of one channel: a prior's three share their component
        x_t.reshape(3, 1, 1, 1), alpha, sigma, prior.means, prior.stds, condition.tensors["weights"].double()
    )
    grid = torch.linspace(-8, 8, 200001, dtype=torch.float64)
    density = (weights / stds * torch.exp(-((grid[:, None] - means) ** 2) / (2 * stds**2))).sum(1)
    for i in range(3):
        joint = density * torch.exp(-((x_t[i] - alpha[i] * grid) ** 2) / (2 * sigma[i] ** 2))
        assert float(x_0[i]) == pytest.approx(float((grid * joint).sum() / joint.sum()), rel=1e-6)
        noise = (x_t[i] - alpha[i] * grid) / sigma[i]
        assert float(eps[i]) == pytest.approx(float((noise * joint).sum() / joint.sum()), rel=1e-6)


def test_a_prompt_keeps_the_captions_with_its_words():
    """ "blue" leaves the two blue things in their proportion, "car" the cars, "" all; words in any order."""
    prior = GaussianMixturePrior(means=MEANS, weights=[1.0, 1.0, 3.0], **COLOURS)
    weights = prior.embed(["blue", "a CAR.", "", "house, blue"]).tensors["weights"]
    expected = [[0, 0.25, 0.75], [0.5, 0.5, 0], [0.2, 0.2, 0.6], [0, 0, 1]]
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_view_words_count_only_where_captions_have_them():
    """Captions without views ignore a Prompt's view words; captions with them obey."""
    prompt = Prompt(text="a red car").seen_from(Cameras.orbit([0.0, 180.0]))
    plain = GaussianMixturePrior(means=MEANS, **COLOURS).embed(prompt).tensors["weights"]
    assert plain.tolist() == [[1, 0, 0], [1, 0, 0]]
    views = GaussianMixturePrior(
        captions=["a red car, front view", "a red car, back view"], means=[0.2, 0.8], stds=[0.1, 0.1]
    )
    assert views.embed(prompt).tensors["weights"].tolist() == [[1, 0], [0, 1]]


def test_samples_of_a_mixture_are_its_components():
    """Sampling "blue" gives the blue car and the blue house in the proportion 1 : 3, with their colours."""
    prior = GaussianMixturePrior(
        means=MEANS, weights=[1.0, 1.0, 3.0], **COLOURS | {"stds": [0.02, 0.02, 0.02]}
    )
    x = starting_noise(prior, 512, generator(0, 0, "x"), height=1, width=1)
    x = ddim(prior, x, prior.embed(["blue"] * 512), steps=60)
    distance = (x.reshape(-1, 1, 3) - torch.tensor(MEANS)).norm(dim=2)
    nearest, which = distance.min(dim=1)
    assert nearest.max() < 0.15
    assert float((which == 2).float().mean()) == pytest.approx(0.75, abs=0.06) and not (which == 0).any()


def test_image_set_samples_are_its_images():
    """All that the exact denoiser of a set can imagine are the set's images."""
    images = torch.rand(5, 3, 8, 8, generator=generator(0, 0, "images"))
    prior = ImageSetPrior(images=images, captions=[f"picture {i}" for i in range(5)])
    x = starting_noise(prior, 16, generator(0, 0, "x"))
    samples = prior.decode(dpmpp_2m(prior, x, prior.embed([""] * 16), steps=30))
    errors = (samples[:, None] - images).abs().flatten(2).amax(2)
    assert errors.min(dim=1).values.max() < 1e-3 and len(errors.argmin(dim=1).unique()) > 1
    chosen = prior.decode(dpmpp_2m(prior, x, prior.embed(["picture 3"] * 16), steps=5))
    torch.testing.assert_close(chosen, images[3].expand(16, -1, -1, -1), rtol=0, atol=1e-4)


def test_image_set_encodes_in_its_own_size():
    """Latents are 2 x - 1; larger images are averaged down, every pixel with its gradient; decode inverts."""
    images = torch.rand(2, 3, 8, 8, generator=generator(0, 0, "images"))
    prior = ImageSetPrior(images=images, captions=["a", "b"])
    assert (prior.resolution, prior.factor, prior.latent_channels) == (8, 1, 3)
    torch.testing.assert_close(prior.decode(prior.encode(images)), images)
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3).requires_grad_()
    z = prior.encode(large)
    assert z.shape == images.shape
    (grad,) = torch.autograd.grad(z.sum(), large)
    assert bool((grad > 0).all()) and float(grad.sum()) == pytest.approx(2 * z.numel(), rel=1e-5)


def test_image_set_prefers_the_views_near_the_camera():
    """Weights fall as exp(-angle^2 / 2 w^2) from the camera's view; the negative knows no camera."""
    cameras = Cameras.orbit([0.0, 20.0, 180.0], 0.0)
    images = torch.rand(3, 3, 4, 4, generator=generator(0, 0, "images"))
    prior = ImageSetPrior(images=images, captions=["a"] * 3, cameras=cameras, view_width_deg=20.0)
    condition = prior.embed(["a"], cameras=Cameras.orbit([0.0], 0.0))
    expected = torch.tensor([1.0, float(torch.exp(torch.tensor(-0.5))), 0.0])
    torch.testing.assert_close(
        condition.tensors["weights"][0].float(), expected / expected.sum(), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        condition.negative.tensors["weights"], torch.full((1, 3), 1 / 3, dtype=torch.float64)
    )


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: GaussianPrior(std=-0.1), ValueError, r"cannot be negative, got \[-0.1, -0.1\]"),
        (
            lambda: GaussianMixturePrior(captions=["a"], means=[0.1, 0.2], stds=[0.1]),
            ValueError,
            "got 1 captions, 2 means, 1 stds and 1 weights",
        ),
        (
            lambda: ImageSetPrior(images=torch.zeros(2, 3, 4, 4), captions=["a"]),
            ValueError,
            r"one caption \(and camera\) each, got images \(2, 3, 4, 4\), 1 captions",
        ),
        (
            lambda: GaussianMixturePrior(means=MEANS, **COLOURS).embed(["a purple car"]),
            UserError,
            "does not know: purple. It knows: a, blue, car, house, red",
        ),
        (
            lambda: GaussianMixturePrior(means=MEANS, **COLOURS).embed(["a red house"]),
            UserError,
            "No caption of this prior has all words of 'a red house'",
        ),
        (
            lambda: ImageSetPrior(images=torch.zeros(1, 3, 4, 4), captions=["a"]).embed(
                ["a"], cameras=Cameras.orbit([0.0])
            ),
            ValueError,
            "construct it with cameras=",
        ),
    ],
)
def test_mistakes_are_explained(call, error, message):
    """Each impossible request says what was given and what is there."""
    with pytest.raises(error, match=message):
        call()
