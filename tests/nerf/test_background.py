"""Backgrounds: colours, random colours, a network."""

from pathlib import Path

import pytest
import torch
import yaml
from scenery import seeded

from nerf.background import Background, NetworkBackground, SolidBackground
from suite.config import build
from suite.geometry.cameras import Cameras

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "background").glob("*.yaml"))
DIRECTIONS = Cameras.orbit([float(a) for a in range(40)], height=3, width=2).rays().directions


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configured_background(path):
    """Contract: colours in [0, 1]; the same twice from one generator, whatever the global one says."""
    background = build(yaml.safe_load(path.read_text()))
    assert isinstance(background, Background)
    for generators in ((None, None), (seeded(), seeded())):
        torch.manual_seed(0)
        a, b = (background(DIRECTIONS, g) for g in generators)
        assert a.shape == DIRECTIONS.shape and a.min() >= 0 and a.max() <= 1 and torch.equal(a, b)


def test_tint_is_how_colourful_random_colours_are():
    """Without tint all three channels agree; a tint of 0.2 keeps them within 0.2; greys span [0, 1]."""
    many = torch.zeros(200, 1, 1, 3)
    for tint in (0.0, 0.2):
        colors = SolidBackground(random=1.0, tint=tint)(many, seeded())[:, 0, 0]
        assert float((colors.amax(1) - colors.amin(1)).max()) <= tint
        assert colors.min() >= 0 and colors.max() <= 1 and float(colors.mean(1).std()) > 0.15


def test_random_colours_are_one_an_image():
    """A share of the images, near the probability, gets one colour each; the others keep theirs."""
    color = SolidBackground(color=(0.25, 0.5, 0.75), random=0.3)(DIRECTIONS, seeded())
    assert (color == color[:, :1, :1]).all()
    kept = (color[:, 0, 0] == torch.tensor([0.25, 0.5, 0.75])).all(-1)
    assert 20 <= kept.sum() <= 35 and len(color[~kept, 0, 0].unique(dim=0)) == 40 - kept.sum()


def test_the_network_depends_on_the_direction_alone_and_learns():
    """Opposite directions differ, equal ones agree, and all weights get a gradient."""
    background = NetworkBackground(random=0.0)
    color = background(torch.cat([DIRECTIONS, DIRECTIONS, -DIRECTIONS]))
    assert torch.equal(color[:40], color[40:80]) and not torch.allclose(color[:40], color[80:])
    color.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in background.parameters())


def test_no_work_without_a_gradient():
    """Where every image gets a random colour, the network is not run."""
    assert not NetworkBackground(random=1.0)(DIRECTIONS, seeded()).requires_grad


def test_bad_options_are_refused():
    """Each error says what is possible."""
    with pytest.raises(ValueError, match=r"color=\[red, green, blue\] in \[0, 1\], got \[0, 2, 0\]"):
        SolidBackground(color=(0, 2, 0))
    with pytest.raises(ValueError, match=r"SolidBackground needs random in \[0, 1\], got 1.5"):
        SolidBackground(random=1.5)
    with pytest.raises(ValueError, match="tint in \\[0, 1\\], got 2"):
        SolidBackground(tint=2)
    with pytest.raises(ValueError, match="hidden >= 1 and lr > 0, got hidden=0"):
        NetworkBackground(hidden=0)
