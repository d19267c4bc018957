"""The perfect Zero123 of toyworld: it finds from where a picture was taken, and shows every other view."""

import pytest
import torch

from priors.exact_views import ExactViews, recognised, shifted
from priors.prompts import Prompt
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.rng import generator
from suite.toyworld.lookup import Things
from suite.toyworld.stills import stills
from suite.toyworld.view_pairs import FOV_DEG

CAR, CAT, SIZE = "a blue car", "an orange cat", 24


def camera(azimuth, elevation, distance=1.6) -> Cameras:
    return Cameras.orbit(azimuth, elevation, distance, FOV_DEG, height=SIZE, width=SIZE)


def view(words: str, cameras: Cameras) -> torch.Tensor:
    return torch.from_numpy(stills(Things().named(words).surface, cameras).images).movedim(-1, 1)


@pytest.fixture(scope="module")
def prior() -> ExactViews:
    """Knows a car and a cat; shown the car, which is said to be seen from azimuth 0 and elevation 0."""
    made = ExactViews(things=[CAR, CAT], size=SIZE)
    made.show(view(CAR, camera(40.0, 25.0)), camera(0.0, 0.0))
    return made


def test_the_camera_of_a_picture_is_found():
    """A render's own camera, to 1.5 degrees at 24 pixels, and distance."""
    found = recognised(Things().named(CAR).surface, view(CAR, camera(40.0, 25.0)), camera(0.0, 0.0))
    assert abs(found.azimuth_deg - 40) < 1.5 and abs(found.elevation_deg - 25) < 1.5
    assert abs(found.distance - 1.6) < 0.03 and found.misfit < 1e-3


def test_the_thing_need_not_be_in_the_middle():
    """A picture moved by an eighth of its width and a twelfth of its height is recognised as before."""
    moved = 1 - shifted(1 - view(CAR, camera(40.0, 25.0)), torch.tensor([[0.125, 1 / 12]]))
    unmoved = view(CAR, camera(40.0, 25.0))[..., :-2, :-3]
    torch.testing.assert_close(moved[..., 2:, 3:], unmoved, atol=1e-4, rtol=0)
    found = recognised(Things().named(CAR).surface, moved, camera(0.0, 0.0))
    assert abs(found.azimuth_deg - 40) < 2 and abs(found.elevation_deg - 25) < 2


def test_views_move_as_zero123_is_told(prior):
    """Only differences of cameras count: 90 degrees further and 10 higher is so from where it really is."""
    condition = prior.embed(["", ""], camera([90.0, 0.0], [10.0, -5.0]))
    noise = torch.randn(2, 3, SIZE, SIZE, generator=generator(0, 0, "noise"))
    x_0 = prior.predict(noise, torch.full((2,), 0.99), condition).x_0
    truth = view(CAR, camera([130.0, 40.0], [35.0, 20.0]))
    assert float((prior.decode(x_0) - truth).square().mean()) < 2e-3


def test_the_picture_says_what_it_shows(prior):
    """Of two things that it knows the picture's has all the weight; without the picture both have half."""
    condition = prior.embed(Prompt(text=CAR).seen_from(camera([5.0], [5.0])), camera([5.0], [5.0]))
    torch.testing.assert_close(condition.tensors["weights"], torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(condition.negative.tensors["weights"], torch.tensor([[0.5, 0.5]]))


def test_mistakes_are_answered(prior):
    """Each says what is missing."""
    one = camera(0.0, 0.0)
    with pytest.raises(UserError, match="knows blue car, orange cat; not 'red duck'. Add it to things"):
        prior.embed(["a red duck"], one)
    with pytest.raises(ValueError, match="takes one text a camera, got 1 cameras"):
        prior.embed(["", ""], one)
    with pytest.raises(ValueError, match="needs reference="):
        prior.embed([""], one, torch.ones(1, 3, SIZE, SIZE))
    with pytest.raises(ValueError, match="takes one picture and one camera, got 2 and 1"):
        prior.show(torch.ones(2, 3, SIZE, SIZE), one)
    with pytest.raises(ValueError, match="asked with cameras"):
        prior.encode_text([""])
    with pytest.raises(UserError, match="needs size >= 16, got 8"):
        ExactViews(size=8)
    fresh = ExactViews(size=SIZE)
    with pytest.raises(ValueError, match="needs a picture: show"):
        fresh.embed([""], one)
    fresh.show(torch.ones(1, 3, SIZE, SIZE), one)
    with pytest.raises(UserError, match='knows nothing yet: say what the picture shows, as prompt="a red'):
        fresh.embed([""], one)
    with pytest.warns(UserWarning, match="fov_deg 49.13 to 49.13"):
        fresh.show(torch.ones(1, 3, SIZE, SIZE), Cameras.orbit(0.0, 0.0, 1.6, 40.0, height=SIZE, width=SIZE))
