"""Measures against the truth: planted errors are found, and a prior whose answer is known gives the known thing."""

import json
import logging
import math

import pytest
import torch

from nerf import truth as truth_module
from nerf.truth import Truth, true_mesh
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.transforms import rotation_z
from suite.metrics.geometry import compare_meshes
from suite.metrics.judge import Judge, Verdict, World
from suite.toyworld.captions import VIEWS, view_word
from suite.toyworld.lookup import Things
from suite.types import Images
from suite.viz import Views, mesh_views

WORLD = World(("car", "mushroom"), ("car",), ("horse",), ("red", "blue"), ("plain", "dotted"), VIEWS)
TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
QUICK = (
    "previews=0 steps=60 cameras.height=48 cameras.width=48 renderer.samples=32 field=dense_pyramid "
    "field.resolutions=[8,16,32] field.lr=0.1 products.mesh.resolution=64 products.mesh.texture=0 products.frames=1"
)


class Oracle(Judge):
    """Says what it is told to, one answer a view."""

    def __init__(self, names, colors, views):
        super().__init__(world=WORLD, widths=(4, 4))
        self.answers = {"name": names, "color": colors, "pattern": ["plain"] * len(names), "view": views}

    def look(self, images: Images, batch: int = 128) -> Verdict:
        heads = {
            head: torch.tensor([[float(a == said) for a in answers] for said in self.answers[head]])
            for head, answers in WORLD.heads.items()
        }
        return Verdict(WORLD, **{head: (0.98 * x + 0.01).log() for head, x in heads.items()})


def grey(cameras: Cameras) -> Views:
    b, h, w = len(cameras), cameras.height, cameras.width
    return Views(torch.full((b, 3, h, w), 0.75), torch.ones(b, 1, h, w))


def told(monkeypatch, judge):
    monkeypatch.setattr(truth_module, "load_judge", lambda folder: judge)


def test_a_moved_copy_of_the_truth_is_right():
    """The true mesh turned by 40 degrees, shrunk and shifted measures as the truth: only sampling is left."""
    mesh = true_mesh(Things().named("a red car"))
    matrix = rotation_z(torch.tensor(40.0))
    matrix[:3, :3] *= 0.8
    matrix[:3, 3] = torch.tensor([0.05, -0.1, 0.02])
    found = Truth().shape("a red car, side view", mesh.transformed(matrix))
    assert found["chamfer"] < 0.02 and found["f_score"] > 0.9 and found["volume_iou"] > 0.9
    assert found["turned_deg"] == pytest.approx(-40, abs=1)


def test_another_thing_is_wrong():
    """A chair is not a car: far beyond the bar of .08."""
    found = Truth().shape("a red car", true_mesh(Things().named("a red chair")))
    assert found["chamfer"] > 0.08 and found["volume_iou"] < 0.5


def test_hidden_surfaces_are_nobody_s_fault():
    """A gift box goes on inside its lid: what a perfect reconstruction shows measures better than all of it would."""
    thing = Things().named("a red gift box")
    whole = true_mesh(thing)
    seen = truth_module.outer_surface(whole)
    found = Truth().shape("a red gift box", seen)
    assert found["chamfer"] < 0.012 < compare_meshes(seen, whole, aligned=False).chamfer


def test_a_shape_is_known_without_its_colour_and_a_real_one_from_its_folder(tmp_path):
    """ "a mushroom" names a shape; "a tent" does with a folder that holds one."""
    mesh = true_mesh(Things().named("a blue mushroom"))
    assert Truth().shape("a mushroom", mesh)["chamfer"] < 0.012
    (tmp_path / "tent.obj").write_text(TETRAHEDRON)
    tent = Truth(objects=str(tmp_path))
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    assert tent.shape("a tent", Mesh(corners, faces))["chamfer"] < 0.012


def test_what_is_not_known_is_not_measured(caplog, monkeypatch):
    """Words of another world, a missing judge, no mesh or one without area: a line in the log, no error."""
    caplog.set_level(logging.INFO)
    told(monkeypatch, Oracle(["car"] * 16, ["red"] * 16, ["front view"] * 16))
    assert Truth()("an astronaut riding a horse", None, grey) == {}
    assert "The true shape is not known. 'an astronaut riding a horse' names no object" in caplog.text
    assert "The pictures are not judged. The judge cannot tell" in caplog.text
    assert Truth().shape("a red car", None) == {}
    flat = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]))
    assert Truth().shape("a red car", flat) == {} and "no area" in caplog.text
    monkeypatch.undo()
    assert Truth(judge="nowhere").look("a red car", grey) == {}
    assert "nowhere holds no judge" in caplog.text


def test_the_judge_s_answers_are_counted(monkeypatch, tmp_path):
    """12 of 16 names and 8 of 16 colours right, 6 together; views right but two; a second face behind."""
    truth = Truth()
    azimuth, elevation = truth.cameras.azimuth_deg.tolist(), truth.cameras.elevation_deg.tolist()
    names = ["car"] * 12 + ["mushroom"] * 2 + ["horse"] * 2
    colors = ["red"] * 6 + ["blue"] * 8 + ["red"] * 2
    views = [view_word(a, e) for a, e in zip(azimuth, elevation)]
    views[7] = views[8] = "front view"  # 157.5 and 180 degrees, of the three beyond 150
    told(monkeypatch, Oracle(names, colors, views))
    found = truth.look("a red car", grey, sheet=tmp_path / "judged.png")
    expected = {"named": 6 / 16, "name_right": 12 / 16, "color_right": 8 / 16, "view_right": 14 / 16}
    assert {name: found[name] for name in expected} == expected
    p = 0.99 / (0.99 + 0.01 + 0.01)  # front, given that it is not overhead
    q = 0.01 / (0.99 + 0.01 + 0.01)
    assert found["janus_index"] == pytest.approx((2 * p + q) / 3, abs=1e-3) and found["janus_faces"] == 2
    assert (tmp_path / "judged.png").stat().st_size > 1000
    told(monkeypatch, Oracle(["mushroom"] * 16, ["blue"] * 16, views))
    other = truth.look("a blue mushroom", grey)
    assert other["named"] == other["r_precision"] == other["rank"] == 1
    assert not {"janus_index", "view_right"} & set(other), "a mushroom has no front"


def test_the_pictures_are_those_of_the_thing(monkeypatch):
    """What the judge is shown: 16 views all around, elevation 15, in which the true mesh fills a good part."""
    seen = []
    oracle = Oracle(["car"] * 16, ["red"] * 16, ["front view"] * 16)
    oracle.look = lambda images, batch=128: seen.append(images) or Oracle.look(oracle, images)
    told(monkeypatch, oracle)
    mesh = true_mesh(Things().named("a red car"))
    truth = Truth(views=16, background=0.5)
    truth.look("a red car", mesh_views(mesh, background=(0.5, 0.5, 0.5)))
    assert seen[0].shape == (16, 3, 64, 64)
    covered = ((seen[0] - 0.5).abs().amax(1) > 0.05).float().mean((1, 2))
    assert 0.08 < float(covered.min()) and float(covered.max()) < 0.6
    assert sorted(round(a) % 360 for a in truth.cameras.azimuth_deg.tolist())[4] == 90


@pytest.mark.parametrize(
    "options, message",
    [({"views": 2}, "Truth needs views >= 4"), ({"background": 2.0}, r"background in \[0, 1\]")],
)
def test_options_are_checked(options, message):
    """Each mistake is answered with what is possible."""
    with pytest.raises(ValueError, match=message):
        Truth(**options)
    with pytest.raises(UserError, match="There is no folder nowhere"):
        Truth(objects="nowhere")


def test_distilling_a_prior_whose_answer_is_known_gives_the_thing(command):
    """The whole way: prompt, renderer, guidance, field, mesh, measures. A car comes out as that car, its front
    where the prompt's view words say (no turn is needed), at a Chamfer distance well below the bar of .08."""
    done = command(f'text_to_3d prompt="a red car" prior=exact {QUICK}')
    assert done.status == 0, done.errors
    measures = json.loads((done.directory / "report.json").read_text())["measures"]
    assert measures["chamfer"] < 0.025 and measures["f_score"] > 0.85 and measures["volume_iou"] > 0.7
    assert abs(measures["turned_deg"]) < 5 and math.isfinite(measures["surface_level"])
