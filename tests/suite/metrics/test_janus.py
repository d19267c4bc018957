import numpy as np
import pytest
import torch

from suite.geometry.cameras import Cameras
from suite.metrics.janus import janus_index, mirror_difference, two_faced
from suite.metrics.judge import Judge, Verdict, World
from suite.toyworld.captions import VIEWS
from suite.toyworld.objects import ObjectSpec, build, kinds
from suite.toyworld.render import render

WORLD = World(("car",), ("car",), (), ("red",), ("plain",), VIEWS)


class Oracle(Judge):
    """A judge that is told the probabilities of front, side, back and overhead."""

    def __init__(self, views):
        super().__init__(world=WORLD, widths=(4, 4, 4, 4))
        self.views = torch.tensor(views)

    def look(self, images, batch=128):
        flat = torch.zeros(len(images), 1)
        return Verdict(WORLD, torch.zeros(len(images), 2), flat, flat, self.views.log())


def pictures(surface, cameras):
    found = render(surface, cameras.world_from_camera.numpy(), cameras.fov_deg.numpy())
    return torch.from_numpy(found.images).movedim(-1, 1), torch.from_numpy(found.masks)[:, None]


def test_index_by_hand():
    """The mean of P(front) / (1 - P(overhead)) over level views from behind; others do not count."""
    cameras = Cameras.orbit([0.0, 90.0, 150.0, -170.0, 180.0], [15.0, 15.0, 15.0, 15.0, 70.0])
    rows = [
        [0.9, 0.05, 0.04, 0.01],
        [0.9, 0.05, 0.04, 0.01],
        [0.4, 0.2, 0.2, 0.2],
        [0.1, 0.1, 0.3, 0.5],
        [1.0, 0, 0, 0],
    ]
    found = janus_index(torch.rand(5, 3, 64, 64), cameras, Oracle(rows))
    assert found.index == pytest.approx((0.4 / 0.8 + 0.1 / 0.5) / 2, rel=1e-5)
    torch.testing.assert_close(found.front[:3], torch.tensor([0.9 / 0.99, 0.9 / 0.99, 0.5]))


def test_faces_are_runs_of_front_views_around_the_object():
    """Two runs of views that look like a front are two faces, in whatever order the views come."""
    azimuth = [180.0, 0.0, 45.0, 90.0, 135.0, -45.0, -90.0, -135.0]
    front, other = [0.9, 0.05, 0.03, 0.02], [0.05, 0.9, 0.03, 0.02]
    cameras, images = Cameras.orbit(azimuth, 10.0), torch.rand(8, 3, 64, 64)
    for faces, count in (({0.0, 180.0}, 2), ({0.0, 45.0, -45.0}, 1), (set(azimuth), 1), (set(), 0)):
        rows = [front if a in faces else other for a in azimuth]
        assert janus_index(images, cameras, Oracle(rows)).faces == count


def test_views_from_behind_are_needed():
    """Without any, the index says which cameras to use."""
    with pytest.raises(ValueError, match="needs views from behind: azimuths beyond 150"):
        janus_index(torch.rand(2, 3, 64, 64), Cameras.orbit([0.0, 100.0], 10.0), Oracle([[0.25] * 4] * 2))


def test_planted_janus_is_its_own_mirror_image():
    """What is at (x, y, z) is at (-x, y, z) too, the front half is as it was, and faces look outwards."""
    duck = build(ObjectSpec("duck", "yellow"))
    planted = two_faced(duck)
    places = {tuple(v) for v in np.round(planted.vertices, 4).tolist()}
    assert {(-x + 0.0, y, z) for x, y, z in places} == {(x + 0.0, y, z) for x, y, z in places}
    camera = Cameras.orbit([0.0], 15.0)
    before, after = pictures(duck, camera)[0], pictures(planted, camera)[0]
    assert (before - after).abs().mean() < 0.02
    corners = planted.vertices[planted.faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agree = (outward * planted.normals[planted.faces].mean(1)).sum(1)
    assert (agree[np.linalg.norm(outward, axis=1) > 1e-8] > 0).mean() > 0.95


def test_cameras_need_their_partners():
    """The mirror of azimuth 30 is 150."""
    images, masks = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match="azimuth 30 has no partner at 150 degrees"):
        mirror_difference(images, masks, Cameras.orbit([90.0, 30.0], 10.0))
    shade = torch.full((2, 3, 8, 8), 0.5)
    shade[1] += 0.25
    assert mirror_difference(shade, masks, Cameras.orbit([0.0, 180.0], 10.0)) == pytest.approx(0.25)


@pytest.fixture(scope="module")
def measured():
    """(Janus index, mirror difference) of every kind with a front: true, and with a planted second face."""
    cameras = Cameras.orbit(torch.arange(8) * 45.0, 15.0)
    rows = []
    for name in (name for name, kind in kinds().items() if kind.front):
        true = build(ObjectSpec(name, "orange"))
        for surface in (true, two_faced(true)):
            images, masks = pictures(surface, cameras)
            rows.append((janus_index(images, cameras).index, mirror_difference(images, masks, cameras)))
    return np.array(rows).reshape(-1, 2, 2)


def auc(low, high):
    """The probability that one of `high` exceeds one of `low`."""
    return float((high[:, None] > low[None]).mean() + (high[:, None] == low[None]).mean() / 2)


def test_janus_index_tells_true_objects_from_planted_ones(measured):
    """Over all kinds with a front: AUC at least 0.97; the medians are near 0 and near 1."""
    true, planted = measured[:, 0, 0], measured[:, 1, 0]
    assert auc(true, planted) >= 0.97
    assert np.median(true) < 0.05 and np.median(planted) > 0.8


def test_mirror_difference_tells_them_without_a_judge(measured):
    """A planted Janus is within .005 of its mirror image; every true object differs by more than .05."""
    assert measured[:, 1, 1].max() < 5e-3 and measured[:, 0, 1].min() > 0.05
