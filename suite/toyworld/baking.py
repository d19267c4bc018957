"""From a mesh file with textures and materials to one mesh with a colour at every vertex.

A field learns colours at points, and the renderer of the truth needs no texture lookups, so whatever a file says
about colour (textures, material colours, vertex colours, transparency) is baked once into float RGB per vertex:

    1. each material of the file becomes a `Part` (its own vertices, so that colour edges between materials stay sharp);
    2. textured parts are split until no edge is longer than `max_edge`, and each vertex takes the mean of the texture
       over the corners of the faces around it (a box filter: point sampling would alias fine patterns);
    3. meshes above `max_faces` are decimated part by part (quadric error), colours carried from the nearest old vertex.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import fast_simplification
import numpy as np
import trimesh
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

log = logging.getLogger(__name__)

MESH_SUFFIXES = (".obj", ".glb", ".gltf", ".ply")
GLASS = np.array([0.80, 0.86, 0.90])  # what transparent materials fade to: vertices have no opacity
INVISIBLE = 0.02  # opacity below which a material is left out
SMALL_PIECE = 0.05  # half the size of a leaf, in longest sides: below it a mesh of many pieces is foliage
CUTOUT = 0.5  # texture opacity below which a face is left out (leaves painted on cards)
# Six barycentric points in the third of a triangle that is nearest to its first corner.
CORNER_POINTS = np.array(
    [[1, 0, 0], [0.8, 0.2, 0], [0.8, 0, 0.2], [0.6, 0.35, 0.05], [0.6, 0.05, 0.35], [0.6, 0.2, 0.2]]
)


@dataclass(frozen=True)
class Part:
    """The faces of one material. Colours are sRGB values in [0, 1] as they stand in the file."""

    vertices: Float[ndarray, "v 3"]
    faces: Int[ndarray, "f 3"]
    normals: Float[ndarray, "v 3"]
    colors: Float[ndarray, "v 3"]
    uv: Float[ndarray, "v 2"] | None = None
    texture: Float[ndarray, "h w 4"] | None = None  # RGBA


def read_parts(path: Path, *, invisible: float = INVISIBLE) -> list[Part]:
    """All visible parts of a mesh file (OBJ, GLB, glTF, PLY) in the file's own frame; materials of an opacity of at
    most `invisible` are left out. Raises ValueError."""
    try:
        scene = trimesh.load_scene(path, process=False)
    except Exception as error:  # trimesh raises a different type for each format
        raise ValueError(f"{path} is not a mesh that can be read: {error}") from error
    parts = [_part(mesh, invisible) for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    parts = [part for part in parts if part is not None]
    if not parts:
        raise ValueError(f"{path} has no visible faces.")
    return parts


def _part(mesh: trimesh.Trimesh, invisible: float) -> Part | None:
    vertices, faces = np.asarray(mesh.vertices, float), _each_once(mesh)
    normals = _with_all_normals(vertices, faces, np.nan_to_num(np.asarray(mesh.vertex_normals, float)))
    plain = np.full((len(vertices), 3), 0.8)
    part = Part(vertices=vertices, faces=_wound_like(vertices, faces, normals), normals=normals, colors=plain)
    if isinstance(mesh.visual, trimesh.visual.ColorVisuals):
        if mesh.visual.kind is None:
            return part
        return replace(part, colors=np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0)
    color, opacity, image = _material(mesh.visual.material)
    if opacity <= invisible:
        return None
    uv = mesh.visual.uv
    if image is None or uv is None or len(uv) != len(vertices):
        return replace(part, colors=np.broadcast_to(opacity * color + (1 - opacity) * GLASS, plain.shape).copy())
    texture = np.asarray(image.convert("RGBA"), np.float32) / 255.0
    texture[..., :3] = opacity * texture[..., :3] + (1 - opacity) * GLASS
    return replace(part, uv=np.nan_to_num(np.asarray(uv, float)), texture=texture)


def _material(material) -> tuple[Float[ndarray, "3"], float, object]:
    """Diffuse colour, opacity and texture image (or None) of an OBJ or glTF material."""
    if isinstance(material, trimesh.visual.material.PBRMaterial):
        factor = material.baseColorFactor
        factor = np.ones(4) if factor is None else np.asarray(factor, float) / (255.0 if np.max(factor) > 1 else 1.0)
        opacity = float(factor[3]) if material.alphaMode == "BLEND" else 1.0
        return factor[:3], opacity, material.baseColorTexture
    options = getattr(material, "kwargs", {}) or {}
    color = np.atleast_1d(options.get("kd", np.asarray(material.diffuse, float)[:3] / 255.0)).astype(float)
    color = np.clip(np.resize(color, 3), 0, 1)
    opacity = options.get("d", [1.0])
    return color, float(np.clip(np.ravel(np.asarray(opacity, float))[-1], 0, 1)), material.image


def _each_once(mesh: trimesh.Trimesh) -> Int[ndarray, "f 3"]:
    """The faces; of doubled ones (both windings, so that the file's normals cancel) the one that faces outwards."""
    faces = np.asarray(mesh.faces)
    place = np.unique(np.round(mesh.vertices, 6), axis=0, return_inverse=True)[1].reshape(-1)[faces]
    once = np.unique(np.sort(place, axis=1), axis=0, return_index=True)[1]
    normals = np.linalg.norm(np.nan_to_num(mesh.vertex_normals), axis=-1)
    if len(once) > 0.6 * len(faces) or np.median(normals) > 1e-6:
        return faces
    single = trimesh.Trimesh(mesh.vertices, faces[once], process=False)
    trimesh.repair.fix_normals(single, multibody=True)
    return np.asarray(single.faces)


def _with_all_normals(vertices, faces, normals) -> Float[ndarray, "v 3"]:
    """The normals of the file; where it has none, the area-weighted mean over the faces around the vertex."""
    missing = np.linalg.norm(normals, axis=-1) < 1e-6
    if not missing.any():
        return normals
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    total = np.zeros_like(vertices)
    np.add.at(total, faces, np.cross(b - a, c - a)[:, None])
    total /= np.maximum(np.linalg.norm(total, axis=-1, keepdims=True), 1e-20)
    return np.where(missing[:, None], total, normals)


def _wound_like(vertices, faces, normals) -> Int[ndarray, "f 3"]:
    """The faces, turned where their winding contradicts the file's normals."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    against = (np.cross(b - a, c - a) * normals[faces].sum(1)).sum(-1) < 0
    return np.where(against[:, None], faces[:, ::-1], faces)


def subdivide(
    attributes: Float[ndarray, "v k"], faces: Int[ndarray, "f 3"], max_edge: float, max_faces: int
) -> tuple[Float[ndarray, "w k"], Int[ndarray, "g 3"]]:
    """Bisects longest edges until none exceeds `max_edge`; all attributes (the first three: position) are interpolated.

    Whether an edge is split depends on its length alone, so faces that share an edge stay joined.
    """
    done = []
    while len(faces):
        corners = attributes[faces, :3]
        lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=-1)  # edge i: corner i to i + 1
        longest = lengths.argmax(1)
        long = lengths.max(1) > max_edge
        if sum(map(len, done)) + len(faces) > max_faces:
            long[:] = False
        done.append(faces[~long])
        rolled = faces[long][np.arange(long.sum())[:, None], (longest[long, None] + np.arange(3)) % 3]
        low, high = np.sort(rolled[:, :2], axis=1).T.astype(np.int64)
        edges, index = np.unique(low * len(attributes) + high, return_inverse=True)
        middle = len(attributes) + index.reshape(-1)
        low, high = edges // len(attributes), edges % len(attributes)
        attributes = np.concatenate([attributes, (attributes[low] + attributes[high]) / 2])
        a, b, c = rolled.T
        faces = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
    return attributes, np.concatenate(done) if done else faces


def sample(texture: Float[ndarray, "h w c"], uv: Float[ndarray, "*n 2"]) -> Float[ndarray, "*n c"]:
    """Bilinear lookup; the texture repeats, v runs upwards (OBJ)."""
    h, w = texture.shape[:2]
    x, y = uv[..., 0] % 1.0 * w - 0.5, (1.0 - uv[..., 1]) % 1.0 * h - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    rows, columns = (y0 % h, (y0 + 1) % h), (x0 % w, (x0 + 1) % w)
    top = texture[rows[0], columns[0]] * (1 - fx) + texture[rows[0], columns[1]] * fx
    bottom = texture[rows[1], columns[0]] * (1 - fx) + texture[rows[1], columns[1]] * fx
    return top * (1 - fy) + bottom * fy


def bake_texture(part: Part, max_edge: float, max_faces: int) -> Part:
    """A textured part, split to `max_edge` (finer where the texture cuts holes), with the texture at its vertices."""
    holes = float((part.texture[..., 3] < CUTOUT).mean()) > 0.01
    attributes = np.concatenate([part.vertices, part.normals, part.uv], axis=1)
    attributes, faces = subdivide(attributes, part.faces, max_edge / 2 if holes else max_edge, max_faces)
    vertices, normals, uv = attributes[:, :3], attributes[:, 3:6], attributes[:, 6:8]
    rgba = np.stack(
        [np.mean([sample(part.texture, np.einsum("i,fid->fd", point, uv[np.roll(faces, -k, axis=1)]))
                  for point in CORNER_POINTS], axis=0) for k in range(3)], axis=1)  # fmt: skip
    if holes:
        seen = rgba[..., 3].mean(1) >= CUTOUT
        faces, rgba = faces[seen], rgba[seen]
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1) + 1e-12
    weight = area[:, None] * (rgba[..., 3] + 1e-3)  # what is cut out has no say in the colour
    total, colors = np.zeros(len(vertices)), np.zeros((len(vertices), 3))
    np.add.at(total, faces, weight)
    np.add.at(colors, faces, weight[..., None] * rgba[..., :3])
    colors /= np.maximum(total, 1e-30)[:, None]
    return _without_unused(Part(vertices=vertices, faces=faces, normals=normals, colors=colors))


def _without_unused(part: Part) -> Part:
    used, faces = np.unique(part.faces, return_inverse=True)
    return replace(part, vertices=part.vertices[used], faces=faces.reshape(-1, 3), normals=part.normals[used],
                   colors=part.colors[used])  # fmt: skip


def decimate(part: Part, target: int, *, seed: int = 0) -> Part:
    """The part with about `target` faces.

    Foliage (hundreds of small separate pieces) loses pieces at random, and those that stay grow to cover the same area
    (stochastic simplification, Cook et al. 2007); anything else is simplified by quadric error, with the normals and
    colours of the nearest old vertex.
    """
    if len(part.faces) <= max(target, 50):
        return part
    points, index = np.unique(np.round(part.vertices, 5), axis=0, return_inverse=True)
    faces = index.reshape(-1)[part.faces]
    links = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(links), bool), links.T), shape=(len(points),) * 2)
    count, label = connected_components(graph, directed=False)
    size = np.zeros(count)
    np.maximum.at(size, label, np.abs(points - _means(points, label, count)[label]).max(1))
    if count > 200 and np.mean(size) < SMALL_PIECE:
        return _thinned(part, label[faces[:, 0]], label[index.reshape(-1)], count, target / len(faces), seed)
    return _simplified(part, points, faces, target)


def _means(points, label, count: int) -> Float[ndarray, "k 3"]:
    sums = [np.bincount(label, weights=points[:, axis], minlength=count) for axis in range(3)]
    return np.stack(sums, axis=1) / np.bincount(label, minlength=count)[:, None].clip(1)


def _thinned(part: Part, face_piece, vertex_piece, pieces: int, fraction: float, seed: int) -> Part:
    stay = np.random.default_rng(seed).permutation(pieces) < max(1, round(fraction * pieces))
    centres = _means(part.vertices, vertex_piece, pieces)[vertex_piece]
    vertices = centres + (part.vertices - centres) / np.sqrt(fraction)
    return _without_unused(replace(part, vertices=vertices, faces=part.faces[stay[face_piece]]))


def _simplified(part: Part, points, faces, target: int) -> Part:
    """By quadric error, gently (`agg` above 1 swallows thin posts); what resists (petals: all border) is clustered."""
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    if len(faces) > target:
        vertices, faces = fast_simplification.simplify(
            points.astype(np.float32), faces.astype(np.int32), target_count=max(target, 20), agg=1.0
        )
        points, faces = vertices.astype(float), faces.astype(int)
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    near = cKDTree(part.vertices).query(points)[1]
    normals = part.normals[near]
    small = Part(vertices=points, faces=_wound_like(points, faces, normals), normals=normals, colors=part.colors[near])
    cell = 0.004
    while len(small.faces) > 1.2 * target:
        small, cell = _clustered(small, cell), 1.25 * cell
    return _without_unused(small)


def _clustered(part: Part, cell: float) -> Part:
    """Vertices in one cubic cell move to their mean; those that face the same way there also share normal and colour."""
    _, place = np.unique(np.floor(part.vertices / cell).astype(int), axis=0, return_inverse=True)
    place = place.reshape(-1)
    axis = np.abs(part.normals).argmax(1)
    side = 2 * axis + (part.normals[np.arange(len(axis)), axis] > 0)
    keys, vertex = np.unique(6 * place + side, return_inverse=True)
    count, faces = len(keys), vertex[part.faces]
    at = keys[faces] // 6
    faces = faces[(at != np.roll(at, 1, axis=1)).all(1)]
    faces = faces[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]]
    return Part(
        vertices=_means(part.vertices, place, place.max() + 1)[keys // 6],
        faces=faces,
        normals=_means(part.normals, vertex, count),
        colors=_means(part.colors, vertex, count),
    )


def _shared_limit(counts: list[int], budget: int) -> int:
    """The limit at which counts, each cut to it, sum to `budget`: dense parts pay, small ones stay as they are."""
    left = budget
    for position, count in enumerate(sorted(counts)):
        share = left // (len(counts) - position)
        if count > share:
            return share
        left -= count
    return max(counts)


def joined(parts: list[Part]) -> Part:
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Part(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + offset for part, offset in zip(parts, offsets)]),
        normals=np.concatenate([part.normals for part in parts]),
        colors=np.concatenate([part.colors for part in parts]),
    )


def transformed(parts: list[Part], matrix: Float[ndarray, "3 3"]) -> list[Part]:
    """All vertices by `matrix`, all normals by its inverse transpose."""
    turn = np.linalg.inv(matrix)  # right-multiplied by the transpose of the inverse's transpose
    return [replace(part, vertices=part.vertices @ matrix.T, normals=part.normals @ turn) for part in parts]


def normalized(parts: list[Part]) -> list[Part]:
    """Bounding box centred at the origin, longest side 1."""
    points = np.concatenate([part.vertices[np.unique(part.faces)] for part in parts])
    low, high = points.min(0), points.max(0)
    size = (high - low).max()
    if not size > 0:
        raise ValueError("the mesh has no extent.")
    return [replace(part, vertices=(part.vertices - (low + high) / 2) / size) for part in parts]


def bake(parts: list[Part], *, max_edge: float = 0.03, max_faces: int = 30_000) -> Part:
    """One coloured mesh (longest side 1, centred) of at most about `max_faces` faces."""
    parts, given = normalized(parts), sum(len(part.faces) for part in parts)
    for edge in max_edge * 1.3 ** np.arange(6):  # coarser, where so many faces are too many
        baked = [part if part.texture is None else bake_texture(part, edge, 2 * max_faces + given) for part in parts]
        total = sum(len(part.faces) for part in baked)
        if total <= max(max_faces, 1.5 * given):
            break
    parts = [part for part in baked if len(part.faces)]
    if total > max_faces:
        limit = _shared_limit([len(part.faces) for part in parts], max_faces)
        parts = [decimate(part, limit) for part in parts]
    (whole,) = normalized([joined(parts)])
    length = np.linalg.norm(whole.normals, axis=-1, keepdims=True)
    return replace(whole, normals=np.where(length > 1e-8, whole.normals / np.maximum(length, 1e-8), 0.0))
