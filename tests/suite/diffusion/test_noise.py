"""The schedules against published numbers and diffusers' tables; the conversions against each other."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler

from suite.diffusion.noise import NoiseSchedule, Prediction, noise_like, per_sample, target

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
KINDS = ["epsilon", "v", "x_0", "flow"]
SCHEDULES = {
    "discrete": NoiseSchedule.from_scheduler_config(SD),
    "flow": NoiseSchedule.flow(),
    "shifted flow": NoiseSchedule.flow(3.0),
    "cosine": NoiseSchedule.cosine(),
}


def test_stable_diffusion_reference_values():
    """sigma^2 = 1 - abar of Stable Diffusion at six steps, to the four digits in which they are published."""
    t = torch.tensor([0.020, 0.200, 0.500, 0.700, 0.850, 0.980])
    alpha, sigma = SCHEDULES["discrete"].alpha_sigma(t)
    expected = torch.tensor([0.0187, 0.2463, 0.7237, 0.9175, 0.9767, 0.9942])
    torch.testing.assert_close(sigma**2, expected, rtol=0, atol=5e-5)
    torch.testing.assert_close(alpha**2, 1 - expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "config",
    [
        SD,
        {},
        {"beta_schedule": "linear", "beta_start": 0.001, "beta_end": 0.01, "num_train_timesteps": 100},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.1, 0.2, 0.3]},
        SD | {"rescale_betas_zero_snr": True},
    ],
    ids=["scaled_linear", "defaults", "linear", "squaredcos", "trained", "zero snr"],
)
def test_tables_are_those_of_diffusers(config):
    """alpha^2 is diffusers' alphas_cumprod at every step (which it computes in float32)."""
    theirs = DDPMScheduler.from_config(config).alphas_cumprod
    ours = NoiseSchedule.from_scheduler_config(config)
    assert len(ours) == len(theirs)
    torch.testing.assert_close(ours.alphas.float() ** 2, theirs, rtol=1e-4, atol=3e-7)
    torch.testing.assert_close(ours.sigmas.float() ** 2, 1 - theirs, rtol=1e-4, atol=3e-6)


def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_its_start():
    """Rescaled betas: alpha of the last step is exactly 0, of the first unchanged."""
    plain, rescaled = (
        NoiseSchedule.from_scheduler_config(SD | {"rescale_betas_zero_snr": flag}) for flag in (False, True)
    )
    assert rescaled.alphas[-1] == 0 and rescaled.sigmas[-1] == 1
    torch.testing.assert_close(rescaled.alphas[0], plain.alphas[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_discrete_time_is_the_floor_of_a_thousand_t(dtype):
    """k / 1000 and all up to the next are step k; t = 1 is step 999; t near 0 is step 0."""
    schedule, k = SCHEDULES["discrete"], torch.arange(1000)
    for offset in (0.0, 0.5, 0.99):
        assert torch.equal(schedule.model_time((k + offset).to(dtype) / 1000), k)
    assert schedule.model_time(torch.tensor([1.0, 1e-6], dtype=dtype)).tolist() == [999, 0]


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("offset", [0, 1])
def test_timesteps_are_those_of_diffusers(spacing, offset):
    """The integer steps of DDIMScheduler.set_timesteps, and back from the times that stand for them."""
    config = SD | {"timestep_spacing": spacing, "steps_offset": offset}
    theirs, ours = DDIMScheduler.from_config(config), NoiseSchedule.from_scheduler_config(config)
    for steps in (1, 2, 7, 25, 30, 50, 100, 999):
        theirs.set_timesteps(steps)
        if spacing != "trailing" or 1000 % steps == 0:  # numpy's arange may count one step too many
            assert ours.timesteps(steps) == theirs.timesteps.tolist()
        for dtype in (torch.float32, torch.float64):
            assert ours.model_time(ours.times(steps).to(dtype)).tolist() == ours.timesteps(steps)


def test_sampling_ends_where_the_configuration_says():
    """set_alpha_to_one False: at the first entry of the table, sigma = sqrt(0.00085)."""
    assert SCHEDULES["discrete"].final == (1.0, 0.0)
    alpha, sigma = NoiseSchedule.from_scheduler_config(SD | {"set_alpha_to_one": False}).final
    assert sigma == pytest.approx(0.00085**0.5) and alpha == pytest.approx((1 - 0.00085) ** 0.5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_is_that_of_diffusers(shift):
    """sigmas and what the network is fed equal FlowMatchEulerDiscreteScheduler's; alpha + sigma = 1."""
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": shift, "num_train_timesteps": 1000}
    theirs, ours = (
        FlowMatchEulerDiscreteScheduler.from_config(config),
        NoiseSchedule.from_scheduler_config(config),
    )
    theirs.set_timesteps(13)
    t = ours.times(13)
    alpha, sigma = ours.alpha_sigma(t)
    torch.testing.assert_close(sigma.float(), theirs.sigmas[:-1])
    torch.testing.assert_close(ours.model_time(t).float(), theirs.timesteps)
    torch.testing.assert_close(alpha + sigma, torch.ones_like(t))


def test_cosine_is_a_quarter_circle():
    """t = 1/3 is 30 degrees; alpha is exactly 0 at t = 1."""
    alpha, sigma = SCHEDULES["cosine"].alpha_sigma(torch.tensor([1 / 3, 1.0], dtype=torch.float64))
    torch.testing.assert_close(alpha, torch.tensor([0.75**0.5, 0.0], dtype=torch.float64), rtol=1e-14, atol=0)
    torch.testing.assert_close(sigma, torch.tensor([0.5, 1.0], dtype=torch.float64))


def test_log_snr_falls():
    """Every schedule: noise grows with t; at alpha = sigma the log SNR is 0."""
    for schedule in SCHEDULES.values():
        assert (schedule.log_snr(torch.linspace(0.01, 0.99, 99)).diff() < 0).all()
    assert SCHEDULES["cosine"].log_snr(torch.tensor([0.5], dtype=torch.float64)).abs() < 1e-14


def test_add_noise_and_v_are_those_of_diffusers():
    """x_t = alpha x_0 + sigma eps and v = alpha eps - sigma x_0, as DDPMScheduler has them."""
    theirs, ours = DDPMScheduler.from_config(SD), SCHEDULES["discrete"]
    x_0, eps, k = torch.randn(2, 4, 3, 5, 5, generator=torch.manual_seed(0)).unbind() + (
        torch.tensor([1, 9, 500, 999]),
    )
    t = (k + 0.5) / 1000
    torch.testing.assert_close(ours.add_noise(x_0, eps, t), theirs.add_noise(x_0, eps, k))
    alpha, sigma = (per_sample(a, x_0) for a in ours.alpha_sigma(t))
    torch.testing.assert_close(target("v", x_0, eps, alpha, sigma), theirs.get_velocity(x_0, eps, k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_predictions_survive_every_conversion(kind, name):
    """A perfect answer of any kind reads as the x_0, eps, v and flow that it came from, to 1e-13."""
    random = torch.manual_seed(1)
    x_0, eps = torch.randn(2, 6, 3, 4, 4, generator=random, dtype=torch.float64)
    t = torch.linspace(0.15, 0.85, 6, dtype=torch.float64)
    alpha, sigma = (per_sample(a, x_0) for a in SCHEDULES[name].alpha_sigma(t))
    x_t = SCHEDULES[name].add_noise(x_0, eps, t)
    truth = {k: target(k, x_0, eps, alpha, sigma) for k in KINDS}
    p = Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=truth[kind], kind=kind)
    for read, expected in zip((p.eps, p.v, p.x_0, p.flow), truth.values()):
        torch.testing.assert_close(read, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind, alphas", [("v", [0, 1]), ("flow", [0, 1]), ("x_0", [0]), ("epsilon", [1])])
def test_predictions_at_the_ends_of_time(kind, alphas):
    """v and flow tell x_0 and eps at both ends; x_0 does in pure noise, epsilon where there is none."""
    x_0, eps = torch.tensor([[0.3]]), torch.tensor([[-1.2]])
    for alpha in alphas:
        a, s = torch.tensor([[float(alpha)]]), torch.tensor([[1.0 - alpha]])
        p = Prediction(x_t=a * x_0 + s * eps, alpha=a, sigma=s, raw=target(kind, x_0, eps, a, s), kind=kind)
        assert torch.allclose(p.x_0, x_0) and torch.allclose(p.eps, eps)


def test_half_precision_answers_are_read_in_float32():
    """A network in half precision decides nothing but its own answer."""
    half, one = torch.full((1, 2), 0.5, dtype=torch.bfloat16), torch.tensor([[0.6]])
    p = Prediction(x_t=half, alpha=one, sigma=torch.tensor([[0.8]]), raw=half, kind="v")
    assert p.x_0.dtype == p.eps.dtype == p.v.dtype == p.flow.dtype == torch.float32
    torch.testing.assert_close(p.x_0, torch.full((1, 2), 0.6 * 0.5 - 0.8 * 0.5))


def test_noise_is_drawn_by_the_generator_alone():
    """The same generator state gives the same noise; its shape and precision are those of x."""
    x = torch.zeros(2, 3, dtype=torch.float64)
    a, b = (noise_like(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b) and a.shape == x.shape and a.dtype == x.dtype


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: SCHEDULES["flow"].alpha_sigma(torch.ones(1, dtype=torch.float16)),
            "float32 or float64, got",
        ),
        (
            lambda: NoiseSchedule.from_scheduler_config({"beta_schedule": "sigmoid"}),
            "'sigmoid' is not one of",
        ),
        (
            lambda: NoiseSchedule.from_scheduler_config(SD | {"timestep_spacing": "even"}),
            "'even' is not one of",
        ),
        (
            lambda: NoiseSchedule.from_scheduler_config(
                {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
            ),
            "NoiseSchedule.flow",
        ),
        (lambda: NoiseSchedule.flow(0.0), "must be positive, got 0.0"),
        (lambda: SCHEDULES["discrete"].times(0), "1 to 1000 steps, got 0"),
        (lambda: SCHEDULES["discrete"].times(1001), "1 to 1000 steps, got 1001"),
        (
            lambda: NoiseSchedule.from_scheduler_config(SD | {"steps_offset": 1}).times(1000),
            "use at most 999",
        ),
        (lambda: SCHEDULES["cosine"].times(0), "at least 1 step, got 0"),
        (lambda: SCHEDULES["cosine"].times(5, "leading"), "use trailing"),
        (lambda: SCHEDULES["flow"].times(5, "leading"), "use trailing or linspace"),
    ],
)
def test_errors_say_what_is_possible(call, message):
    """Each impossible request names what was asked and what would do."""
    with pytest.raises(ValueError, match=message):
        call()
