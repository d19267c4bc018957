"""Contract of every kind of object: sound geometry, visible colour, a front that is no back, no two alike."""

from itertools import combinations

import numpy as np
import pytest

from suite.toyworld.kinds.parts import block, legs, prism, slab, tapered, wheels
from suite.toyworld.objects import ObjectSpec, build, kinds
from suite.toyworld.paints import FIXED
from suite.toyworld.render import render
from suite.toyworld.shapes import Shape, merge

CASES = [
    (kind.name, option) for kind in kinds().values() for option in ([False, True] if kind.option else [False])
]
each_kind = pytest.mark.parametrize("name, option", CASES, ids=lambda value: str(value))
MAX_FACES = 3000


def _built(name: str, option: bool) -> list[Shape]:
    return list(kinds()[name].build(option))


def _area_vectors(shape: Shape) -> np.ndarray:
    """Normals `f 3` of the faces, as long as their areas, computed from the corners alone."""
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a) / 2


def _area(shape: Shape) -> float:
    return float(np.linalg.norm(_area_vectors(shape), axis=1).sum())


def _volume(shape: Shape) -> float:
    """Divergence theorem: the volume inside a closed surface is a third of the sum of p . area."""
    centre = shape.vertices.mean(0)
    corners = shape.vertices[shape.faces[:, 0]] - centre
    return float((corners * _area_vectors(shape)).sum() / 3)


def _cameras(azimuths_deg: list[float], elevation_deg: float = 15.0, distance: float = 1.8) -> np.ndarray:
    """OpenGL poses `b 4 4` on a circle, looking at the origin, +Z up."""
    poses, e = [], np.deg2rad(elevation_deg)
    for a in np.deg2rad(azimuths_deg):
        back = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        right = np.array([-np.sin(a), np.cos(a), 0.0])
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(back, right), back, distance * back], 1)
        poses.append(pose)
    return np.stack(poses)


def _pictures(name: str, azimuths_deg: list[float], option: bool = False, color: str = "red"):
    cameras = _cameras(azimuths_deg)
    spec = ObjectSpec(name, color, option=option)
    return render(build(spec), cameras, np.full(len(cameras), 40.0), height=64, width=64)


@each_kind
def test_geometry_is_sound(name: str, option: bool):
    """Finite vertices, indices in range, no face without area, at least two parts, within the face budget."""
    shapes = _built(name, option)
    assert len(shapes) >= 2
    for shape in shapes:
        assert np.isfinite(shape.vertices).all()
        assert shape.faces.min() >= 0 and shape.faces.max() < len(shape.vertices)
    whole = merge(shapes)
    areas = np.linalg.norm(_area_vectors(whole), axis=1)
    assert areas.min() > 1e-9 * np.ptp(whole.vertices, axis=0).max() ** 2
    assert len(whole.faces) <= MAX_FACES


@each_kind
def test_parts_are_wound_outwards(name: str, option: bool):
    """The divergence theorem gives a part a positive volume when its faces look outwards.

    The few open parts count as closed by a cone to their centre; a flat sheet holds nothing.
    """
    for shape in _built(name, option):
        assert _volume(shape) > -1e-9, shape.paint


@each_kind
def test_paints_exist_and_the_main_one_is_at_least_a_quarter(name: str, option: bool):
    """Captions name the main colour, so it must cover at least 25 % of the surface."""
    shapes = _built(name, option)
    assert {shape.paint for shape in shapes} <= {*FIXED, "main", "second"}
    total = sum(_area(shape) for shape in shapes)
    assert sum(_area(shape) for shape in shapes if shape.paint == "main") >= 0.25 * total


@pytest.mark.parametrize("name", kinds())
def test_main_colour_is_seen_from_all_sides(name: str):
    """From eight sides, at least a tenth of what is seen changes when the object's colour does."""
    azimuths = [45.0 * i for i in range(8)]
    red, blue = (_pictures(name, azimuths, color=color) for color in ("red", "blue"))
    changed = (np.abs(red.images - blue.images).max(-1) > 0.15).sum((1, 2))
    assert (changed >= 0.1 * red.masks.sum((1, 2))).all(), changed / red.masks.sum((1, 2))


@pytest.mark.parametrize("name", [name for name, kind in kinds().items() if kind.option])
def test_option_is_seen(name: str):
    """The optional part changes at least 20 pixels of 64 x 64 (with it, the object is normalised anew)."""
    without, with_option = (_pictures(name, [30.0, 150.0], option) for option in (False, True))
    assert (np.abs(without.images - with_option.images).max(-1) > 0.1).sum((1, 2)).max() >= 20


@pytest.mark.parametrize("name", [name for name, kind in kinds().items() if kind.front])
def test_front_is_no_mirror_image_of_the_back(name: str):
    """If x -> -x changed nothing, the view from azimuth a would be that from 180 - a, mirrored."""
    front, back = _pictures(name, [0.0, 30.0]), _pictures(name, [180.0, 150.0])
    difference = np.abs(front.images - back.images[:, :, ::-1]).max(-1) > 0.1
    share = difference.sum((1, 2)) / np.maximum(front.masks, back.masks[:, :, ::-1]).sum((1, 2))
    assert (share > 0.15).all(), share


def test_no_two_kinds_look_alike():
    """Two kinds in one colour differ, over eight sides, on at least a third of what is covered."""
    azimuths = [45.0 * i for i in range(8)]
    pictures = {name: _pictures(name, azimuths) for name in kinds()}
    alike = []
    for one, other in combinations(pictures, 2):
        a, b = pictures[one], pictures[other]
        differing = (np.abs(a.images - b.images).max(-1) > 0.15).sum((1, 2))
        share = differing / np.maximum(a.masks, b.masks).sum((1, 2))
        if share.mean() < 1 / 3:
            alike.append((one, other, float(share.mean())))
    assert not alike


def test_words_are_unambiguous():
    """No name or synonym stands for two kinds, and all are in lower case as prompts are compared."""
    words = [word for kind in kinds().values() for word in (kind.name, *kind.synonyms)]
    assert len(words) == len(set(words))
    assert all(word == word.lower() for word in words)


def test_there_are_enough_kinds():
    """At least 32 kinds, 20 of which have a front."""
    assert len(kinds()) >= 32
    assert sum(kind.front for kind in kinds().values()) >= 20


def test_block_lies_between_its_bounds():
    """Volume is the product of the side lengths."""
    shape = block((1, 3), (-1, 2), (0, 0.5))
    np.testing.assert_allclose([shape.vertices.min(0), shape.vertices.max(0)], [[1, -1, 0], [3, 2, 0.5]])
    assert _volume(shape) == pytest.approx(3.0)


@pytest.mark.parametrize("axis", "xyz")
def test_prism_is_wound_outwards_whatever_the_order_of_its_corners(axis: str):
    """A right triangle with legs 2 and 1, 3 thick, encloses 3, clockwise or not."""
    corners = [(0, 0), (2, 0), (0, 1)]
    for order in (corners, corners[::-1]):
        assert _volume(prism(order, 3.0, axis)) == pytest.approx(3.0)


def test_prism_across_y_is_drawn_in_x_and_z():
    """Corners (x, z) stay where they were drawn."""
    shape = prism([(0, 0), (2, 0), (0, 1)], 3.0)
    np.testing.assert_allclose(np.ptp(shape.vertices, axis=0), [2, 3, 1])


def test_slab_has_its_length_width_and_thickness():
    """From (0, 0) to (3, 4) it is 5 long."""
    assert _volume(slab((0, 0), (3, 4), 2.0, 0.1)) == pytest.approx(5 * 2 * 0.1)


def test_tapered_box_is_a_frustum():
    """Prismatoid formula, h / 6 (A_foot + 4 A_middle + A_top), with a foot half as wide as its 2 x 2 top."""
    frustum = tapered(block((-1, 1), (-1, 1), (0, 3)), 0.5, 0.5)
    assert _volume(frustum) == pytest.approx(3 / 6 * (1**2 + 4 * 1.5**2 + 2**2))


def test_wheels_and_legs_stand_on_the_ground():
    """Lowest points are at z = 0, on both sides of the middle plane."""
    for parts in (wheels(0.0, 1.0, 0.5, 0.2), legs(1.0, 1.0, 2.0, 0.1, "main")):
        vertices = merge(parts).vertices
        assert vertices[:, 2].min() == pytest.approx(0.0, abs=1e-9)
        np.testing.assert_allclose(vertices[:, 1].min(), -vertices[:, 1].max())
