"""Binary glTF 2.0: written here, because colours and axes have to be right; read by trimesh.

Written: one mesh with normals, in glTF's axes (+Y up, +Z front; our +Z up, +X front), with its texture, or
with vertex colours in linear light, as the standard asks (float32: 8 bits would band in the dark). The
material is seen from both sides and does not shine, unless its maps say so.
"""

import io
import json
import struct

import numpy as np
import torch

from suite.geometry.mesh import Mesh
from suite.geometry.transforms import GLTF_FROM_WORLD
from suite.geometry.trimesh_bridge import LINEAR_COLORS, linear_from_srgb
from suite.io.images import to_bytes
from suite.io.surface_maps import SurfaceMaps, tangents

MAGIC, JSON, BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_INT = 5126, 5125
PACKED = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
VERTICES, INDICES = 34962, 34963  # bufferView targets


def glb_bytes(mesh: Mesh, maps: SurfaceMaps | None = None) -> bytes:
    """The content of a .glb file; `maps` are at the uv of the mesh."""
    moved = mesh.transformed(GLTF_FROM_WORLD).to("cpu")
    blob = _Blob()
    position = moved.vertices.detach().numpy()
    attributes = {
        "POSITION": blob.accessor(position, bounds=True),
        "NORMAL": blob.accessor(_unit_normals(moved)),
    }
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}
    pictures = []
    if moved.texture is not None:
        uv = moved.uv.detach() * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])  # glTF's v runs down
        attributes["TEXCOORD_0"] = blob.accessor(uv.numpy())
        pictures = _add_maps(material, moved.texture, maps or SurfaceMaps())
        if "normalTexture" in material:
            attributes["TANGENT"] = blob.accessor(tangents(moved).numpy())
    elif moved.vertex_colors is not None:
        attributes["COLOR_0"] = blob.accessor(linear_from_srgb(moved.vertex_colors.detach()).numpy())
    indices = blob.accessor(moved.faces.numpy().astype(np.uint32).reshape(-1))
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    tree = {
        "asset": {"version": "2.0", "generator": "suite"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "object"}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [material],
        "accessors": blob.accessors,
        **_textures(pictures, blob),
        "bufferViews": blob.views,
        "buffers": [{"byteLength": len(blob.data)}],
    }
    return _container(tree, bytes(blob.data))


def _add_maps(material: dict, texture: torch.Tensor, maps: SurfaceMaps) -> list[torch.Tensor]:
    """Names the textures in the material; returns them in the order of their numbers."""
    pictures, shine = [texture], material["pbrMetallicRoughness"]
    shine["baseColorTexture"] = {"index": 0}
    if maps.metallic_roughness is not None:
        shine |= {"metallicFactor": 1.0, "metallicRoughnessTexture": {"index": len(pictures)}}
        pictures.append(maps.metallic_roughness)
    if maps.normal is not None:
        material["normalTexture"] = {"index": len(pictures)}
        pictures.append(maps.normal)
    return pictures


def _textures(pictures: list[torch.Tensor], blob: "_Blob") -> dict:
    """Images, their sampler and textures, in this order."""
    if not pictures:
        return {}
    return {
        "images": [{"bufferView": blob.view(png_bytes(x)), "mimeType": "image/png"} for x in pictures],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}],
        "textures": [{"source": k, "sampler": 0} for k in range(len(pictures))],
    }


def png_bytes(texture: torch.Tensor) -> bytes:
    """A texture as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(to_bytes(texture)).save(buffer, "PNG")
    return buffer.getvalue()


def _unit_normals(mesh: Mesh) -> np.ndarray:
    """Normals of length 1, as the standard asks: up where the faces around a vertex cancel, or there are none."""
    normals = torch.nn.functional.normalize(mesh.vertex_normals().detach(), dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0])
    return torch.where(normals.norm(dim=-1, keepdim=True) > 0.5, normals, up).numpy()


class _Blob:
    """The binary part and its table of contents."""

    def __init__(self) -> None:
        self.data, self.views, self.accessors = bytearray(), [], []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Appends bytes, filled up to a multiple of 4; returns the number of their buffer view."""
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view if target is None else {**view, "target": target})
        self.data += data + b"\0" * (-len(data) % 4)
        return len(self.views) - 1

    def accessor(self, array: np.ndarray, *, bounds: bool = False) -> int:
        """Appends numbers `n` or vectors `n k`: uint32 as they are, all else as float32; returns the accessor's number.

        Args:
            bounds: Also write the least and the greatest of each column, as positions need.
        """
        index = array.dtype == np.uint32
        array = np.ascontiguousarray(array, "<u4" if index else "<f4")
        entry = {
            "bufferView": self.view(array.tobytes(), INDICES if index else VERTICES),
            "componentType": UNSIGNED_INT if index else FLOAT,
            "count": len(array),
            "type": "SCALAR" if index else f"VEC{array.shape[1]}",
        }
        if bounds:
            entry |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1


def _container(tree: dict, blob: bytes) -> bytes:
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), JSON) + text
    if blob:
        body += struct.pack("<II", len(blob), BIN) + blob
    return struct.pack("<III", MAGIC, 2, 12 + len(body)) + body


def with_exact_colors(data: bytes) -> bytes:
    """The same .glb or .gltf with COLOR_0 renamed to an attribute that trimesh leaves alone.

    trimesh 5.2 makes bytes of COLOR_0: linear light bands in the dark, and 16-bit colours (Blender's) wrap
    around.

    Raises:
        ValueError: It is not glTF 2.0.
    """
    binary = data[:4] == struct.pack("<I", MAGIC)
    try:
        if binary:
            _, version, _ = struct.unpack("<III", data[:12])
            length, kind = struct.unpack("<II", data[12:20])
            if version != 2 or kind != JSON:
                raise ValueError(f"it is glTF {version}; only 2.0 can be read")
        tree = json.loads(data[20 : 20 + length] if binary else data)
    except (struct.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError("it is not glTF, or cut short") from error
    needed = sorted(set(tree.get("extensionsRequired", [])) & PACKED)
    if needed:
        raise ValueError(f"its geometry is packed with {needed[0]}. Export it without compression")
    if binary and len(data) < struct.unpack("<I", data[8:12])[0]:
        raise ValueError("it is cut short: copy or download it again")
    for mesh in tree.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            attributes = primitive.get("attributes", {})
            if "COLOR_0" in attributes:
                accessor = tree["accessors"][attributes["COLOR_0"]]
                whole = {5121: "8", 5123: "16"}.get(accessor.get("componentType"), "")
                attributes[LINEAR_COLORS + whole] = attributes.pop("COLOR_0")
    if not binary:
        return json.dumps(tree).encode()
    rest = data[20 + length :]
    return _container(tree, rest[8 : 8 + struct.unpack("<I", rest[:4])[0]] if len(rest) >= 8 else b"")
