"""Numba kernels: normals and texture places on surfaces."""

from __future__ import annotations

import math

from .compiled import compiled
from .tracer import CONE, ELLIPSOID, Float32


@compiled
def surface_at(
    p: Float32, sid: int, x: float, y: float, z: float, grain: float
) -> tuple[float, float, float, float, float, float, float]:
    """Normal, texture place (metres) and the face's half extents at a point (0: nothing can be fitted).

    Rounded edges narrower than ``grain`` (a pixel, in metres) are left out: they would sparkle.
    """
    if sid < 6:
        if sid == 0:
            return 1.0, 0.0, 0.0, z, y, 0.0, 0.0
        if sid == 1:
            return -1.0, 0.0, 0.0, z, y, 0.0, 0.0
        if sid == 2:
            return 0.0, 1.0, 0.0, x, z, 0.0, 0.0
        if sid == 3:
            return 0.0, -1.0, 0.0, x, z, 0.0, 0.0
        if sid == 4:
            return 0.0, 0.0, 1.0, x, y, 0.0, 0.0
        return 0.0, 0.0, -1.0, x, y, 0.0, 0.0
    k = sid - 6
    rx, ry, rz = x - p[k, 1], y - p[k, 2], z - p[k, 3]
    lx = rx * p[k, 4] + ry * p[k, 7] + rz * p[k, 10]
    ly = rx * p[k, 5] + ry * p[k, 8] + rz * p[k, 11]
    lz = rx * p[k, 6] + ry * p[k, 9] + rz * p[k, 12]
    hx, hy, hz = p[k, 13], p[k, 14], p[k, 15]
    kind = int(p[k, 0])
    nx, ny, nz, u, v, eu, ev = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == ELLIPSOID:
        nx, ny, nz = lx / (hx * hx), ly / (hy * hy), lz / (hz * hz)
        u, v, eu, ev = math.atan2(lx, lz) * max(hx, hz), ly, 3.1416 * max(hx, hz), hy
    elif kind == CONE:
        if abs(ly) > hy * 0.9995:
            ny = 1.0 if ly > 0 else -1.0
            u, v, eu, ev = lx, lz, 0.0, 0.0
        else:
            nx, nz = lx, lz
            ny = (hx - hz) / (2.0 * hy) * math.sqrt(lx * lx + lz * lz)
            radius = max(hx, hz)
            u, v, eu, ev = math.atan2(lx, lz) * radius, ly, 3.1416 * radius, hy
    else:
        gx, gy, gz = hx - abs(lx), hy - abs(ly), hz - abs(lz)
        sx = 1.0 if lx > 0 else -1.0
        sy = 1.0 if ly > 0 else -1.0
        sz = 1.0 if lz > 0 else -1.0
        if gx <= gy and gx <= gz:
            nx, u, v, eu, ev = sx, lz * -sx, ly, hz, hy
        elif gy <= gz:
            ny, u, v, eu, ev = sy, lx, lz, hx, hz
        else:
            nz, u, v, eu, ev = sz, lx * sz, ly, hx, hy
        bevel = p[k, 16]
        if bevel > grain:  # rounded edges: the normal leans over towards the neighbouring face
            if gx < bevel:
                nx = sx * max(abs(nx), 1.0 - gx / bevel)
            if gy < bevel:
                ny = sy * max(abs(ny), 1.0 - gy / bevel)
            if gz < bevel:
                nz = sz * max(abs(nz), 1.0 - gz / bevel)
    wx = p[k, 4] * nx + p[k, 5] * ny + p[k, 6] * nz
    wy = p[k, 7] * nx + p[k, 8] * ny + p[k, 9] * nz
    wz = p[k, 10] * nx + p[k, 11] * ny + p[k, 12] * nz
    size = math.sqrt(wx * wx + wy * wy + wz * wz) + 1e-9
    return wx / size, wy / size, wz / size, u, v, eu, ev
