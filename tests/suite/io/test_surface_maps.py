"""Maps beside the colour: tangents, and how files hold them."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from suite.geometry.mesh import Mesh
from suite.io.meshes import load_mesh, save_mesh
from suite.io.surface_maps import SurfaceMaps, tangents

SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def square(uv: torch.Tensor) -> Mesh:
    return Mesh(
        SQUARE, HALVES, uv=uv, texture=torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    )


@pytest.mark.parametrize(
    "columns, expected",
    [([0, 1], [1, 0, 0, 1]), ([1, 0], [0, 1, 0, -1])],
    ids=["as it lies", "mirrored"],
)
def test_tangents_by_hand(columns, expected):
    """u along x, v along y: tangent x, bitangent +cross(normal, tangent); with u and v exchanged the other sign."""
    found = tangents(square(SQUARE[:, columns]))
    torch.testing.assert_close(found, torch.tensor(expected).float().expand(4, 4))


def test_turned_uv_turn_the_tangent():
    """A quarter turn of uv: u grows along -y, v along x, and v is still cross(normal, tangent)."""
    found = tangents(square(torch.stack([1 - SQUARE[:, 1], SQUARE[:, 0]], dim=-1)))
    torch.testing.assert_close(found, torch.tensor([0.0, -1, 0, 1]).expand(4, 4))


def test_tangents_are_unit_and_upright_where_uv_say_nothing():
    found = tangents(square(torch.zeros(4, 2)))
    torch.testing.assert_close(found[:, :3].norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(found[:, 2], torch.zeros(4))


MAPS = SurfaceMaps(
    metallic_roughness=torch.stack([torch.ones(8, 8), torch.full((8, 8), 0.4), torch.full((8, 8), 0.8)]),
    normal=torch.tensor([0.5, 0.5, 1.0])[:, None, None].expand(3, 8, 8).contiguous(),
)


def test_glb_names_every_map(tmp_path):
    """Roughness in green, metallic in blue, tangents of length one with w of +-1; another reader finds them."""
    save_mesh(tmp_path / "a.glb", square(SQUARE[:, :2]), MAPS)
    data = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack("<I", data[12:16])[0]
    tree = json.loads(data[20 : 20 + size])
    material = tree["materials"][0]
    shine = material["pbrMetallicRoughness"]
    assert (shine["metallicFactor"], shine["roughnessFactor"]) == (1.0, 1.0)
    numbers = [shine["baseColorTexture"], shine["metallicRoughnessTexture"], material["normalTexture"]]
    assert [number["index"] for number in numbers] == [0, 1, 2] and len(tree["images"]) == 3
    view = tree["bufferViews"][
        tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["TANGENT"]]["bufferView"]
    ]
    at = 28 + size + view["byteOffset"]
    stored = np.frombuffer(data[at : at + view["byteLength"]], "<f4").reshape(4, 4)
    assert stored.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 4  # our +X is glTF's +Z
    other = trimesh.load_mesh(tmp_path / "a.glb", process=False).visual.material
    pixel = np.asarray(other.metallicRoughnessTexture.convert("RGB"))[0, 0]
    assert pixel.tolist() == [255, 102, 204] and other.normalTexture is not None
    assert load_mesh(tmp_path / "a.glb").texture is not None


def test_obj_names_every_map(tmp_path):
    """map_Kd, map_Pr, map_Pm and norm, each with its picture."""
    save_mesh(tmp_path / "a.obj", square(SQUARE[:, :2]), MAPS)
    lines = (tmp_path / "a.mtl").read_text().splitlines()
    named = dict(line.split() for line in lines if line.startswith(("map_", "norm")))
    assert named == {
        "map_Kd": "a.png",
        "map_Pr": "a_roughness.png",
        "map_Pm": "a_metallic.png",
        "norm": "a_normal.png",
    }
    values = [np.asarray(Image.open(tmp_path / named[key]))[0, 0, 0] for key in ("map_Pr", "map_Pm", "norm")]
    assert values == [102, 204, 128]
    assert load_mesh(tmp_path / "a.obj").texture is not None


def test_without_maps_nothing_changes(tmp_path):
    """Files of a mesh with a colour alone name no other texture; vertex colours have no place for maps."""
    save_mesh(tmp_path / "a.glb", square(SQUARE[:, :2]))
    assert b"normalTexture" not in (tmp_path / "a.glb").read_bytes()
    save_mesh(tmp_path / "b.glb", Mesh(SQUARE, HALVES, vertex_colors=torch.ones(4, 3)), MAPS)
    assert b"TANGENT" not in (tmp_path / "b.glb").read_bytes()
    save_mesh(tmp_path / "c.ply", square(SQUARE[:, :2]), MAPS)
    assert load_mesh(tmp_path / "c.ply").vertex_colors is not None
