"""Detail of a mesh beside that of the true object."""

import pytest
import torch

from nerf.truth import sharpness_beside
from suite.geometry.mesh import Mesh
from suite.toyworld.lookup import Things


@pytest.fixture(scope="module")
def car() -> tuple[Mesh, object]:
    thing = Things("").named("red car")
    surface = thing.surface
    colors = torch.from_numpy(surface.colors)
    return Mesh(torch.from_numpy(surface.vertices), torch.from_numpy(surface.faces).long(), colors), thing


def test_the_truth_is_as_sharp_as_itself(car):
    """Two renderers of the same coloured mesh: ratio 1 within 15 %, the same detail."""
    mesh, thing = car
    found = sharpness_beside(mesh, thing)
    assert found["sharpness"] == pytest.approx(1, abs=0.15) and found["detail_match"] > 0.9


def test_one_colour_is_blunt(car):
    """A grey car has no detail of its own; without colours nothing is said."""
    mesh, thing = car
    grey = Mesh(mesh.vertices, mesh.faces, torch.full_like(mesh.vertices, 0.5))
    assert sharpness_beside(grey, thing)["sharpness"] < 0.01
    assert sharpness_beside(Mesh(mesh.vertices, mesh.faces), thing) == {}
