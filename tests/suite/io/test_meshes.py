import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.io.glb import MAGIC
from suite.io.meshes import load_mesh, save_mesh


def colored() -> Mesh:
    """A lopsided mesh, so that any change of axes or winding shows."""
    box = Mesh.from_trimesh(trimesh.creation.box((1.0, 0.5, 0.25)))
    vertices = box.vertices * (1 + 0.3 * box.vertices[:, :1])
    return Mesh(vertices, box.faces, vertex_colors=torch.linspace(0, 1, 24).reshape(8, 3))


def textured() -> Mesh:
    texture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 8, 16))).float() / 255
    corners = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 1, 0.5], [0, 0, 0.5]])
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 0.9]])
    return Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), uv=uv, texture=texture)


def same_surface(a: Mesh, b: Mesh) -> None:
    """Equal triangles, whatever the order of vertices."""
    torch.testing.assert_close(a.triangles(), b.triangles(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_vertex_colours_there_and_back(tmp_path, suffix):
    """Triangles, their orientation and colours survive (PLY: to a byte)."""
    mesh = colored()
    save_mesh(tmp_path / f"a{suffix}", mesh)
    back = load_mesh(tmp_path / f"a{suffix}")
    same_surface(back, mesh)
    assert back.volume > 0 and back.is_watertight
    tolerance = 1e-5 if suffix == ".glb" else 1 / 255
    torch.testing.assert_close(
        back.vertex_colors[back.faces], mesh.vertex_colors[mesh.faces], atol=tolerance, rtol=0
    )


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_texture_there_and_back(tmp_path, suffix):
    """uv and every texel survive."""
    mesh = textured()
    save_mesh(tmp_path / f"a{suffix}", mesh)
    back = load_mesh(tmp_path / f"a{suffix}")
    same_surface(back, mesh)
    torch.testing.assert_close(back.uv[back.faces], mesh.uv[mesh.faces], atol=1e-6, rtol=0)
    torch.testing.assert_close(back.texture, mesh.texture)


def test_a_texture_becomes_vertex_colours_in_ply(tmp_path):
    """PLY has no textures: the colours at the vertices are kept."""
    mesh = textured()
    save_mesh(tmp_path / "a.ply", mesh)
    back, expected = load_mesh(tmp_path / "a.ply"), mesh.with_vertex_colors()
    torch.testing.assert_close(
        back.vertex_colors[back.faces], expected.vertex_colors[expected.faces], atol=1 / 255, rtol=0
    )


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_normals_there_and_back(tmp_path, suffix):
    """Stored normals survive."""
    mesh = colored()
    normals = torch.nn.functional.normalize(mesh.vertices + 0.1, dim=-1)
    mesh = Mesh(mesh.vertices, mesh.faces, normals=normals)
    save_mesh(tmp_path / f"a{suffix}", mesh)
    back = load_mesh(tmp_path / f"a{suffix}")
    torch.testing.assert_close(back.vertex_normals()[back.faces], normals[mesh.faces], atol=1e-5, rtol=0)


def test_glb_has_the_axes_and_colours_of_the_standard(tmp_path):
    """In the file, our up (+Z) is +Y and our front (+X) is +Z; sRGB 0.5 is 0.2140 of linear light."""
    mesh = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]), vertex_colors=torch.full((3, 3), 0.5))
    save_mesh(tmp_path / "a.glb", mesh)
    data = (tmp_path / "a.glb").read_bytes()
    magic, version, length = struct.unpack("<III", data[:12])
    assert (magic, version, length) == (MAGIC, 2, len(data)) and length % 4 == 0
    size = struct.unpack("<I", data[12:16])[0]
    tree, blob = json.loads(data[20 : 20 + size]), data[28 + size :]
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]

    def floats(name: str) -> np.ndarray:
        view = tree["bufferViews"][tree["accessors"][attributes[name]]["bufferView"]]
        raw = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        return np.frombuffer(raw, "<f4").reshape(3, -1)

    assert floats("POSITION").tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # front, left, up
    np.testing.assert_allclose(floats("COLOR_0"), 0.21404, atol=1e-4)
    assert tree["buffers"][0]["byteLength"] == len(blob)


def test_normals_of_a_glb_have_length_one(tmp_path):
    """Also at a vertex of no face, and where the normals of the faces cancel: the Khronos validator wants it."""
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]])
    save_mesh(tmp_path / "a.glb", Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 1]])))
    data = (tmp_path / "a.glb").read_bytes()
    stored = np.frombuffer(data, np.float32, 12, data.index(b"BIN\0") + 4 + 48).reshape(4, 3)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-5)


def test_trimesh_reads_the_glb(tmp_path):
    """Another reader finds the same surface in glTF's axes."""
    mesh = colored()
    save_mesh(tmp_path / "a.glb", mesh)
    other = trimesh.load_mesh(tmp_path / "a.glb", process=False)
    expected = mesh.vertices[:, [1, 2, 0]].numpy()
    np.testing.assert_allclose(other.triangles, expected[mesh.faces.numpy()], atol=1e-6)


def test_16_bit_colours_of_a_foreign_glb(tmp_path):
    """COLOR_0 as unsigned shorts (Blender) is value / 65535 of linear light, times the material's colour."""
    save_mesh(
        tmp_path / "a.glb", Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]), vertex_colors=torch.ones(3, 3))
    )
    data = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack("<I", data[12:16])[0]
    tree, blob = json.loads(data[20 : 20 + size]), data[28 + size :]
    colors = np.zeros((3, 4), "<u2")
    colors[:, 0], colors[:, 3] = 32768, 65535
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    accessor |= {"componentType": 5123, "normalized": True, "type": "VEC4"}
    view = tree["bufferViews"][accessor["bufferView"]]
    view |= {"byteOffset": len(blob), "byteLength": 24}
    blob += colors.tobytes()
    tree["buffers"][0]["byteLength"] = len(blob)
    tree["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.5, 1, 1, 1]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(blob), 0x004E4942) + blob
    (tmp_path / "b.glb").write_bytes(struct.pack("<III", MAGIC, 2, 12 + len(body)) + body)
    back = load_mesh(tmp_path / "b.glb").vertex_colors
    torch.testing.assert_close(back[0], torch.tensor([0.5372, 0.0, 0.0]), atol=3e-3, rtol=0)  # sRGB of 0.25


def test_axes_of_other_files(tmp_path):
    """'gltf' turns a y-up, z-front OBJ into ours; 'y_up' keeps x; 'world' changes nothing."""
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 0 1 0\nv 0 0 2\nf 1 2 3\n")  # up is 1 high, front 2 long
    up_front = {
        axes: load_mesh(tmp_path / "a.obj", axes=axes).vertices[1:] for axes in ("world", "gltf", "y_up")
    }
    assert up_front["world"].tolist() == [[0, 1, 0], [0, 0, 2]]
    assert up_front["gltf"].tolist() == [[0, 0, 1], [2, 0, 0]]
    assert up_front["y_up"].tolist() == [[0, 0, 1], [0, -2, 0]]


def test_stl_and_off(tmp_path):
    """Formats that are only read."""
    box = trimesh.creation.box()
    for suffix in ("stl", "off"):
        box.export(tmp_path / f"a.{suffix}")
        assert load_mesh(tmp_path / f"a.{suffix}").volume == pytest.approx(1)


def test_obj_with_two_materials(tmp_path):
    """A plain colour and a texture become vertex colours; the texture is found beside the OBJ."""
    Image.fromarray(np.full((4, 4, 3), (0, 255, 0), np.uint8)).save(tmp_path / "green.png")
    (tmp_path / "a.mtl").write_text("newmtl one\nKd 1 0 0\nnewmtl two\nKd 1 1 1\nmap_Kd green.png\n")
    faces = "usemtl one\nf 1/1 2/2 3/3\nusemtl two\nf 4/1 5/2 6/3\n"
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 0 1 1\nvt 0 0\nvt 1 0\nvt 0 1\n"
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + corners + faces)
    mesh = load_mesh(tmp_path / "a.obj", color_edge=0.5)
    low = mesh.vertices[:, 2] < 0.5
    assert mesh.texture is None and len(mesh.faces) > 2
    torch.testing.assert_close(mesh.vertex_colors[low], torch.tensor([1.0, 0, 0]).expand(int(low.sum()), 3))
    torch.testing.assert_close(
        mesh.vertex_colors[~low], torch.tensor([0.0, 1, 0]).expand(int((~low).sum()), 3)
    )


def test_missing_materials_and_textures_are_told(tmp_path, caplog):
    """A lost texture or material file gives a warning, not silence."""
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    (tmp_path / "a.obj").write_text("mtllib lost.mtl\n" + triangle)
    load_mesh(tmp_path / "a.obj")
    assert "names the materials lost.mtl, which are not there" in caplog.text
    (tmp_path / "b.mtl").write_text("newmtl m\nmap_Kd lost.png\n")
    (tmp_path / "b.obj").write_text("mtllib b.mtl\nusemtl m\n" + triangle)
    load_mesh(tmp_path / "b.obj")
    assert "names the texture lost.png, which is not there" in caplog.text


def test_errors(tmp_path):
    """Each bad file gets one line that says what is wrong."""
    with pytest.raises(FileNotFoundError, match="There is no mesh at .*nothing.glb"):
        load_mesh(tmp_path / "nothing.glb")
    (tmp_path / "a.dae").write_text("x")
    with pytest.raises(UserError, match="read from .glb, .gltf, .obj, .ply, .stl, .off, not 'a.dae'"):
        load_mesh(tmp_path / "a.dae")
    for name in ("bad.glb", "bad.gltf", "bad.ply", "bad.stl", "bad.off"):
        (tmp_path / name).write_bytes(b"hello, this is not a mesh")
        with pytest.raises(UserError, match=f"{name} cannot be read as a mesh"):
            load_mesh(tmp_path / name)
    save_mesh(tmp_path / "a.glb", colored())
    (tmp_path / "cut.glb").write_bytes((tmp_path / "a.glb").read_bytes()[:300])
    with pytest.raises(UserError, match="cut.glb cannot be read as a mesh"):
        load_mesh(tmp_path / "cut.glb")
    (tmp_path / "old.glb").write_bytes(struct.pack("<IIIII", MAGIC, 1, 20, 0, 0))
    with pytest.raises(UserError, match="it is glTF 1; only 2.0 can be read"):
        load_mesh(tmp_path / "old.glb")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 1 1\n")
    with pytest.raises(UserError, match="points.obj cannot be read as a mesh: There are no faces"):
        load_mesh(tmp_path / "points.obj")
    (tmp_path / "nan.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(UserError, match="nan.obj has 1 vertices that are not finite"):
        load_mesh(tmp_path / "nan.obj")
    with pytest.raises(ValueError, match="'auto', 'world', 'gltf' or 'y_up', not 'up'"):
        load_mesh(tmp_path / "a.glb", axes="up")
    with pytest.raises(ValueError, match="written as .glb, .ply, .obj, not 'a.stl'"):
        save_mesh(tmp_path / "a.stl", colored())
    with pytest.raises(ValueError, match="for a.glb has no faces"):
        save_mesh(tmp_path / "a.glb", Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)))
    with pytest.raises(ValueError, match="for a.ply has vertices that are not finite"):
        save_mesh(tmp_path / "a.ply", Mesh(torch.full((3, 3), float("nan")), torch.tensor([[0, 1, 2]])))
