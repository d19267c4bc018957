"""From a mesh file's textures and materials to one mesh with a colour at every vertex.

A field learns colours at points, and renders of the truth need no texture lookups then. Textured parts are
split until no edge is longer than `max_edge`; each vertex takes the mean of the texture over the corners
around it (a box filter: sampling at the vertex alone would alias fine patterns). Parts of one colour need no
splitting.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suite.toyworld.materials import Part, joined, normalized
from suite.toyworld.thinning import shared_limit, thinned

CUTOUT = 0.5  # texture opacity below which a face is left out: leaves painted on cards
# Six barycentric points in the third of a triangle that is nearest to its first corner.
CORNER_POINTS = np.array(
    [[1, 0, 0], [0.8, 0.2, 0], [0.8, 0, 0.2], [0.6, 0.35, 0.05], [0.6, 0.05, 0.35], [0.6, 0.2, 0.2]]
)


def bake(parts: list[Part], *, max_edge: float | int = 0.03, max_faces: int = 30_000) -> Part:
    """One coloured mesh, bounding box centred at the origin, longest side 1, normals of length 1.

    Args:
        max_edge: Longest edge of textured parts; longer where they would exceed `max_faces`.
        max_faces: About how many faces at most (1.2 times as many can occur).
    """
    if not max_edge > 0 or max_faces < 100:
        raise ValueError(f"bake needs max_edge > 0 and max_faces >= 100, got {max_edge} and {max_faces}.")
    parts, given = normalized(parts), sum(len(part.faces) for part in parts)
    for edge in max_edge * 1.3 ** np.arange(6):
        baked = [_baked(part, float(edge), 2 * max_faces + given) for part in parts]
        if sum(len(part.faces) for part in baked) <= max(max_faces, 1.5 * given):
            break
    baked = [part for part in baked if len(part.faces)]
    limit = shared_limit([len(part.faces) for part in baked], max_faces)
    (whole,) = normalized([joined([thinned(part, limit) for part in baked])])
    length = np.linalg.norm(whole.normals, axis=-1, keepdims=True)
    return replace(whole, normals=np.where(length > 1e-8, whole.normals / np.maximum(length, 1e-8), 0.0))


def split_longest_edges(
    attributes: Float[ndarray, "v c"], faces: Int[ndarray, "f 3"], max_edge: float, max_faces: int
) -> tuple[Float[ndarray, "w c"], Int[ndarray, "g 3"]]:
    """Bisect longest edges until none exceeds `max_edge`; the first three attributes are the position.

    Long thin triangles, common in real models, become a few: halving all their edges at once
    (`suite.geometry.remeshing.split_long_edges`) would make hundreds. Whether an edge is split depends on its
    length alone, so faces that share it stay joined. Stops before it passes twice `max_faces`.
    """
    done, count = [], 0
    while len(faces):
        corners = attributes[faces, :3]
        lengths = np.linalg.norm(
            corners - np.roll(corners, -1, axis=1), axis=-1
        )  # edge k: corners k and k + 1
        long = (lengths.max(1) > max_edge) & (count + len(faces) <= max_faces)
        done.append(faces[~long])
        count += len(done[-1])
        order = (lengths[long].argmax(1)[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(faces[long], order, axis=1).T
        low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
        edges, index = np.unique(low * len(attributes) + high, return_inverse=True)
        middle = len(attributes) + index.reshape(-1)
        low, high = np.divmod(edges, len(attributes))
        attributes = np.concatenate([attributes, (attributes[low] + attributes[high]) / 2])
        faces = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
    return attributes, np.concatenate(done) if done else faces


def sample(texture: Float[ndarray, "h w c"], uv: Float[ndarray, "*n 2"]) -> Float[ndarray, "*n c"]:
    """Bilinear lookup; the texture repeats, (0, 0) is its lower left corner (as in `suite.geometry.mesh`)."""
    h, w = texture.shape[:2]
    x, y = uv[..., 0] % 1.0 * w - 0.5, (1.0 - uv[..., 1]) % 1.0 * h - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = texture[y0 % h, x0 % w] * (1 - fx) + texture[y0 % h, (x0 + 1) % w] * fx
    bottom = texture[(y0 + 1) % h, x0 % w] * (1 - fx) + texture[(y0 + 1) % h, (x0 + 1) % w] * fx
    return top * (1 - fy) + bottom * fy


def _baked(part: Part, max_edge: float, max_faces: int) -> Part:
    """The part with its texture at its vertices; split finer where the texture cuts holes."""
    if part.texture is None:
        return part
    holes = float((part.texture[..., 3] < CUTOUT).mean()) > 0.01
    attributes = np.concatenate([part.vertices, part.normals, part.uv], axis=1)
    attributes, faces = split_longest_edges(attributes, part.faces, max_edge / (1 + holes), max_faces)
    vertices, normals, uv = np.split(attributes, [3, 6], axis=1)
    alpha = np.maximum(part.texture[..., 3:], 1e-3)  # multiplied in: what is cut out has no say in the colour
    texture = np.concatenate([part.texture[..., :3] * alpha, alpha], axis=-1)
    rgba = np.stack([_corner_means(texture, uv[np.roll(faces, -k, axis=1)]) for k in range(3)], axis=1)
    if holes:
        seen = rgba[..., 3].mean(1) >= CUTOUT
        faces, rgba = faces[seen], rgba[seen]
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)[:, None, None] + 1e-12
    total = np.zeros((len(vertices), 4))
    np.add.at(total, faces, area * rgba)
    colors = np.clip(total[:, :3] / np.maximum(total[:, 3:], 1e-30), 0, 1)
    return Part(vertices, faces, normals, colors).with_faces(faces)


def _corner_means(texture: ndarray, uv: Float[ndarray, "f 3 2"]) -> Float[ndarray, "f 4"]:
    """Mean of the texture over each triangle's third at its first corner."""
    return np.mean([sample(texture, np.einsum("k,fkd->fd", point, uv)) for point in CORNER_POINTS], axis=0)
