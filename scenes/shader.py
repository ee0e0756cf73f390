"""Numba kernels: light and texture on what the tracer saw."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .surfaces import surface_at
from .textures import SIDE
from .tracer import FAR, Float32, Int16, enter, leave_room

_MIRRORS = 0.25  # gloss above which surfaces reflect


@compiled
def _texel(
    texels: NDArray[np.uint8],
    starts: NDArray[np.int64],
    m: int,
    u: float,
    v: float,
    footprint: float,
    out: Float32,
) -> None:
    """Bilinear sample of texture ``m`` in the level whose texels fit the pixel's footprint (in repeats)."""
    level, size = 0, SIDE
    grain = footprint * SIDE
    while grain > 1.8 and level < starts.shape[0] - 1:
        grain *= 0.5
        size //= 2
        level += 1
    x = (u - math.floor(u)) * size - 0.5
    y = (v - math.floor(v)) * size - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    fx, fy = x - x0, y - y0
    # size is a power of two, so that & wraps around
    x1, y1 = (x0 + 1) & (size - 1), (y0 + 1) & (size - 1)
    x0, y0 = x0 & (size - 1), y0 & (size - 1)
    start = starts[level] + m * size * size * 3
    a, b = start + (y0 * size + x0) * 3, start + (y0 * size + x1) * 3
    c, d = start + (y1 * size + x0) * 3, start + (y1 * size + x1) * 3
    for n in range(3):
        top = texels[a + n] * (1.0 - fx) + texels[b + n] * fx
        low = texels[c + n] * (1.0 - fx) + texels[d + n] * fx
        out[n] = (top * (1.0 - fy) + low * fy) * (1.0 / 255.0)


@compiled
def _glimpse(
    p: Float32, room: Float32, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> int:
    """The surface that a ray of unit length direction meets first."""
    best, sid = FAR, -1
    if room.shape[0] > 0:
        best, sid = leave_room(room, ox, oy, oz, dx, dy, dz)
    for k in range(p.shape[0]):
        rx, ry, rz = p[k, 1] - ox, p[k, 2] - oy, p[k, 3] - oz
        m = rx * dx + ry * dy + rz * dz
        if m < -p[k, 17] or m - p[k, 17] > best or p[k, 17] < 0.04:
            continue
        if rx * rx + ry * ry + rz * rz - m * m < p[k, 17] * p[k, 17]:
            t = enter(p, k, ox, oy, oz, dx, dy, dz)
            if t < best:
                best, sid = t, 6 + k
    return sid


@compiled
def shade(
    p: Float32,
    mats: Float32,
    texels: NDArray[np.uint8],
    starts: NDArray[np.int64],
    room: Float32,
    cam: Float32,
    view: Float32,
    focal: float,
    depth: Float32,
    surface: Int16,
    lights: Float32,
    sky: Float32,
    through: Float32,
    openness: Float32,
    step: int,
    image: Float32,
) -> None:
    """Fills the linear image (H, W, 3).

    ``lights`` rows: position, colour (power included), size, shadow strength, falloff per square metre.
    ``sky``: ambient colour from above (3) and from below (3).
    """
    height, width = depth.shape
    rows, columns = openness.shape
    tex = np.empty(3, np.float32)
    lit = np.empty(3, np.float32)
    shine = np.empty(3, np.float32)
    near_i = np.empty(4, np.int32)
    near_j = np.empty(4, np.int32)
    for i in range(height):
        y = (0.5 * height - i - 0.5) / focal
        for j in range(width):
            sid = surface[i, j]
            if sid < 0:
                continue
            t = depth[i, j]
            x = (j + 0.5 - 0.5 * width) / focal
            dx = view[0, 0] * x + view[0, 1] * y + view[0, 2]
            dy = view[1, 0] * x + view[1, 1] * y + view[1, 2]
            dz = view[2, 0] * x + view[2, 1] * y + view[2, 2]
            wx, wy, wz = cam[0] + t * dx, cam[1] + t * dy, cam[2] + t * dz
            nx, ny, nz, u, v, eu, ev = surface_at(p, sid, wx, wy, wz, t / focal)
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            facing = abs(dx * nx + dy * ny + dz * nz) / length
            su, sv = mats[sid, 1], mats[sid, 2]
            if mats[sid, 5] > 0.0 and eu > 0.0:
                su, sv = 0.5 / eu, -0.5 / ev
                u, v = u * su + 0.5, v * sv + 0.5
                u, v = min(0.999, max(0.0, u)), min(0.999, max(0.0, v))
            else:
                if mats[sid, 6] > 0.0:
                    u, v = v, u
                u, v = u * su + mats[sid, 3], v * sv + mats[sid, 4]
            spread = t / focal / math.sqrt(max(0.06, facing))
            _texel(texels, starts, int(mats[sid, 0]), u, v, spread * math.sqrt(abs(su * sv)), tex)
            for c in range(3):
                ambient = sky[c] * (0.5 + 0.5 * ny) + sky[3 + c] * (0.5 - 0.5 * ny)
                lit[c] = ambient
                shine[c] = 0.0
            # 2 x 2 blocks hold each of the four places on a lamp once, so their plain mean shows no pattern.
            top, left = (i - step // 2) // step, (j - step // 2) // step
            count, dim = 0, 0.0
            for e in range(4):
                ei = min(rows - 1, max(0, top + (e >> 1)))
                ej = min(columns - 1, max(0, left + (e & 1)))
                if (
                    surface[min(height - 1, ei * step + step // 2), min(width - 1, ej * step + step // 2)]
                    == sid
                ):
                    near_i[count], near_j[count] = ei, ej
                    count += 1
                    dim += openness[ei, ej]
            if count == 0:  # a thin thing that no block's middle met: the mean of what is around
                for e in range(4):
                    near_i[e] = min(rows - 1, max(0, top + (e >> 1)))
                    near_j[e] = min(columns - 1, max(0, left + (e & 1)))
                    dim += openness[near_i[e], near_j[e]]
                count = 4
            dim /= count
            gloss = mats[sid, 7]
            for q in range(lights.shape[0]):
                share = 0.0
                for e in range(count):
                    share += through[near_i[e], near_j[e], q]
                share /= count
                lx, ly, lz = lights[q, 0] - wx, lights[q, 1] - wy, lights[q, 2] - wz
                d2 = lx * lx + ly * ly + lz * lz + 1e-4
                d = math.sqrt(d2)
                slant = (lx * nx + ly * ny + lz * nz) / d
                if slant > 0.0:
                    power = share / (1.0 + lights[q, 8] * d2)
                    for c in range(3):
                        lit[c] += lights[q, 3 + c] * power * slant
                    if gloss <= 0.02:
                        continue
                    # half way between the lamp and the eye
                    hx, hy, hz = lx / d - dx / length, ly / d - dy / length, lz / d - dz / length
                    hs = (hx * nx + hy * ny + hz * nz) / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
                    hs2 = hs * hs
                    hs8 = hs2 * hs2 * hs2 * hs2
                    spark = hs8 * hs8 * hs8 * hs8 * gloss if hs > 0.0 else 0.0
                    for c in range(3):
                        shine[c] += lights[q, 3 + c] * power * spark
            if gloss > _MIRRORS and ny > 0.9:  # a polished floor or table shows what stands on it
                cosine = min(1.0, -(dx * nx + dy * ny + dz * nz) / length)
                share = (gloss - _MIRRORS) * (0.08 + 0.9 * (1.0 - cosine) ** 3)
                other = _glimpse(
                    p,
                    room,
                    wx + 0.01 * nx,
                    wy + 0.01 * ny,
                    wz + 0.01 * nz,
                    dx / length,
                    -dy / length,
                    dz / length,
                )
                if other >= 0:
                    for c in range(3):
                        tone = 0.5 * (mats[other, 9 + c] + mats[other, 12 + c])
                        shine[c] += share * tone * (0.7 * lit[c] + mats[other, 8])
            glow = mats[sid, 8]
            for c in range(3):
                base = mats[sid, 9 + c] + (mats[sid, 12 + c] - mats[sid, 9 + c]) * tex[c]
                image[i, j, c] = base * (lit[c] * dim + glow) + shine[c] * dim
