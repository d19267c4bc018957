"""Words lead to the surface that they name."""

import numpy as np
import pytest

from suite.errors import UserError
from suite.toyworld import characters
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.lookup import Things, without_view
from suite.toyworld.objects import ObjectSpec, build
from suite.toyworld.real_objects import captions_in, load_objects

CUBE = """v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 2\nv 1 0 2\nv 1 1 2\nv 0 1 2
f 1 4 3 2\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\n"""


@pytest.fixture
def folder(tmp_path):
    for name in ("milk_carton", "red_car"):
        (tmp_path / f"{name}.obj").write_text(CUBE)
    return tmp_path


def test_words_name_objects_people_and_real_things(folder):
    """An object of toyworld by its spec, a person by clothes and pose, a real object by its caption."""
    things = Things(folder)
    car = things.named("A striped red car with a roof rack, side view")
    assert np.array_equal(
        car.surface.vertices, build(ObjectSpec("car", "red", "striped", option=True)).vertices
    )
    person = things.named("a person in a red shirt and blue trousers, waving, back view")
    outfit, pose = characters.parse("a person in a red shirt and blue trousers, waving")
    assert np.array_equal(person.surface.vertices, characters.surface(outfit, pose).vertices)
    carton = things.named("a milk carton")
    assert carton.surface.vertices.max() == 0.5 and np.ptp(carton.surface.vertices[:, 0]) == pytest.approx(
        0.5
    )
    assert things.named("a blue mushroom").front is False


def test_a_caption_goes_before_an_object_of_toyworld(folder):
    """A real object whose caption reads like an object's prompt is the real one."""
    assert len(Things(folder).named("a red car").surface.vertices) < 100
    assert len(Things().named("a red car").surface.vertices) > 100


def test_one_object_is_read_alone(folder):
    """`only` reads one mesh; the captions come without reading any."""
    assert captions_in(folder) == ("milk carton", "red car")
    (folder / "red_car.obj").write_text("broken")
    (thing,) = load_objects(folder, only="milk carton")
    assert thing.caption == "milk carton"
    with pytest.raises(UserError):
        real_surfaces(folder)


def test_unknown_words_are_answered_with_what_is_known():
    """What is no object of toyworld may be a real one, if its folder is told."""
    with pytest.raises(UserError, match="names no object of toyworld.*objects=FOLDER"):
        Things().named("a milk carton")
    assert without_view("A red car, sliding left, side view") == "a red car, sliding left"
