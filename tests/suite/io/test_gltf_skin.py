"""Rigged glTF: skinning, hierarchy and interpolation by hand arithmetic, on a character of two triangles."""

import json
import struct
from functools import partial

import numpy as np
import pytest

from suite.errors import UserError
from suite.io.gltf_skin import load_rig
from suite.io.poses import read_poses
from suite.toyworld.actors import animated

TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
KINDS = {"uint8": 5121, "uint16": 5123, "float32": 5126}
HALF = 2**-0.5


class Builder:
    """Writes a .glb."""

    def __init__(self) -> None:
        self.blob, self.views, self.accessors = b"", [], []

    def add(self, values, kind="float32", **extra) -> int:
        array = np.asarray(values, kind)
        width = 1 if array.ndim == 1 else array.shape[1]
        self.blob += b"\0" * (-len(self.blob) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.blob), "byteLength": array.nbytes})
        self.blob += array.tobytes()
        entry = {"bufferView": len(self.views) - 1, "componentType": KINDS[kind], "count": len(array)}
        self.accessors.append(entry | {"type": TYPES[width]} | extra)
        return len(self.accessors) - 1

    def write(self, path, **tree):
        tree |= {"asset": {"version": "2.0"}, "bufferViews": self.views, "accessors": self.accessors,
                 "buffers": [{"byteLength": len(self.blob)}]}  # fmt: skip
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", len(self.blob), 0x004E4942) + self.blob
        path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)
        return path


@pytest.fixture
def arm(tmp_path):
    """An arm along glTF's y: shoulder at the origin, elbow at y = 1, wrist at y = 2, and something held.

    "bend" turns the elbow by 90 degrees about z in one second; "step", "glide" and "curve" move the shoulder along x.
    """
    b = Builder()
    vertices = [[0, 0, 0], [0, 1, 0], [0, 2, 0], [1, 2, 0]]
    mesh = {
        "attributes": {
            "POSITION": b.add(vertices),
            "JOINTS_0": b.add([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], "uint8"),
            "WEIGHTS_0": b.add(
                [[255, 0, 0, 0], [51, 204, 0, 0], [255, 0, 0, 0], [255, 0, 0, 0]], "uint8", normalized=True
            ),
        },
        "indices": b.add([0, 1, 2, 1, 3, 2], "uint16"),
        "material": 0,
    }
    bind = np.tile(np.eye(4), (2, 1, 1))
    bind[1, 1, 3] = -1
    times = b.add([0.0, 1.0])
    move = partial(_animation, times=times)
    curve = b.add([[9, 9, 9], [0, 0, 0], [4, 0, 0], [4, 0, 0], [4, 0, 0], [9, 9, 9]])
    animations = [
        move("bend", 1, "rotation", b.add([[0, 0, 0, 1], [0, 0, HALF, HALF]])),
        move("step", 0, "translation", b.add([[0, 0, 0], [4, 0, 0]]), "STEP"),
        move("glide", 0, "translation", b.add([[0, 0, 0], [4, 0, 0]])),
        move("curve", 0, "translation", curve, "CUBICSPLINE"),
    ]  # fmt: skip
    nodes = [
        {"name": "upperarm.l", "children": [1]},
        {"name": "lowerarm.l", "translation": [0, 1, 0], "children": [2]},
        {"name": "hand.l", "translation": [0, 1, 0], "children": [4]},
        {"name": "body", "mesh": 0, "skin": 0},
        {"name": "sword", "mesh": 1},
    ]
    held = {"attributes": {"POSITION": mesh["attributes"]["POSITION"]}, "indices": mesh["indices"]}
    return b.write(
        tmp_path / "arm.glb", nodes=nodes, meshes=[{"primitives": [mesh]}, {"primitives": [held]}],
        skins=[{"joints": [0, 1], "inverseBindMatrices": b.add(bind.transpose(0, 2, 1).reshape(2, 16))}],
        animations=animations, materials=[{"pbrMetallicRoughness": {"baseColorFactor": [1, 0.2140411, 0, 1]}}],
    )  # fmt: skip


def _animation(name, node, path, values, interpolation="LINEAR", *, times):
    sampler = {"input": times, "output": values, "interpolation": interpolation}
    return {
        "name": f"Rig|{name}",
        "samplers": [sampler],
        "channels": [{"sampler": 0, "target": {"node": node, "path": path}}],
    }


def test_the_rest_pose(arm):
    """glTF's (x, y, z) is our (z, x, y): up is up; linear 0.214 is sRGB 0.5; what is held is left out, or kept."""
    rig = load_rig(arm)
    vertices, normals = rig.posed()
    np.testing.assert_allclose(vertices, [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 2]], atol=1e-6)
    np.testing.assert_allclose(np.abs(normals[1:, 0]), 1, atol=1e-6)
    np.testing.assert_allclose(rig.colors[0], [1, 0.5, 0], atol=1e-4)
    assert rig.faces.tolist() == [[0, 1, 2], [1, 3, 2]] and [p.name for p in rig.parts] == ["body"]
    assert [part.name for part in load_rig(arm, held=True).parts] == ["body", "sword"]


def test_skinning_by_hand(arm):
    """Elbow bent by 90 degrees about z: the wrist goes to x = -1 (our -y), the weights 0.2 and 0.8 agree at the elbow.

    Halfway the rotation is 45 degrees (slerp): the wrist is at (-sin 45, 1 + cos 45).
    """
    rig = load_rig(arm)
    vertices, _ = rig.posed("Rig|bend", 1.0)
    np.testing.assert_allclose(vertices, [[0, 0, 0], [0, 0, 1], [0, -1, 1], [0, -1, 2]], atol=1e-6)
    np.testing.assert_allclose(rig.joints("Rig|bend", 1.0)[2], [0, -1, 1], atol=1e-6)
    vertices, _ = rig.posed("Rig|bend", 0.5)
    np.testing.assert_allclose(vertices[2], [0, -HALF, 1 + HALF], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("step", [0, 0, 4, 4]), ("glide", [0, 1, 4, 4]), ("curve", [0, 1, 4, 4])],
)
def test_interpolation(arm, name, expected):
    """At -1, 0.25, 1 and 3 seconds. Hermite's curve with both tangents 4 from 0 to 4 is the straight line."""
    rig = load_rig(arm)
    found = [rig.joints(f"Rig|{name}", time)[0, 1] for time in (-1.0, 0.25, 1.0, 3.0)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_names_of_animations(arm):
    """In full or by the end; else they are listed."""
    rig = load_rig(arm)
    assert rig.animation("bend") == rig.animation("Rig|bend") == "Rig|bend" and rig.duration("Rig|bend") == 1
    with pytest.raises(UserError, match=r"Which animation\? Type animation=NAME, one of: Rig.bend, Rig.step"):
        rig.animation()
    with pytest.raises(UserError, match="no one animation called 'fly'"):
        rig.animation("fly")


def person(path, head_top=1.8):
    """A rig with a person's joints that are still, and a head of two triangles."""
    b, names, places = Builder(), ["root"], [[0.0, 0.0, 0.0]]
    for side, x in (("l", 0.2), ("r", -0.2)):
        heights = {
            "upperarm": 1.4,
            "lowerarm": 1.1,
            "wrist": 0.8,
            "upperleg": 0.9,
            "lowerleg": 0.5,
            "foot": 0.1,
        }
        for part, y in heights.items():
            names.append(f"{part}.{side}")
            places.append([x, y, 0.0])
    names.append("head")
    places.append([0.0, 1.5, 0.0])
    nodes = [{"name": n, "translation": p} for n, p in zip(names, places)]
    nodes[0]["children"] = list(range(1, len(names)))
    head = len(names) - 1
    box = [[-0.2, 1.5, 0.2], [0.2, 1.5, 0.2], [0.2, head_top, 0.2], [0.0, 0.0, 0.0]]
    joints = [[0, 0, 0, 0]] * 3 + [[1, 0, 0, 0]]
    primitive = {"attributes": {"POSITION": b.add(box), "JOINTS_0": b.add(joints, "uint16"),
                 "WEIGHTS_0": b.add([[1.0, 0, 0, 0]] * 4)}, "indices": b.add([0, 1, 2, 0, 1, 3], "uint16")}  # fmt: skip
    bind = np.tile(np.eye(4), (2, 1, 1))
    bind[0, 1, 3] = -1.5
    nodes.append({"name": "body", "mesh": 0, "skin": 0})
    skin = {"joints": [head, 0], "inverseBindMatrices": b.add(bind.transpose(0, 2, 1).reshape(2, 16))}
    values = b.add([[0, 0, 0, 1], [0, 0, 0, 1]])
    still = _animation("still", 0, "rotation", values, times=b.add([0.0, 0.5]))
    return b.write(path, nodes=nodes, meshes=[{"primitives": [primitive]}], skins=[skin], animations=[still])


def test_a_rig_becomes_poses_and_surfaces(tmp_path):
    """COCO's joints at a rate, the face on the head that the skin shows, and normalised surfaces with them inside."""
    path = person(tmp_path / "person.glb")
    poses = read_poses(path, fps=10)
    assert len(poses) == 5 and poses.fps == 10
    np.testing.assert_allclose(poses.joint("left_wrist")[0][0], [0, 0.2, 0.8], atol=1e-6)
    np.testing.assert_allclose(poses.joint("nose")[0][0], [0.15, 0, 1.5 + 0.42 * 0.3], atol=1e-5)
    rig = load_rig(path)
    assert rig.names[-1] == "head_end"
    surfaces, joints = animated(rig, "still", 3)
    assert len(surfaces) == 3 and joints.shape == (3, 17, 3)
    vertices = surfaces[0].vertices
    assert np.ptp(vertices, axis=0).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(joints[0, 9] - vertices[3], np.array([0, 0.2, 0.8]) / 1.8, atol=1e-6)


def test_damaged_files(tmp_path, arm):
    """Cut short, another format, no skeleton, animation of nobody: one line each."""
    data = arm.read_bytes()
    cases = {
        "cut.glb": (data[: len(data) // 2], "is cut short: .* of .* bytes. Copy it again"),
        "text.glb": (b"hello", "text.glb is not glTF, or cut short"),
        "old.glb": (data[:4] + struct.pack("<I", 1) + data[8:], "is glTF 1; only 2.0 can be read"),
        "plain.gltf": (b'{"asset": {"version": "2.0"}}', "has neither a skin nor an animation"),
        "lost.gltf": (b'{"buffers": [{"uri": "no.bin"}]}', "needs no.bin, which is not beside it"),
        "short.glb": (
            data.replace(b'"count": 4', b'"count": 9'),
            "is damaged or cut short: ValueError a buffer is",
        ),
        "a.obj": (b"", "are read from .glb or .gltf, not 'a.obj'"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            load_rig(tmp_path / name)
    with pytest.raises(UserError, match="arm.glb is not the rig of a person: The rig has no left hip"):
        read_poses(arm, animation="bend")
    with pytest.raises(UserError, match="There is no rigged character at"):
        load_rig(tmp_path / "none.glb")
