"""The containers of glTF 2.0: its JSON, its buffers (in the .glb, beside the .gltf, or in data URIs), its accessors."""

import base64
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from suite.errors import UserError

COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


@dataclass(frozen=True, eq=False)
class Gltf:
    """A file: its tree of JSON and its buffers."""

    path: Path
    tree: dict
    buffers: tuple[bytes, ...]

    def accessor(self, number: int) -> np.ndarray:
        """Values `n` or `n c`; whole numbers that stand for fractions are turned to them."""
        about = self.tree["accessors"][number]
        kind, width, count = (
            np.dtype(COMPONENTS[about["componentType"]]),
            SIZES[about["type"]],
            about["count"],
        )
        values = np.zeros((count, width), kind)
        if "bufferView" in about:
            values = self._values(about["bufferView"], about.get("byteOffset", 0), kind, width, count)
        if "sparse" in about:
            values, sparse = values.copy(), about["sparse"]
            place, other = sparse["indices"], sparse["values"]
            whole = np.dtype(COMPONENTS[place["componentType"]])
            rows = self._values(place["bufferView"], place.get("byteOffset", 0), whole, 1, sparse["count"])
            values[rows[:, 0]] = self._values(
                other["bufferView"], other.get("byteOffset", 0), kind, width, sparse["count"]
            )
        if about.get("normalized"):
            values = np.maximum(values / np.float32(np.iinfo(kind).max), -1.0)
        return values[:, 0] if width == 1 else values

    def _values(self, view: int, offset: int, kind: np.dtype, width: int, count: int) -> np.ndarray:
        data, stride = self._view(view)
        item = kind.itemsize * width
        stride = stride or item
        if count and offset + (count - 1) * stride + item > len(data):
            raise ValueError("a buffer is shorter than its accessor")
        return np.ndarray((count, width), kind, data, offset, (stride, kind.itemsize))

    def _view(self, number: int) -> tuple[bytes, int]:
        about = self.tree["bufferViews"][number]
        start = about.get("byteOffset", 0)
        data = self.buffers[about["buffer"]][start : start + about["byteLength"]]
        if len(data) < about["byteLength"]:
            raise ValueError("a buffer is shorter than its view")
        return data, about.get("byteStride", 0)

    def image(self, number: int) -> bytes:
        """The file of an image."""
        about = self.tree["images"][number]
        return (
            self._view(about["bufferView"])[0] if "bufferView" in about else _fetched(self.path, about["uri"])
        )


def read_gltf(path: Path) -> Gltf:
    """Reads a .glb or .gltf with everything it names.

    Raises:
        UserError: It is no glTF 2.0, or cut short.
    """
    data = path.read_bytes()
    try:
        blob = b""
        if data[:4] == b"glTF":
            version, length = struct.unpack("<II", data[4:12])
            if version != 2:
                raise UserError(f"{path} is glTF {version}; only 2.0 can be read.")
            if len(data) < length:
                raise UserError(f"{path} is cut short: {len(data)} of {length} bytes. Copy it again.")
            size = struct.unpack("<I", data[12:16])[0]
            rest = data[20 + size :]
            blob = rest[8 : 8 + struct.unpack("<I", rest[:4])[0]] if len(rest) >= 8 else b""
            data = data[20 : 20 + size]
        tree = json.loads(data)
        buffers = tuple(_fetched(path, b["uri"]) if "uri" in b else blob for b in tree.get("buffers", []))
    except (struct.error, UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise UserError(f"{path} is not glTF, or cut short.") from error
    return Gltf(path, tree, buffers)


def _fetched(path: Path, uri: str) -> bytes:
    """What a URI of the file stands for."""
    if uri.startswith("data:"):
        return base64.b64decode(uri.split(",", 1)[1])
    beside = path.parent / unquote(uri)
    if not beside.is_file():
        raise UserError(f"{path} needs {uri}, which is not beside it.")
    return beside.read_bytes()
