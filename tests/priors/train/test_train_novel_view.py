"""The training of a view-conditioned prior: its loss, its files, its command."""

import copy
import json

import pytest
import torch

from priors.train.denoiser import SCHEDULER, DenoiserTraining, build_denoiser
from priors.train.train_novel_view import TrainNovelView, pairs_of, pictures_of, sample_views
from priors.train.v_loss import follow, noised, weighted_v_loss
from priors.train.view_denoiser import ViewTraining, build_image_encoder
from priors.view_volume import ViewVolume
from priors.zero123 import load
from suite.diffusion.noise import NoiseSchedule
from suite.errors import UserError
from suite.rng import generator
from suite.toyworld.view_pairs import FOV_DEG, ViewPairs
from suite.toyworld.vocabulary import tokenizer_corpus

TINY = dict(size=32, widths=(32, 32), width=32, layers=1, autocast=False)
SMALL_RUN = "batch=4 views=2 +reuse=2 +pool=2 widths=[32,32] size=32 +half=false +width=32 +layers=1"


@pytest.fixture(scope="module")
def strips():
    return ViewPairs(size=32, views=3).batch(4, 0, 0)


@pytest.fixture(scope="module")
def training(strips) -> ViewTraining:
    """A training with tiny networks."""
    return ViewTraining(pictures_of(strips.images), **TINY)


def pair(strips):
    return pairs_of(pictures_of(strips.images), strips.labels, generator(0, 0, "pairs"))


def condition_of(prior, strips):
    pictures, targets, reference, wanted = pair(strips)
    return prior.embed([""] * 4, wanted, pictures, reference=reference)


def text_training(strips) -> DenoiserTraining:
    """The text prior's training, as small."""
    pictures = pictures_of(strips.images)
    return DenoiserTraining(pictures, tokenizer_corpus(), widths=(32, 32), text_width=32, autocast=False)


def test_pairs_are_two_views_with_their_cameras(strips):
    """Pictures and cameras belong together, whichever views were drawn, and never one with itself."""
    images = torch.from_numpy(strips.images).movedim(-1, 1)
    for draw in range(4):
        drawn = pairs_of(images, strips.labels, generator(draw, 0, "pairs"))
        for pictures, cameras in ((drawn[0], drawn[2]), (drawn[1], drawn[3])):
            for i, label in enumerate(strips.labels):
                (k,) = [
                    k for k in range(3) if torch.equal(images[i, :, :, 32 * k : 32 * k + 32], pictures[i])
                ]
                seen = (cameras.azimuth_deg[i], cameras.elevation_deg[i], cameras.distance[i])
                true = (label.azimuth_deg[k], label.elevation_deg[k], label.distance[k])
                torch.testing.assert_close(torch.stack(seen), torch.tensor(true), atol=1e-3, rtol=1e-4)
        assert not any(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1]))
        assert float(drawn[2].fov_deg[0]) == pytest.approx(FOV_DEG)


def test_noise_is_spread_over_all_times():
    """One time in each of b bands of u, t = u^noisy; x_t = alpha x_0 + sigma eps."""
    schedule = NoiseSchedule.from_scheduler_config(SCHEDULER)
    x_0 = torch.randn(8, 2, 4, 4, generator=generator(0, 0, "x"))
    for noisy in (1.0, 0.5):
        noise = noised(x_0, schedule, generator(0, 0, "noise"), noisy=noisy)
        assert ((noise.t ** (1 / noisy) * 8).floor() == torch.arange(8)).all()
        alpha, sigma = schedule.alpha_sigma(noise.t)
        torch.testing.assert_close(noise.x_t[3], alpha[3] * x_0[3] + sigma[3] * noise.eps[3])


def test_the_loss_by_hand():
    """A silent network's loss is E w v^2, w = (min(SNR, 5) + 1) / (SNR + 1)."""
    schedule = NoiseSchedule.from_scheduler_config(SCHEDULER)
    x_0 = torch.randn(4, 12, 8, 8, generator=generator(0, 0, "x"))
    noise = noised(x_0, schedule, generator(0, 0, "noise"))
    total = 0.0
    for i in range(4):
        alpha, sigma = (float(x) for x in (noise.alpha[i], noise.sigma[i]))
        snr = (alpha / sigma) ** 2
        v = alpha * noise.eps[i] - sigma * x_0[i]
        total += (min(snr, 5.0) + 1) / (snr + 1) * float(v.square().mean()) / 4
    assert float(weighted_v_loss(torch.zeros_like(x_0), noise)) == pytest.approx(total, rel=1e-4)


def test_without_the_picture_nothing_is_seen(training, strips, monkeypatch):
    """Dropped, both inputs are zeros, as guidance feeds them; kept, they are the picture's."""
    training = copy.deepcopy(training)
    pictures, targets, reference, wanted = pair(strips)
    seen = {}

    def keep(self, x, t, tokens):
        seen["latents"], seen["tokens"] = x[:, 12:], tokens
        return type("Out", (), {"sample": torch.zeros_like(x[:, :12])})()

    monkeypatch.setattr(type(training.learning["unet"]), "forward", keep)
    training.drop = 1.0
    training.loss(pictures, targets, reference, wanted, generator(0, 0, "loss"))
    assert not seen["latents"].any() and not seen["tokens"].any()
    training.drop = 0.0
    training.loss(pictures, targets, reference, wanted, generator(0, 0, "loss"))
    expected = condition_of(training.prior(), strips).tensors
    torch.testing.assert_close(seen["latents"], expected["latents"])
    torch.testing.assert_close(seen["tokens"], expected["tokens"], atol=1e-5, rtol=1e-5)


def test_everything_learns(training, strips):
    """Denoiser, picture encoder and projection all get a gradient, the new input channels too."""
    pictures, targets, reference, wanted = pair(strips)
    loss = training.loss(pictures, targets, reference, wanted, generator(0, 0, "loss"))
    loss.backward()
    silent = [name for name, p in training.learning.named_parameters() if p.grad is None]
    assert not silent
    assert training.learning["unet"].conv_in.weight.grad[:, 12:].abs().sum() > 0
    training.learning.zero_grad(set_to_none=True)


def test_the_average_follows():
    """Quickly at first: 9/10 of the way at step 0, 8/11 at step 1."""
    average, learning = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(average.weight)
    torch.nn.init.ones_(learning.weight)
    follow(average.requires_grad_(False), learning, 0, decay=0.999)
    assert float(average.weight) == pytest.approx(0.9)
    follow(average, learning, 1, decay=0.999)
    assert float(average.weight) == pytest.approx(0.9 + 0.1 * 9 / 11)
    follow(average, learning, 10**9, decay=0.5)
    assert float(average.weight) == pytest.approx((0.9 + 0.1 * 9 / 11 + 1) / 2)


def test_a_saved_prior_loads_and_answers_alike(training, strips, tmp_path):
    """What `save` writes is a prior for every other task, which knows its pose; half precision costs little."""
    training.save(tmp_path)
    loaded, own = load(tmp_path), training.prior()
    assert loaded.pose == "radius_polar" and loaded.resolution == 32
    x, t = torch.randn(4, 12, 8, 8, generator=generator(0, 0, "x")), torch.tensor([0.1, 0.3, 0.6, 0.9])
    answers = [prior.predict(x, t, condition_of(prior, strips)).x_0 for prior in (loaded, own)]
    torch.testing.assert_close(*answers, atol=0.02, rtol=0.02)
    with pytest.raises(UserError, match="was trained with pose=radius_polar .model_index.json., not polar"):
        load(tmp_path, pose="polar")
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["cc_projection"] == ["pipeline_zero1to3", "CCProjection"]


def test_going_on_from_a_view_prior(training, strips, tmp_path):
    """`init` starts with all of its weights."""
    training.save(tmp_path)
    again = ViewTraining(torch.zeros(1, 3, 32, 32), init=str(tmp_path), size=32, autocast=False)
    for (name, ours), theirs in zip(again.average.named_parameters(), training.average.parameters()):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3, msg=name)
    other = ViewTraining(
        torch.zeros(1, 3, 32, 32), init=str(tmp_path), size=32, autocast=False, layers=2, new_encoder=True
    )
    parts, theirs = other.learning, training.average["unet"]
    assert len(parts["image_encoder"].encoder.layers) == 2
    torch.testing.assert_close(parts["unet"].conv_in.weight, theirs.conv_in.weight, atol=1e-3, rtol=1e-3)
    with pytest.raises(UserError, match="knows pictures of 32 pixels, not size=64"):
        ViewTraining(torch.zeros(1, 3, 64, 64), init=str(tmp_path), size=64)


def test_beginning_from_a_text_prior(strips, tmp_path):
    """Its denoiser and codec; the picture's latent is not heeded yet, so it answers as the text prior does."""
    text = text_training(strips)
    text.save(tmp_path)
    ours = ViewTraining(torch.zeros(1, 3, 32, 32), init=str(tmp_path), size=32, layers=1, autocast=False)
    x, t, tokens = torch.randn(2, 12, 8, 8), torch.tensor([100, 900]), torch.randn(2, 5, 32)
    with torch.no_grad():
        a = ours.average["unet"](torch.cat([x, torch.randn_like(x)], 1), t, tokens).sample
        b = text.average["unet"](x, t, tokens).sample
    torch.testing.assert_close(a, b, atol=0.02, rtol=0.02)
    torch.testing.assert_close(ours.codec.basis, text.codec.basis, atol=1e-3, rtol=1e-3)


def test_a_view_prior_samples(training, strips):
    """Pictures of its size, one a pair, the same from the same noise."""
    pictures, _, reference, wanted = pair(strips)
    prior = training.prior()
    noise = torch.randn(4, 12, 8, 8, generator=generator(0, 0, "noise"))
    one = sample_views(prior, pictures, reference, wanted, noise, steps=2)
    assert one.shape == (4, 3, 32, 32)
    assert torch.equal(one, sample_views(prior, pictures, reference, wanted, noise, steps=2))


def test_the_command_makes_a_prior_that_loads(command):
    """`suite train_novel_view` leaves prior/ and previews."""
    done = command(f"train_novel_view steps=2 {SMALL_RUN} device=cpu previews=1")
    assert done.status == 0, done.errors
    assert load(str(done.directory / "prior")).pose == "radius_polar"
    assert list((done.directory / "images").glob("views_*.png"))
    assert json.loads((done.directory / "report.json").read_text())["measures"]["prior_megabytes"] < 30


def test_a_resumed_training_is_the_uninterrupted_one():
    """State after 2 + 1 steps, taken up by new objects, equals that after 3, bit for bit; the average included."""
    small = dict(batch=4, views=2, reuse=2, pool=2, size=32, widths=(32, 32), width=32, layers=1, half=False)

    def go(task, optimizer, start, stop):
        for step in range(start, stop):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3
            optimizer.zero_grad(set_to_none=True)
            task.loss(step, generator(0, step, "step")).backward()
            optimizer.step()
            task.after_step(step)

    whole, first, second = (TrainNovelView(steps=3, **small) for _ in range(3))
    go(whole, whole.make_optimizer(), 0, 3)
    optimizer = first.make_optimizer()
    go(first, optimizer, 0, 2)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    state, optimizer = copy.deepcopy(optimizer.state_dict()), second.make_optimizer()
    optimizer.load_state_dict(state)
    go(second, optimizer, 2, 3)
    parts = [task.state_dict()["parts"]["training"]["tensors"] for task in (whole, second)]
    assert any(name.startswith("average") for name in parts[0]) and "codec.basis" in parts[0]
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])


def test_the_default_prior_is_small_enough():
    """With what it remembers at most 30 MB in half precision, counted on the meta device: 1.5 MB are the memory's."""
    with torch.device("meta"):
        networks = (
            build_denoiser(16, 12, 192, (64, 128, 192)),
            build_image_encoder(64, 192, 1),
            ViewVolume(),
        )
    assert 2 * sum(p.numel() for network in networks for p in network.parameters()) < 28.5e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be positive"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"size": 40}, "multiple of 16"),
        ({"pose": "both"}, "pose='both' is not one of: radius, polar, radius_polar"),
        ({"views": 1}, "A pair needs two views"),
    ],
)
def test_bad_options_say_what_to_type(options, message):
    with pytest.raises(ValueError, match=message):
        TrainNovelView(**options)
