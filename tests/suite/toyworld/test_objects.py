"""Objects of toyworld: words and surfaces follow from each other."""

import numpy as np
import pytest

from suite.errors import UserError
from suite.toyworld.objects import ObjectSpec, all_specs, build, held_out, kinds, parse, vertex_normals
from suite.toyworld.paints import COLORS, PATTERNS


def test_there_are_enough_objects():
    """At least 32 kinds, 20 of them with a front, 12 colours, 4 patterns and 3,000 prompts."""
    prompts = {spec.prompt for spec in all_specs()}
    assert len(kinds()) >= 32
    assert sum(kind.front for kind in kinds().values()) >= 20
    assert len(COLORS) == 12 and len(PATTERNS) == 4
    assert len(prompts) == len(all_specs()) >= 3000


def test_parse_is_the_inverse_of_prompt():
    """parse(spec.prompt) == spec, for a spread of all objects."""
    for spec in all_specs()[::37]:
        assert parse(spec.prompt) == spec


@pytest.mark.parametrize(
    ("prompt", "spec"),
    [
        ("a red automobile", ObjectSpec("car", "red")),
        ("Striped tall green teapot", ObjectSpec("teapot", "green", "striped", "tall")),
        ("an orange ice cream", ObjectSpec("ice cream", "orange")),
    ],
)
def test_parse_takes_synonyms_and_any_order(prompt, spec):
    """Case, article, the order of adjectives and synonyms do not matter."""
    assert parse(prompt) == spec


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a red musroom", "Did you mean mushroom"),
        ("a shiny red car", "'shiny' in"),
        ("a red blue car", "'blue' in"),
        ("a car", "names no colour"),
        ("a red mushroom with wheels", "with 'dots', not with 'wheels'"),
        ("", "names no object"),
    ],
)
def test_words_that_mean_nothing_are_refused(prompt, message):
    """The error names the word and what would be possible."""
    with pytest.raises(UserError, match=message):
        parse(prompt)


def test_surfaces_are_normalised():
    """The bounding box is about the origin and its longest side is 1, also for stretched objects."""
    for spec in (
        ObjectSpec("car", "red"),
        ObjectSpec("chair", "blue", size="tall"),
        ObjectSpec("duck", "pink", size="wide"),
    ):
        vertices = build(spec).vertices
        low, high = vertices.min(0), vertices.max(0)
        np.testing.assert_allclose(low + high, 0, atol=1e-6)
        assert (high - low).max() == pytest.approx(1)


def test_colour_changes_paint_alone():
    """Two colours share their geometry; the main parts show them."""
    red, blue = build(ObjectSpec("house", "red")), build(ObjectSpec("house", "blue"))
    np.testing.assert_array_equal(red.vertices, blue.vertices)
    np.testing.assert_allclose(
        red.colors[red.patterned], np.tile(COLORS["red"], (red.patterned.sum(), 1)), atol=1e-6
    )
    np.testing.assert_array_equal(red.colors[~red.patterned], blue.colors[~blue.patterned])


def test_every_kind_misses_a_colour_in_training_and_some_a_pattern():
    """Held-out compositions: one colour of each kind, one pattern of each third kind, the rest is taught."""
    for index, kind in enumerate(kinds()):
        plain = [color for color in COLORS if held_out(ObjectSpec(kind, color))]
        assert len(plain) == 1
        taught = next(color for color in COLORS if color not in plain)
        patterns = [p for p in PATTERNS[1:] if held_out(ObjectSpec(kind, taught, p))]
        assert len(patterns) == (index % 3 == 0)


def test_normals_of_a_tetrahedron():
    """At the right corner of a corner of a cube the three faces' normals add up to the diagonal."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    np.testing.assert_allclose(vertex_normals(vertices, faces)[0], -np.ones(3) / 3**0.5, atol=1e-6)
