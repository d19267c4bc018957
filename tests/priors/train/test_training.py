"""The prior's training: tokenizer, loss, files and the command."""

import copy

import pytest
import torch

from priors.stable_diffusion import load
from priors.train.denoiser import DenoiserTraining
from priors.train.tokenizer import learn_tokenizer
from priors.train.train_prior import TrainPrior, images_of
from suite.rng import generator
from suite.toyworld.dataset import Scenes
from suite.toyworld.vocabulary import tokenizer_corpus


@pytest.fixture(scope="module")
def training() -> DenoiserTraining:
    """A training with tiny networks."""
    pictures = images_of(Scenes().batch(64, 0, 0))
    return DenoiserTraining(pictures, tokenizer_corpus(), widths=(32, 32), text_width=32, autocast=False)


def test_any_text_can_be_encoded_and_read_back():
    """Bytes are tokens: what captions never said comes back as it was."""
    tokenizer = learn_tokenizer(tokenizer_corpus())
    for text in ("a striped red car, side view", "zxqj unseen wörds €5"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")
    assert len(tokenizer("mushroom").input_ids) == 3  # start, one token, end
    assert len(tokenizer) <= 2048


def test_the_tokenizer_is_the_same_each_time():
    """Its numbers follow from the captions alone: a resumed training reads its words as before."""
    first = learn_tokenizer(tokenizer_corpus()).get_vocab()
    assert all(learn_tokenizer(tokenizer_corpus()).get_vocab() == first for _ in range(3))


def test_the_perfect_answer_has_no_loss(training, monkeypatch):
    """A network that answers v exactly gives loss 0; one that answers 0 gives E w |v|^2."""
    images = images_of(Scenes().batch(8, 0, 1))
    seen = {}
    unet = training.learning["unet"]

    def keep(self, x, *arguments):
        seen["x_t"] = x
        return type("Out", (), {"sample": torch.zeros_like(x)})()

    monkeypatch.setattr(type(unet), "forward", keep)
    silent = float(training.loss(images, ["a red car"] * 8, generator(0, 0, "loss")))
    x_0 = training.codec.encode(images * 2 - 1).latent_dist.mode() * training.codec.config.scaling_factor

    def exact(self, x, t, tokens):
        alpha, sigma = training.schedule.alpha_sigma((t + 0.5) / 1000)
        alpha, sigma = alpha[:, None, None, None], sigma[:, None, None, None]
        return type("Out", (), {"sample": alpha * (x - alpha * x_0) / sigma - sigma * x_0})()

    monkeypatch.setattr(type(unet), "forward", exact)
    assert float(training.loss(images, ["a red car"] * 8, generator(0, 0, "loss"))) < 1e-6 < silent


def test_the_average_follows(training):
    """After many updates the average is what was learnt."""
    training = copy.deepcopy(training)
    with torch.no_grad():
        for parameter in training.learning.parameters():
            parameter.add_(1.0)
    for step in range(60):
        training.decay = 0.5
        training.update_average(step)
    for new, old in zip(training.learning.parameters(), training.average.parameters()):
        torch.testing.assert_close(new.data, old, atol=1e-4, rtol=1e-4)


def test_a_saved_prior_loads_and_answers_alike(training, tmp_path):
    """What `save` writes is a prior for every other task; half precision costs little."""
    training.save(tmp_path)
    loaded, own = load(str(tmp_path)), training.prior()
    x, t = torch.randn(2, 12, 16, 16, generator=generator(0, 0, "x")), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        a = loaded.predict(x, t, loaded.embed(["a red car", ""])).x_0
        b = own.predict(x, t, own.embed(["a red car", ""])).x_0
    torch.testing.assert_close(a, b, atol=0.02, rtol=0.02)


def test_going_on_from_a_prior(training, tmp_path):
    """`init` starts with the saved weights, codec and tokenizer; what it saves says nothing of where they lay."""
    training.save(tmp_path)
    again = DenoiserTraining(torch.zeros(1, 3, 64, 64), [], init=str(tmp_path), autocast=False)
    for name, parameter in again.average["unet"].named_parameters():
        torch.testing.assert_close(
            parameter, training.average["unet"].get_parameter(name), atol=1e-3, rtol=1e-3
        )
    assert again.tokenizer("a red car").input_ids == training.tokenizer("a red car").input_ids
    again.save(tmp_path / "again")
    assert not [path for path in (tmp_path / "again").rglob("*.json") if str(tmp_path) in path.read_text()]


def test_the_command_makes_a_prior_that_other_tasks_take(command):
    """`suite train_prior` leaves prior/ with the words that it knows."""
    done = command(
        "train_prior steps=2 batch=4 widths=[32,32] text_width=32 previews=0 device=cpu half=false"
    )
    assert done.status == 0
    prior = load(str(done.directory / "prior"))
    with pytest.raises(ValueError, match="mushrom"):
        prior.embed(["a red mushrom"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be positive"),
        ({"lr": -1.0}, "lr must be positive, got -1"),
        ({"noisy": 0.0}, "noisy must be positive, got 0"),
        ({"size": 40}, "multiple of 16"),
        ({"steps": 0}, "steps must be positive"),
    ],
)
def test_bad_options_say_what_to_type(options, message):
    """Sizes that do not divide are refused before anything is made."""
    with pytest.raises(ValueError, match=message):
        TrainPrior(**options)
