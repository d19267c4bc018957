"""Meshes that people have: put right and said in one line, or refused in one that says what to do."""

import logging
import struct

import pytest
import torch
import trimesh

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.io.glb import MAGIC
from suite.io.mesh_checks import remark_on_size, sound
from suite.io.meshes import load_mesh

CORNERS = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 2 0\n"
PLY = "ply\nformat ascii 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face 2\nproperty list uchar int vertex_indices\n"


@pytest.fixture
def read(tmp_path):
    """Reads what a file of this name and text holds."""

    def load(name: str, content: str | bytes) -> Mesh:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return load_mesh(tmp_path / name)

    return load


def test_polygons_become_triangles(read):
    """A quad is 2 triangles, a pentagon 3, in OBJ, PLY and OFF, with the area of the polygon."""
    polygons = read("a.obj", CORNERS + "f 1 2 3 4\nf 1 2 3 5 4\n")
    assert len(polygons.faces) == 5 and float(polygons.face_areas().sum()) == pytest.approx(1 + 1.5)
    four = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
    quad = read("a.ply", PLY.format(4) + FACES + "end_header\n" + four + "4 0 1 2 3\n3 0 1 2\n")
    assert len(quad.faces) == 3 and float(quad.face_areas().sum()) == pytest.approx(1.5)
    assert len(read("a.off", "OFF\n4 1 0\n" + four + "4 0 1 2 3\n").faces) == 2


def test_empty_groups_and_counting_backwards(read):
    """OBJ groups without faces do no harm; negative numbers count from the end."""
    groups = "o a\ng nothing\n" + CORNERS + "g b\nusemtl x\ng c\nf 1 2 3\ng d\n"
    assert len(read("a.obj", groups).faces) == 1
    assert read("b.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n").vertices[1].tolist() == [1, 0, 0]


def test_what_cannot_be_used_is_left_out_and_said(read, caplog):
    """A face with a NaN, a face that is a line and one that names a corner twice."""
    caplog.set_level(logging.INFO)
    found = read("a.obj", CORNERS + "v nan 0 0\nv 2 0 0\nf 1 2 3\nf 1 2 6\nf 1 2 7\nf 1 1 3\n")
    assert len(found.faces) == 1 and bool(found.vertices.isfinite().all())
    assert "a.obj: 1 vertices are not finite; 1 faces with them are left out." in caplog.text
    assert "a.obj: 2 faces without area are left out." in caplog.text


def test_units_do_not_matter(read, caplog):
    """A thousandth and a thousand times: no face is taken for degenerate; the size is remarked upon where asked."""
    caplog.set_level(logging.INFO)
    for scale in (1e-6, 1e6):
        box = Mesh.from_trimesh(trimesh.creation.box((scale, scale, scale)))
        assert len(sound(box, "box").faces) == 12
        remark_on_size(box, "box.obj")
    assert caplog.text.count("box.obj: its longest side is") == 2 and "millimetres" in caplog.text
    caplog.clear()
    remark_on_size(Mesh.from_trimesh(trimesh.creation.box()), "box.obj")
    assert not caplog.text


def test_non_manifold_parts_are_read(read):
    """Three sheets at an edge, and two boxes that touch in one corner."""
    book = "v 0 0 0\nv 0 0 1\nv 1 0 0\nv 0 1 0\nv -1 0 0\nf 1 2 3\nf 1 2 4\nf 1 2 5\n"
    assert len(read("a.obj", book).faces) == 3


def test_attributes_that_are_not_finite(caplog):
    """NaN in uv become zero; NaN in normals are computed anew."""
    bad = torch.full((3, 3), float("nan"))
    mesh = Mesh(
        torch.eye(3), torch.tensor([[0, 1, 2]]), normals=bad, uv=bad[:, :2], texture=torch.zeros(3, 2, 2)
    )
    found = sound(mesh, "a.glb")
    assert found.normals is None and not bool(found.uv.any())
    assert "a.glb: some of its normals are not finite" in caplog.text and "some of its uv" in caplog.text


POINTS = PLY.format(3) + "end_header\n0 0 0\n1 0 0\n0 1 0\n"
DRACO = b'{"asset":{"version":"2.0"},"extensionsRequired":["KHR_draco_mesh_compression"]}'
REFUSED = {
    "points.ply": (POINTS, "There are no faces in it .a point cloud.*export it again, best as .glb"),
    "line.obj": ("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no face with an area.*Export it again"),
    "point.obj": ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "all of its faces at one point"),
    "nan.obj": ("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "every face uses one: export it again"),
    "tiny.obj": ("v 0 0 0\nv 1e-25 0 0\nv 0 1e-25 0\nf 1 2 3\n", "single precision cannot hold: scale it"),
    "huge.obj": ("v 0 0 0\nv 1e25 0 0\nv 0 1e25 0\nf 1 2 3\n", "single precision cannot hold: scale it"),
    "beyond.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "out of bounds.*export it again"),
    "empty.obj": ("", "There are no faces"),
    "empty.ply": ("", "cannot be read as a mesh"),
    "packed.glb": (
        struct.pack("<IIIII", MAGIC, 2, 20 + len(DRACO), len(DRACO), 0x4E4F534A) + DRACO,
        "packed with KHR_draco_mesh_compression. Export it without compression",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(read, name):
    """Each in one line."""
    content, said = REFUSED[name]
    with pytest.raises(UserError, match=said) as caught:
        read(name, content)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_files_that_are_cut_short(read):
    """A GLB, a PLY and an STL of which the end, or nearly all, is missing."""
    box = trimesh.creation.box()
    glb, ply, stl = (box.export(file_type=kind) for kind in ("glb", "ply", "stl"))
    with pytest.raises(UserError, match="cut.glb cannot be read as a mesh: it is cut short"):
        read("cut.glb", glb[:-100])
    for name, data in {
        "a.glb": glb[:40],
        "b.glb": glb[:10],
        "a.ply": ply[:300],
        "b.ply": ply[:60],
        "a.stl": stl[:200],
    }.items():
        with pytest.raises(UserError, match="cannot be read as a mesh: .*export it again"):
            read(name, data)
