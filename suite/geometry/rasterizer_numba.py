"""Which triangle each pixel sees, on a CPU: a z-buffer in homogeneous coordinates, compiled by numba.

With V_i = (X_i, Y_i, w_i) a corner in homogeneous pixel coordinates and p = (x, y, 1) a pixel centre, a point
of the triangle is sum_i b_i V_i = w p, so (Olano and Greer 1997, "Triangle scan conversion using 2D
homogeneous coordinates")

    u_i = (V_j x V_k) . p / det(V_0, V_1, V_2),     1 / w = sum_i u_i,     b_i = u_i / sum_i u_i

which needs no clipping: corners behind the camera are as good as any. b is perspective-correct.
"""

from typing import no_type_check

import numba
import numpy as np

# b may be this negative: an edge shared by two triangles must not leave a pixel between them to rounding
EDGE = 1e-9


@numba.njit(cache=True, nogil=True)
@no_type_check  # the wrapper of a checked function cannot be compiled
def zbuffer(pixels, near_z, faces, height, width, face_id, barycentrics, depth):
    """One view. Writes the nearest face of each pixel into the last three arrays.

    Args:
        pixels: float64 `v 3`, homogeneous pixel coordinates (X, Y, w).
        near_z: float64 `v 2`, the clip-space distances z + w and w - z to the near and far planes.
        faces: int64 `f 3`.
        face_id: int64 `h w`, filled with -1. barycentrics: float32 `h w 3`. depth: float32 `h w`, zeros.
    """
    best = np.zeros((height, width))  # 1 / w of the nearest face so far
    for f in range(faces.shape[0]):
        i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, w0 = pixels[i0, 0], pixels[i0, 1], pixels[i0, 2]
        x1, y1, w1 = pixels[i1, 0], pixels[i1, 1], pixels[i1, 2]
        x2, y2, w2 = pixels[i2, 0], pixels[i2, 1], pixels[i2, 2]
        left, right, top, bottom = 0, width - 1, 0, height - 1
        inside = near_z[i0, 0] > 0 and near_z[i1, 0] > 0 and near_z[i2, 0] > 0
        if inside:  # else part of it may be behind the camera, where its corners do not bound it
            a, b, c = x0 / w0, x1 / w1, x2 / w2
            if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
                continue
            left = int(max(left, np.ceil(min(a, b, c) - 0.5 - 1e-6)))
            right = int(min(right, np.floor(max(a, b, c) - 0.5 + 1e-6)))
            a, b, c = y0 / w0, y1 / w1, y2 / w2
            top = int(max(top, np.ceil(min(a, b, c) - 0.5 - 1e-6)))
            bottom = int(min(bottom, np.floor(max(a, b, c) - 0.5 + 1e-6)))
        elif near_z[i0, 0] <= 0 and near_z[i1, 0] <= 0 and near_z[i2, 0] <= 0:
            continue
        if left > right or top > bottom:
            continue
        inside = inside and near_z[i0, 1] >= 0 and near_z[i1, 1] >= 0 and near_z[i2, 1] >= 0
        # rows of the adjugate: u_i = (ax_i * x + ay_i * y + az_i) / det
        ax0, ay0, az0 = y1 * w2 - w1 * y2, w1 * x2 - x1 * w2, x1 * y2 - y1 * x2
        det = x0 * ax0 + y0 * ay0 + w0 * az0
        if det == 0.0 or not np.isfinite(det):
            continue
        ax1, ay1, az1 = y2 * w0 - w2 * y0, w2 * x0 - x2 * w0, x2 * y0 - y2 * x0
        ax2, ay2, az2 = y0 * w1 - w0 * y1, w0 * x1 - x0 * w1, x0 * y1 - y0 * x1
        ax0, ay0, az0 = ax0 / det, ay0 / det, az0 / det
        ax1, ay1, az1 = ax1 / det, ay1 / det, az1 / det
        ax2, ay2, az2 = ax2 / det, ay2 / det, az2 / det
        for row in range(top, bottom + 1):
            y = row + 0.5
            r0, r1, r2 = ay0 * y + az0, ay1 * y + az1, ay2 * y + az2
            for column in range(left, right + 1):
                x = column + 0.5
                u0, u1, u2 = ax0 * x + r0, ax1 * x + r1, ax2 * x + r2
                one_over_w = u0 + u1 + u2
                least = -EDGE * one_over_w
                if one_over_w <= best[row, column] or u0 < least or u1 < least or u2 < least:
                    continue
                if not inside:
                    if u0 * near_z[i0, 0] + u1 * near_z[i1, 0] + u2 * near_z[i2, 0] < 0:
                        continue
                    if u0 * near_z[i0, 1] + u1 * near_z[i1, 1] + u2 * near_z[i2, 1] < 0:
                        continue
                best[row, column] = one_over_w
                face_id[row, column] = f
                barycentrics[row, column, 0] = u0 / one_over_w
                barycentrics[row, column, 1] = u1 / one_over_w
                barycentrics[row, column, 2] = u2 / one_over_w
                depth[row, column] = 1.0 / one_over_w


@numba.njit(cache=True, nogil=True)
@no_type_check
def barycentrics_backward(pixels, faces, face_id, to_barycentrics, to_depth, to_pixels):
    """One view. Adds the gradient in `pixels` of what `zbuffer` wrote into `to_pixels`.

    With M the matrix whose rows are V_i, M^T u = p, so du = -M^-T dM^T u and a gradient g in u gives

        dL/dV_i = -u_i M^-1 g,     g_i = w (dL/db_i - sum_j b_j dL/db_j) - w^2 dL/dw

    Args:
        face_id: `h w`, of `zbuffer`. to_barycentrics: `h w 3`. to_depth: `h w`. to_pixels: float64 `v 3`.
    """
    for row in range(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            f = face_id[row, column]
            if f < 0:
                continue
            g0, g1, g2 = (
                to_barycentrics[row, column, 0],
                to_barycentrics[row, column, 1],
                to_barycentrics[row, column, 2],
            )
            gd = to_depth[row, column]
            if g0 == 0 and g1 == 0 and g2 == 0 and gd == 0:
                continue
            i0, i1, i2 = faces[f, 0], faces[f, 1], faces[f, 2]
            x0, y0, w0 = pixels[i0, 0], pixels[i0, 1], pixels[i0, 2]
            x1, y1, w1 = pixels[i1, 0], pixels[i1, 1], pixels[i1, 2]
            x2, y2, w2 = pixels[i2, 0], pixels[i2, 1], pixels[i2, 2]
            ax0, ay0, az0 = y1 * w2 - w1 * y2, w1 * x2 - x1 * w2, x1 * y2 - y1 * x2
            ax1, ay1, az1 = y2 * w0 - w2 * y0, w2 * x0 - x2 * w0, x2 * y0 - y2 * x0
            ax2, ay2, az2 = y0 * w1 - w0 * y1, w0 * x1 - x0 * w1, x0 * y1 - y0 * x1
            inverse = 1.0 / (x0 * ax0 + y0 * ay0 + w0 * az0)
            x, y = column + 0.5, row + 0.5
            u0 = (ax0 * x + ay0 * y + az0) * inverse
            u1 = (ax1 * x + ay1 * y + az1) * inverse
            u2 = (ax2 * x + ay2 * y + az2) * inverse
            w = 1.0 / (u0 + u1 + u2)
            mean = (g0 * u0 + g1 * u1 + g2 * u2) * w + gd * w
            g0, g1, g2 = (g0 - mean) * w * inverse, (g1 - mean) * w * inverse, (g2 - mean) * w * inverse
            hx = g0 * ax0 + g1 * ax1 + g2 * ax2
            hy = g0 * ay0 + g1 * ay1 + g2 * ay2
            hw = g0 * az0 + g1 * az1 + g2 * az2
            for i, u in ((i0, u0), (i1, u1), (i2, u2)):
                to_pixels[i, 0] -= u * hx
                to_pixels[i, 1] -= u * hy
                to_pixels[i, 2] -= u * hw


@numba.njit(cache=True, nogil=True)
@no_type_check
def interpolate(attributes, faces, face_id, barycentrics, values):
    """One view. values `h w c` (zeros) = sum_i b_i attributes[faces[face_id, i]], attributes `v c`."""
    for row in range(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            f = face_id[row, column]
            if f < 0:
                continue
            for i in range(3):
                weight, vertex = barycentrics[row, column, i], faces[f, i]
                for k in range(values.shape[2]):
                    values[row, column, k] += weight * attributes[vertex, k]


@numba.njit(cache=True, nogil=True)
@no_type_check
def interpolate_backward(attributes, faces, face_id, barycentrics, to_values, to_attributes, to_barycentrics):
    """One view. Adds the gradients of `interpolate` into the last two arrays."""
    for row in range(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            f = face_id[row, column]
            if f < 0:
                continue
            for i in range(3):
                weight, vertex, total = barycentrics[row, column, i], faces[f, i], 0.0
                for k in range(to_values.shape[2]):
                    to_attributes[vertex, k] += weight * to_values[row, column, k]
                    total += attributes[vertex, k] * to_values[row, column, k]
                to_barycentrics[row, column, i] += total
