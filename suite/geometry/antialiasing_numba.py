"""The parts of antialiasing that run over all faces of a mesh, on a CPU, compiled by numba.

Notation as in `suite.geometry.rasterizer_numba`.
"""

from typing import no_type_check

import numba
import numpy as np

from suite.geometry.rasterizer_numba import EDGE

TIE = 1e-7  # relative difference of 1 / w up to which a face touches a point on an edge and does not hide it


@numba.njit(cache=True, nogil=True)
@no_type_check
def edge_table(faces, ends, of_face):
    """Numbers the edges of a mesh in the order in which they are met; returns how many there are.

    Args:
        faces: int64 `f 3`.
        ends: int64 `3f 2`, written: the two corners of each edge, the smaller first.
        of_face: int64 `f 3`, written: the edge from corner i to corner i + 1.
    """
    size = 16
    while size < 4 * len(faces) + 1:  # a closed mesh has 1.5 edges a face
        size *= 2
    slots = np.full(size, -1, np.int64)  # a hash table with open addressing
    count = 0
    for f in range(len(faces)):
        for i in range(3):
            a, b = faces[f, i], faces[f, (i + 1) % 3]
            if a > b:
                a, b = b, a
            slot = (np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b)) * np.uint64(
                0xD1B54A32D192ED03
            )
            slot = np.int64((slot >> np.uint64(20)) & np.uint64(size - 1))
            while True:
                e = slots[slot]
                if e < 0:
                    slots[slot], ends[count, 0], ends[count, 1] = count, a, b
                    e = count
                    count += 1
                    break
                if ends[e, 0] == a and ends[e, 1] == b:
                    break
                slot = (slot + 1) & (size - 1)
            of_face[f, i] = e
    return count


@numba.njit(cache=True, nogil=True)
@no_type_check
def same_places(vertices, first):
    """Writes into `first` (int64 `v`) the first vertex at the place of each; returns how many places."""
    size = 16
    while size < 2 * len(vertices) + 1:
        size *= 2
    slots = np.full(size, -1, np.int64)
    count = 0
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0] + 0.0, vertices[v, 1] + 0.0, vertices[v, 2] + 0.0  # -0 is 0
        slot = np.int64(hash((x, y, z))) & (size - 1)
        while True:
            other = slots[slot]
            if other < 0:
                slots[slot], first[v] = v, v
                count += 1
                break
            if vertices[other, 0] == x and vertices[other, 1] == y and vertices[other, 2] == z:
                first[v] = other
                break
            slot = (slot + 1) & (size - 1)
    return count


@numba.njit(cache=True, nogil=True)
@no_type_check
def sides(pixels, faces, of_face, left, right):
    """One view. Counts the faces on either side of each edge in the picture, into `left` and `right`.

    Left is where det(V_a, V_b, V_c) > 0, for an edge from a to b > a and the third corner c.
    """
    for f in range(len(faces)):
        i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, w0 = pixels[i0, 0], pixels[i0, 1], pixels[i0, 2]
        x1, y1, w1 = pixels[i1, 0], pixels[i1, 1], pixels[i1, 2]
        x2, y2, w2 = pixels[i2, 0], pixels[i2, 1], pixels[i2, 2]
        det = x0 * (y1 * w2 - w1 * y2) + y0 * (w1 * x2 - x1 * w2) + w0 * (x1 * y2 - y1 * x2)
        if det == 0.0 or not np.isfinite(det):
            continue  # seen edge-on, or of no area: covers nothing
        for i in range(3):
            if (faces[f, i] < faces[f, (i + 1) % 3]) == (det > 0):
                left[of_face[f, i]] += 1
            else:
                right[of_face[f, i]] += 1


@numba.njit(cache=True, nogil=True)
@no_type_check
def covered(pixels, near_z, faces, of_face, start, order, x, y, one_over_w, edge, width, hidden, backed):
    """One view. Writes which points on edges lie behind some face (`hidden`) or before some face (`backed`).

    Args:
        start, order: The points in pixel p, in row order, are order[start[p] : start[p + 1]].
        x, y, one_over_w: Where they are. edge: On which edge; its own faces do not count.
    """
    height = (len(start) - 1) // width
    for f in range(len(faces)):
        i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, w0 = pixels[i0, 0], pixels[i0, 1], pixels[i0, 2]
        x1, y1, w1 = pixels[i1, 0], pixels[i1, 1], pixels[i1, 2]
        x2, y2, w2 = pixels[i2, 0], pixels[i2, 1], pixels[i2, 2]
        first, last, top, bottom = 0, width - 1, 0, height - 1
        in_front = near_z[i0, 0] > 0 and near_z[i1, 0] > 0 and near_z[i2, 0] > 0
        if in_front:
            a, b, c = x0 / w0, x1 / w1, x2 / w2
            if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
                continue
            first, last = int(max(first, np.floor(min(a, b, c)))), int(min(last, np.floor(max(a, b, c))))
            a, b, c = y0 / w0, y1 / w1, y2 / w2
            top, bottom = int(max(top, np.floor(min(a, b, c)))), int(min(bottom, np.floor(max(a, b, c))))
        elif near_z[i0, 0] <= 0 and near_z[i1, 0] <= 0 and near_z[i2, 0] <= 0:
            continue
        whole = in_front and near_z[i0, 1] >= 0 and near_z[i1, 1] >= 0 and near_z[i2, 1] >= 0
        inverse = 0.0
        for row in range(top, bottom + 1):
            begin, end = start[row * width + first], start[row * width + last + 1]
            if last < first or begin == end:
                continue
            if inverse == 0.0:
                ax0, ay0, az0 = y1 * w2 - w1 * y2, w1 * x2 - x1 * w2, x1 * y2 - y1 * x2
                det = x0 * ax0 + y0 * ay0 + w0 * az0
                if det == 0.0 or not np.isfinite(det):
                    break
                inverse = 1.0 / det
                ax1, ay1, az1 = y2 * w0 - w2 * y0, w2 * x0 - x2 * w0, x2 * y0 - y2 * x0
                ax2, ay2, az2 = y0 * w1 - w0 * y1, w0 * x1 - x0 * w1, x0 * y1 - y0 * x1
            for n in range(begin, end):
                k = order[n]
                e = edge[k]
                if hidden[k] or of_face[f, 0] == e or of_face[f, 1] == e or of_face[f, 2] == e:
                    continue
                u0 = (ax0 * x[k] + ay0 * y[k] + az0) * inverse
                u1 = (ax1 * x[k] + ay1 * y[k] + az1) * inverse
                u2 = (ax2 * x[k] + ay2 * y[k] + az2) * inverse
                nearness = u0 + u1 + u2
                behind = nearness < one_over_w[k] * (1 - TIE)
                if nearness <= 0 or min(u0, u1, u2) < -EDGE * nearness or (behind and backed[k]):
                    continue
                if not behind and nearness <= one_over_w[k] * (1 + TIE):
                    continue
                if not whole:
                    if u0 * near_z[i0, 0] + u1 * near_z[i1, 0] + u2 * near_z[i2, 0] < 0:
                        continue
                    if u0 * near_z[i0, 1] + u1 * near_z[i1, 1] + u2 * near_z[i2, 1] < 0:
                        continue
                if behind:
                    backed[k] = True
                else:
                    hidden[k] = True
