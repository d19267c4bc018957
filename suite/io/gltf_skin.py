"""Reads rigged characters of glTF 2.0: skins, skeletons and animations, turned to the suite's axes.

trimesh, which reads every other mesh here, gives neither weights nor animations. Morph targets are left out.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from suite.errors import UserError
from suite.geometry.rigs import Channel, Part, Rig
from suite.io.gltf_data import Gltf, read_gltf
from suite.io.paths import existing_file

HANDS = ("hand", "slot", "held")  # what hangs on such a joint is held, and no part of the body


def load_rig(path: str | Path, *, held: bool = False) -> Rig:
    """Reads a rigged .glb or .gltf.

    Args:
        held: Whether to keep what hangs on hands (all the weapons of a character at once).

    Raises:
        UserError: There is no such file (MissingFile), it is no glTF, cut short, or has no skeleton.
    """
    path = existing_file(path, "rigged character")
    if path.suffix.lower() not in (".glb", ".gltf"):
        raise UserError(f"Rigged characters are read from .glb or .gltf, not {path.name!r}.")
    gltf = read_gltf(path)
    try:
        return _rig(gltf, held)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged or cut short: {type(error).__name__} {error}.") from error


def _rig(gltf: Gltf, held: bool) -> Rig:
    nodes = gltf.tree.get("nodes", [])
    parents = [-1] * len(nodes)
    for k, node in enumerate(nodes):
        for child in node.get("children", ()):
            parents[child] = k
    names = [node.get("name") or f"node_{k}" for k, node in enumerate(nodes)]
    rest = {
        key: np.array([_trs(node)[i] for node in nodes], dtype=float)
        for i, key in enumerate(("translation", "rotation", "scale"))
    }
    parts = []
    for k, node in enumerate(nodes):
        above = names[parents[k]].lower() if parents[k] >= 0 else ""
        if "mesh" in node and (held or "skin" in node or not any(word in above for word in HANDS)):
            parts += _parts(gltf, node, k, names[k], len(nodes))
    animations = _Animations(gltf)
    if not gltf.tree.get("skins") and not animations:
        raise UserError(f"{gltf.path} has neither a skin nor an animation: it is no rigged character.")
    return _with_head_tip(Rig(tuple(names), tuple(parents), rest, tuple(parts), animations))


def _with_head_tip(rig: Rig) -> Rig:
    """The rig with a node "head_end" on top of the head, where the surface shows how high it is and no node does."""
    lower = [name.lower() for name in rig.names]
    if "head" not in lower or any("head" in name and "end" in name for name in lower):
        return rig
    head = lower.index("head")
    skinned = [part for part in rig.parts if part.joints is not None]
    if not skinned:
        return rig
    of_head = [p.joints[np.arange(len(p.weights)), p.weights.argmax(1)] == head for p in skinned]
    rest, start = rig.matrices(), 0
    vertices = rig.posed()[0]
    high = []
    for part in rig.parts:
        if part.joints is not None:
            high.append(vertices[start : start + len(part.vertices)][of_head[len(high)], 2])
        start += len(part.vertices)
    high = np.concatenate(high)
    if len(high) == 0 or high.max() <= rest[head, 2, 3]:
        return rig
    top = rest[head, :, 3] * [1, 1, 0, 1] + [0, 0, high.max(), 0]
    added = {
        "translation": (np.linalg.inv(rest[head]) @ top)[:3],
        "rotation": [0, 0, 0, 1],
        "scale": [1, 1, 1],
    }
    return replace(
        rig,
        names=(*rig.names, "head_end"),
        parents=(*rig.parents, head),
        rest={key: np.concatenate([values, np.array([added[key]])]) for key, values in rig.rest.items()},
        parts=tuple(
            part if part.bind is None else replace(part, bind=np.concatenate([part.bind, np.eye(4)[None]]))
            for part in rig.parts
        ),
    )


class _Animations(Mapping):
    """Animations by name, read when they are asked for: a character may have thousands of channels."""

    def __init__(self, gltf: Gltf) -> None:
        listed = gltf.tree.get("animations", [])
        self.gltf = gltf
        self.listed = {a.get("name") or f"animation_{k}": a for k, a in enumerate(listed)}
        self.read: dict[str, tuple[Channel, ...]] = {}

    def __getitem__(self, name: str) -> tuple[Channel, ...]:
        if name not in self.read:
            self.read[name] = tuple(_channels(self.gltf, self.listed[name]))
        return self.read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.listed)

    def __len__(self) -> int:
        return len(self.listed)


def _trs(node: dict) -> tuple[list, list, list]:
    if "matrix" not in node:
        translation, rotation = node.get("translation", [0, 0, 0]), node.get("rotation", [0, 0, 0, 1])
        return translation, rotation, node.get("scale", [1, 1, 1])
    from scipy.spatial.transform import Rotation

    matrix = np.array(node["matrix"], dtype=float).reshape(4, 4).T
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    return matrix[:3, 3], Rotation.from_matrix(matrix[:3, :3] / scale).as_quat(), scale


def _parts(gltf: Gltf, node: dict, k: int, name: str, count: int) -> list[Part]:
    parts, skin = [], {}
    if "skin" in node:
        about = gltf.tree["skins"][node["skin"]]
        joints = np.array(about["joints"])
        bind = np.tile(np.eye(4), (count, 1, 1))
        if "inverseBindMatrices" in about:
            bind[joints] = gltf.accessor(about["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    for primitive in gltf.tree["meshes"][node["mesh"]]["primitives"]:
        attributes = primitive["attributes"]
        if primitive.get("mode", 4) != 4:
            continue  # points and lines
        vertices = gltf.accessor(attributes["POSITION"]).astype(float)
        faces = (
            gltf.accessor(primitive["indices"]) if "indices" in primitive else np.arange(len(vertices))
        ).astype(int)
        faces = faces.reshape(-1, 3)
        if "skin" in node and "JOINTS_0" in attributes:
            weights = gltf.accessor(attributes["WEIGHTS_0"]).astype(float)
            weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
            skin = {
                "joints": joints[gltf.accessor(attributes["JOINTS_0"]).astype(int)],
                "weights": weights,
                "bind": bind,
            }
        normals = (
            gltf.accessor(attributes["NORMAL"]).astype(float)
            if "NORMAL" in attributes
            else _normals(vertices, faces)
        )
        parts.append(Part(name, vertices, normals, faces, _colors(gltf, primitive, len(vertices)), k, **skin))
    return parts


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    from suite.toyworld.objects import vertex_normals

    return vertex_normals(vertices, faces).astype(float)


def _colors(gltf: Gltf, primitive: dict, count: int) -> np.ndarray:
    """sRGB `v 3`: the base colour's factor times its texture, taken at the vertices."""
    about = gltf.tree["materials"][primitive["material"]] if "material" in primitive else {}
    material = about.get("pbrMetallicRoughness", {})
    factor = np.clip(np.array(material.get("baseColorFactor", [1, 1, 1, 1])[:3], dtype=float), 0, 1)
    colors = np.tile(
        np.where(factor <= 0.0031308, 12.92 * factor, 1.055 * factor ** (1 / 2.4) - 0.055), (count, 1)
    )
    if "baseColorTexture" in material:
        source = gltf.tree["textures"][material["baseColorTexture"]["index"]]["source"]
        key = f"TEXCOORD_{material['baseColorTexture'].get('texCoord', 0)}"
        picture = _picture(gltf, source)
        u, v = (gltf.accessor(primitive["attributes"][key]).astype(float) % 1.0).T
        h, w = picture.shape[:2]
        colors = colors * picture[np.minimum(v * h, h - 1).astype(int), np.minimum(u * w, w - 1).astype(int)]
    return colors.astype(np.float32)


@lru_cache(maxsize=2)
def _picture(gltf: Gltf, number: int) -> np.ndarray:
    """`h w 3` in [0, 1]; the pieces of a character share one."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(gltf.image(number))).convert("RGB"), dtype=np.float32) / 255


def _channels(gltf: Gltf, animation: dict) -> list[Channel]:
    channels = []
    for channel in animation["channels"]:
        target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
        if "node" not in target or target["path"] == "weights":
            continue
        times, values = (gltf.accessor(sampler[key]).astype(float) for key in ("input", "output"))
        interpolation = sampler.get("interpolation", "LINEAR")
        if interpolation == "CUBICSPLINE":
            values = values.reshape(len(times), 3, -1)  # in-tangent, value, out-tangent
        channels.append(Channel(target["node"], target["path"], times.reshape(-1), values, interpolation))
    return channels
