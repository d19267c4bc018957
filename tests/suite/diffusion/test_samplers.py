"""Samplers on priors whose ODE has a closed solution, and step for step against diffusers."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from priors.analytic import GaussianPrior
from suite.diffusion.noise import NoiseSchedule
from suite.diffusion.samplers import SAMPLERS, Grid, ddim, dpmpp_2m, euler, starting_noise
from suite.rng import generator

MEAN, STD = 0.3, 0.4
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
SD |= {"set_alpha_to_one": False, "clip_sample": False}


def noise(count: int = 4, size: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=generator(0, 0, "noise"), dtype=dtype)


def ode_solution(schedule: NoiseSchedule, x: Tensor, start: float, end: float) -> Tensor:
    """(x_t - alpha_t m) / sqrt(alpha_t^2 s^2 + sigma_t^2) is constant along the probability-flow ODE."""
    t = torch.tensor([start, end], dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(t)
    spread = (alpha**2 * STD**2 + sigma**2).sqrt()
    return alpha[1] * MEAN + spread[1] / spread[0] * (x - alpha[0] * MEAN)


@pytest.mark.parametrize("schedule", [NoiseSchedule.cosine(), NoiseSchedule.flow()], ids=["cosine", "flow"])
@pytest.mark.parametrize("name, order", [("ddim", 1), ("euler", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_order_of_convergence(name, order, schedule):
    """Half the step divides the error to the closed solution by 2^order."""
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    condition, truth = prior.embed(["a"] * 4), ode_solution(schedule, noise(), 0.95, 0.05)
    errors = []
    for steps in (40, 80):
        grid = Grid.through(schedule, torch.linspace(0.95, 0.05, steps + 1, dtype=torch.float64))
        x = SAMPLERS[name](prior, noise(), condition, steps=grid)
        errors.append(float((x - truth).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.06)


@pytest.mark.parametrize("name", SAMPLERS)
def test_from_pure_noise_to_clean(name):
    """From alpha = 0 to sigma = 0, where ratios of the two are infinite: still close to the solution."""
    schedule = NoiseSchedule.cosine()
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    x = SAMPLERS[name](prior, noise(), prior.embed(["a"] * 4), steps=80)
    torch.testing.assert_close(x, ode_solution(schedule, noise(), 1.0, 0.0), rtol=0, atol=0.03)


def test_euler_is_ddim():
    """Two ways to write one step: the same numbers to rounding, on any path."""
    for schedule in (
        NoiseSchedule.cosine(),
        NoiseSchedule.flow(3.0),
        NoiseSchedule.from_scheduler_config(SD),
    ):
        prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
        a, b = (f(prior, noise(), prior.embed(["a"] * 4), steps=20) for f in (euler, ddim))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_that_of_diffusers(kind, spacing, eta):
    """25 steps of DDIMScheduler with Stable Diffusion's configuration, the same noise: the same picture."""
    config = SD | {"timestep_spacing": spacing, "prediction_type": kind}
    theirs, schedule = DDIMScheduler.from_config(config), NoiseSchedule.from_scheduler_config(config)
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    condition, x = prior.embed(["a"] * 4), noise(dtype=torch.float32)
    ours = ddim(prior, x, condition, steps=25, eta=eta, generator=generator(0, 0, "eta"))
    theirs.set_timesteps(25)
    random = generator(0, 0, "eta")
    for k in theirs.timesteps:
        p = prior.predict(x, ((k + 0.5) / 1000).expand(4), condition)
        x = theirs.step(p.eps if kind == "epsilon" else p.v, k, x, eta=eta, generator=random).prev_sample
    torch.testing.assert_close(ours, x, rtol=0, atol=2e-5)


def test_dpmpp_2m_is_that_of_diffusers():
    """DPMSolverMultistepScheduler, dpmsolver++ of order 2 with a first-order end: the same picture."""
    theirs = DPMSolverMultistepScheduler.from_config(SD | {"final_sigmas_type": "zero"})
    theirs.set_timesteps(20)
    schedule = NoiseSchedule.from_scheduler_config(SD)
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    condition, x = prior.embed(["a"] * 4), noise(dtype=torch.float32)
    t = (theirs.timesteps + 0.5) / 1000
    levels = Grid.through(schedule, torch.cat([t, t[-1:]]))
    clean = torch.tensor([1.0, 0.0], dtype=torch.float64)
    grid = Grid(
        levels.t, torch.cat([levels.alpha[:-1], clean[:1]]), torch.cat([levels.sigma[:-1], clean[1:]])
    )
    ours = dpmpp_2m(prior, x, condition, steps=grid)
    for k, time in zip(theirs.timesteps, t):
        x = theirs.step(prior.predict(x, time.expand(4), condition).eps, k, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=0, atol=5e-5)


def test_flow_euler_is_that_of_diffusers():
    """FlowMatchEulerDiscreteScheduler with Stable Diffusion 3's shift: the same picture."""
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    theirs = FlowMatchEulerDiscreteScheduler.from_config(config)
    schedule = NoiseSchedule.from_scheduler_config(config)
    theirs.set_timesteps(15)
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    condition, x = prior.embed(["a"] * 4), noise(dtype=torch.float32)
    ours = euler(prior, x, condition, steps=15)
    for k, t in zip(theirs.timesteps, schedule.times(15).float()):
        x = theirs.step(prior.predict(x, t.expand(4), condition).flow, k, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=0, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("schedule", [NoiseSchedule.cosine(), NoiseSchedule.flow()], ids=["cosine", "flow"])
def test_samples_have_the_mean_and_spread_of_the_data(eta, schedule):
    """ODE and ancestral sampling of N(m, s^2), on curved and straight paths."""
    prior = GaussianPrior(mean=MEAN, std=STD, schedule=schedule)
    x = starting_noise(prior, 256, generator(0, 0, "start"), height=6, width=6)
    grid = Grid.of(schedule, 60, "trailing")
    x = ddim(prior, x, prior.embed(["a"] * 256), steps=grid, eta=eta, generator=generator(0, 0, "eta"))
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(x.std()) == pytest.approx(
        STD, rel=0.1 if eta else 0.04
    )  # ancestral: twice the error of order 1


@pytest.mark.parametrize("name, evaluations", [("ddim", 10), ("euler", 10), ("heun", 19), ("dpmpp_2m", 10)])
def test_evaluations_and_callback(name, evaluations):
    """Ten steps cost ten predictions, Heun's 19; guidance doubles them. The callback sees every step's x."""
    prior = GaussianPrior()
    condition = prior.embed(["a"] * 2)
    x = noise(2)
    indices, pictures = [], []

    def record(i, x, prediction):
        indices.append(i)
        pictures.append(x)

    SAMPLERS[name](prior, x, condition, steps=10)
    assert prior.evaluations == 2 * evaluations
    out = SAMPLERS[name](prior, x, condition, steps=10, scale=5.0, callback=record)
    assert prior.evaluations == 2 * 3 * evaluations
    assert indices == list(range(10)) and torch.equal(pictures[-1], out)


def test_starting_noise_has_the_priors_shape():
    """The prior's own size by default; the same numbers from the same generator."""
    prior = GaussianPrior()
    assert starting_noise(prior, 2, generator(0, 0, "x")).shape == (2, 3, 64, 64)
    a, b = (starting_noise(prior, 2, generator(0, 0, "x"), height=8, width=4) for _ in range(2))
    assert a.shape == (2, 3, 8, 4) and torch.equal(a, b)


def test_errors_say_what_to_do():
    """A size between latent pixels; noise without generator; a noise prediction in pure noise."""
    prior = GaussianPrior()
    prior.factor = 8
    with pytest.raises(ValueError, match="multiples of 8 for this prior, got 20 x 64"):
        starting_noise(prior, 1, generator(0, 0, "x"), height=20)
    with pytest.raises(ValueError, match="give it generator="):
        ddim(prior, noise(), prior.embed(["a"] * 4), eta=1.0)
    prior.kind = "epsilon"
    with pytest.raises(ValueError, match="spacing='leading'"):
        ddim(prior, noise(), prior.embed(["a"] * 4), steps=5)
