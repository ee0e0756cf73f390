"""Numba kernels: which primitive every pixel sees, how far it is, and whether a light is hidden.

A primitive is a row of ``PRIMITIVE_WIDTH`` float32 numbers:
``kind, cx, cy, cz, r00 … r22 (columns are the local axes), hx, hy, hz, bevel, radius, casts, unused``.
``radius`` is that of its bounding sphere. Kinds: a box; an ellipsoid; a truncated cone about the local y axis
whose bottom radius is hx and top radius is hz. The room is the inside of an axis-aligned box
``x0, x1, y0, y1, z0, z1``; its six faces are surfaces 0-5 (x0, x1, floor, ceiling, z0, z1), primitive k is
surface 6 + k, and -1 is nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled

PRIMITIVE_WIDTH = 20
BOX, ELLIPSOID, CONE = 0, 1, 2
NEAR = 0.02
FAR = 1e9

Float32 = NDArray[np.float32]
Int16 = NDArray[np.int16]


@compiled
def _safe(value: float) -> float:
    """The value, kept away from zero so that it can divide."""
    if -1e-9 < value < 1e-9:
        return 1e-9
    return value


@compiled
def _enter_box(p: Float32, k: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    dx, dy, dz = _safe(dx), _safe(dy), _safe(dz)
    hx, hy, hz = p[k, 13], p[k, 14], p[k, 15]
    ax, bx = (-hx - ox) / dx, (hx - ox) / dx
    ay, by = (-hy - oy) / dy, (hy - oy) / dy
    az, bz = (-hz - oz) / dz, (hz - oz) / dz
    near = max(min(ax, bx), min(ay, by), min(az, bz))
    far = min(max(ax, bx), max(ay, by), max(az, bz))
    if near < far and near > NEAR:
        return float(near)
    return FAR


@compiled
def _enter_ellipsoid(
    p: Float32, k: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> float:
    hx, hy, hz = p[k, 13], p[k, 14], p[k, 15]
    ox, oy, oz, dx, dy, dz = ox / hx, oy / hy, oz / hz, dx / hx, dy / hy, dz / hz
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    # The closest approach first: float32 loses the difference of two large squares.
    m = b / a
    qx, qy, qz = ox - m * dx, oy - m * dy, oz - m * dz
    gap = 1.0 - (qx * qx + qy * qy + qz * qz)
    if gap <= 0.0:
        return FAR
    t = -m - math.sqrt(gap / a)
    return t if t > NEAR else FAR


@compiled
def _enter_cone(
    p: Float32, k: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> float:
    h = p[k, 14]
    slope = (p[k, 15] - p[k, 13]) / (2.0 * h)
    middle = 0.5 * (p[k, 13] + p[k, 15])
    best = FAR
    ro, rd = middle + slope * oy, slope * dy
    a = dx * dx + dz * dz - rd * rd
    b = ox * dx + oz * dz - ro * rd
    c = ox * ox + oz * oz - ro * ro
    disc = b * b - a * c
    if disc > 0.0 and abs(a) > 1e-12:
        root = math.sqrt(disc)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            if NEAR < t < best:
                y = oy + dy * t
                if -h < y < h and middle + slope * y > 0.0:
                    best = t
    if abs(dy) > 1e-9:
        for end in (-1.0, 1.0):
            t = (end * h - oy) / dy
            if NEAR < t < best:
                x, z = ox + dx * t, oz + dz * t
                r = p[k, 15] if end > 0 else p[k, 13]
                if x * x + z * z < r * r:
                    best = t
    return best


@compiled
def enter(p: Float32, k: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Where the ray enters primitive ``k``, in lengths of its direction; ``FAR`` if it does not."""
    rx, ry, rz = ox - p[k, 1], oy - p[k, 2], oz - p[k, 3]
    lx = rx * p[k, 4] + ry * p[k, 7] + rz * p[k, 10]
    ly = rx * p[k, 5] + ry * p[k, 8] + rz * p[k, 11]
    lz = rx * p[k, 6] + ry * p[k, 9] + rz * p[k, 12]
    ex = dx * p[k, 4] + dy * p[k, 7] + dz * p[k, 10]
    ey = dx * p[k, 5] + dy * p[k, 8] + dz * p[k, 11]
    ez = dx * p[k, 6] + dy * p[k, 9] + dz * p[k, 12]
    kind = int(p[k, 0])
    if kind == BOX:
        return _enter_box(p, k, lx, ly, lz, ex, ey, ez)
    if kind == ELLIPSOID:
        return _enter_ellipsoid(p, k, lx, ly, lz, ex, ey, ez)
    return _enter_cone(p, k, lx, ly, lz, ex, ey, ez)


@compiled
def leave_room(
    room: Float32, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, int]:
    """Where a ray from inside meets the room's faces, and which face."""
    dx, dy, dz = _safe(dx), _safe(dy), _safe(dz)
    best = ((room[1] if dx > 0 else room[0]) - ox) / dx
    face = 1 if dx > 0 else 0
    t = ((room[3] if dy > 0 else room[2]) - oy) / dy
    if t < best:
        best, face = t, (3 if dy > 0 else 2)
    t = ((room[5] if dz > 0 else room[4]) - oz) / dz
    if t < best:
        best, face = t, (5 if dz > 0 else 4)
    return best, face


@compiled
def hidden(
    p: Float32,
    casters: Int16,
    q: int,
    count: int,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> bool:
    """Whether one of the first ``count`` casters of row ``q`` lies between o and o + d (a light)."""
    length2 = dx * dx + dy * dy + dz * dz
    for i in range(count):
        k = casters[q, i]
        rx, ry, rz = p[k, 1] - ox, p[k, 2] - oy, p[k, 3] - oz
        m = rx * dx + ry * dy + rz * dz
        r2 = p[k, 17] * p[k, 17]
        s = min(1.0, max(0.0, m / length2))
        gx, gy, gz = rx - s * dx, ry - s * dy, rz - s * dz
        if gx * gx + gy * gy + gz * gz < r2 and enter(p, k, ox, oy, oz, dx, dy, dz) < 0.98:
            return True
    return False


@compiled
def blocked(p: Float32, x: float, y: float, z: float, margin: float) -> bool:
    """Whether the point lies in a primitive's bounding box grown by the margin."""
    for k in range(p.shape[0]):
        rx, ry, rz = x - p[k, 1], y - p[k, 2], z - p[k, 3]
        reach = p[k, 17] + 2.0 * margin
        if rx * rx + ry * ry + rz * rz > reach * reach:
            continue
        lx = rx * p[k, 4] + ry * p[k, 7] + rz * p[k, 10]
        ly = rx * p[k, 5] + ry * p[k, 8] + rz * p[k, 11]
        lz = rx * p[k, 6] + ry * p[k, 9] + rz * p[k, 12]
        hx, hz = p[k, 13], p[k, 15]
        if int(p[k, 0]) == CONE:
            hx = hz = max(hx, hz)
        if abs(lx) < hx + margin and abs(ly) < p[k, 14] + margin and abs(lz) < hz + margin:
            return True
    return False


@compiled
def _window(
    p: Float32, k: int, cam: Float32, view: Float32, focal: float, height: int, width: int
) -> tuple[int, int, int, int]:
    """The pixels (top, bottom, left, right; half open) that can see primitive ``k``: its box, projected."""
    hx, hy, hz = p[k, 13], p[k, 14], p[k, 15]
    if int(p[k, 0]) == CONE:
        hx = hz = max(hx, hz)
    xs = np.empty(8, np.float32)
    ys = np.empty(8, np.float32)
    zs = np.empty(8, np.float32)
    for c in range(8):
        lx = hx if c & 1 else -hx
        ly = hy if c & 2 else -hy
        lz = hz if c & 4 else -hz
        wx = p[k, 1] + p[k, 4] * lx + p[k, 5] * ly + p[k, 6] * lz - cam[0]
        wy = p[k, 2] + p[k, 7] * lx + p[k, 8] * ly + p[k, 9] * lz - cam[1]
        wz = p[k, 3] + p[k, 10] * lx + p[k, 11] * ly + p[k, 12] * lz - cam[2]
        xs[c] = view[0, 0] * wx + view[1, 0] * wy + view[2, 0] * wz
        ys[c] = view[0, 1] * wx + view[1, 1] * wy + view[2, 1] * wz
        zs[c] = view[0, 2] * wx + view[1, 2] * wy + view[2, 2] * wz
    left, right, top, bottom = 1e9, -1e9, 1e9, -1e9
    for c in range(8):
        if zs[c] > NEAR:
            x, y = xs[c] / zs[c], -ys[c] / zs[c]
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        for axis in range(3):  # the edges cut by the near plane
            o = c ^ (1 << axis)
            if o > c and (zs[c] > NEAR) != (zs[o] > NEAR):
                s = (NEAR - zs[c]) / (zs[o] - zs[c])
                x = (xs[c] + s * (xs[o] - xs[c])) / NEAR
                y = -(ys[c] + s * (ys[o] - ys[c])) / NEAR
                left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    if left > right:
        return 0, 0, 0, 0
    limit = 1e6
    first = int(max(0.0, min(limit, math.floor(left * focal + 0.5 * width - 0.5))))
    last = int(min(float(width), max(-limit, math.ceil(right * focal + 0.5 * width + 0.5))))
    above = int(max(0.0, min(limit, math.floor(top * focal + 0.5 * height - 0.5))))
    below = int(min(float(height), max(-limit, math.ceil(bottom * focal + 0.5 * height + 0.5))))
    return above, below, first, last


@compiled
def see(
    p: Float32, room: Float32, cam: Float32, view: Float32, focal: float, depth: Float32, surface: Int16
) -> None:
    """Fills z-depth and the surface number of every pixel.

    Args:
        p: Primitives (N, PRIMITIVE_WIDTH).
        room: Six limits, or an empty array where there is no room (depth is then ``FAR``, surface -1).
        cam: The camera's position (3,).
        view: Its right, up and forward axes as columns (3, 3).
        focal: Focal length in pixels.
        depth: Out, float32 (H, W).
        surface: Out, int16 (H, W).
    """
    height, width = depth.shape
    for i in range(height):
        y = (0.5 * height - i - 0.5) / focal
        for j in range(width):
            if room.shape[0] == 0:
                depth[i, j], surface[i, j] = FAR, -1
                continue
            x = (j + 0.5 - 0.5 * width) / focal
            t, face = leave_room(
                room,
                cam[0],
                cam[1],
                cam[2],
                view[0, 0] * x + view[0, 1] * y + view[0, 2],
                view[1, 0] * x + view[1, 1] * y + view[1, 2],
                view[2, 0] * x + view[2, 1] * y + view[2, 2],
            )
            depth[i, j], surface[i, j] = t, face
    for k in range(p.shape[0]):
        above, below, first, last = _window(p, k, cam, view, focal, height, width)
        for i in range(above, below):
            y = (0.5 * height - i - 0.5) / focal
            bx = view[0, 1] * y + view[0, 2]
            by = view[1, 1] * y + view[1, 2]
            bz = view[2, 1] * y + view[2, 2]
            for j in range(first, last):
                x = (j + 0.5 - 0.5 * width) / focal
                t = enter(
                    p,
                    k,
                    cam[0],
                    cam[1],
                    cam[2],
                    view[0, 0] * x + bx,
                    view[1, 0] * x + by,
                    view[2, 0] * x + bz,
                )
                if t < depth[i, j]:
                    depth[i, j], surface[i, j] = t, 6 + k
