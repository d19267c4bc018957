"""What every guidance in configs/guidance promises; a new one is tested by its YAML alone."""

from pathlib import Path

import pytest
import torch
import yaml

from priors.guidance.base import Guidance
from suite.config import build
from suite.rng import generator

CONFIGS = Path(__file__).parents[3] / "configs"
FILES = sorted((CONFIGS / "guidance").glob("*.yaml"))


def the_guidance(file: Path) -> Guidance:
    return build(yaml.safe_load(file.read_text()))


@pytest.fixture
def prior():
    return build(yaml.safe_load((CONFIGS / "prior" / "mixture.yaml").read_text()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_loss_carries_the_gradient(file, prior):
    """d loss / d images = gradient / b on a prior whose encoder is the identity; all is finite."""
    guidance = the_guidance(file)
    assert isinstance(guidance, Guidance)
    x = torch.rand(3, 3, 8, 8, generator=generator(0, 0, "x")).requires_grad_()
    for progress in (0.0, 1.0):
        condition = prior.embed(["red", "green", "blue"])
        out = guidance(prior, x, condition, generator=generator(0, 0, "guidance"), progress=progress)
        (grad,) = torch.autograd.grad(out.loss, x)
        torch.testing.assert_close(grad, out.gradient / 3)
        assert bool(out.gradient.isfinite().all() & (out.t > 0).all() & (out.t < 1).all())
        assert out.t.shape == (3,) and out.x_0.shape == x.shape and not out.gradient.requires_grad


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_generator_decides(file, prior):
    """The same generator state gives the same gradient bit for bit."""
    guidance, condition = the_guidance(file), prior.embed(["red"] * 2)
    x = torch.rand(2, 3, 4, 4, generator=generator(0, 0, "x"))
    a, b = (guidance(prior, x, condition, generator=generator(0, 5, "guidance")).gradient for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_descending_approaches_the_prompt(file, prior):
    """Steps against the gradient take grey images to the wanted colour rather than another."""
    guidance, condition = the_guidance(file), prior.embed(["red", "green", "blue"])
    x = torch.full((3, 3, 2, 2), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=0.02)
    for step in range(40):
        optimizer.zero_grad()
        guidance(
            prior, x, condition, generator=generator(0, step, "guidance"), progress=step / 40
        ).loss.backward()
        optimizer.step()
    assert x.detach().mean(dim=(2, 3)).argmax(dim=1).tolist() == [0, 1, 2]


def test_analytic_configs_build():
    """The YAML files of the analytic priors name real options."""
    assert build(yaml.safe_load((CONFIGS / "prior" / "gaussian.yaml").read_text())).latent_channels == 3
