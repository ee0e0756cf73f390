"""Numba kernels: which lamps reach a place, and how open it is to the light from all around."""

from __future__ import annotations

import math

import numpy as np

from .compiled import compiled
from .surfaces import surface_at
from .tracer import Float32, Int16, hidden


@compiled
def _between(p: Float32, casters: Int16, light: Float32, low: Float32, high: Float32, out: Int16) -> int:
    """Writes the casters that can come between a light and the points of a box; how many they are."""
    cx, cy, cz = 0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), 0.5 * (low[2] + high[2])
    ex, ey, ez = high[0] - cx, high[1] - cy, high[2] - cz
    around = max(math.sqrt(ex * ex + ey * ey + ez * ez), 0.75 * light[6]) + 0.02
    dx, dy, dz = light[0] - cx, light[1] - cy, light[2] - cz
    length2 = dx * dx + dy * dy + dz * dz + 1e-9
    count = 0
    for i in range(casters.shape[0]):
        k = casters[i]
        rx, ry, rz = p[k, 1] - cx, p[k, 2] - cy, p[k, 3] - cz
        s = min(1.0, max(0.0, (rx * dx + ry * dy + rz * dz) / length2))
        gx, gy, gz = rx - s * dx, ry - s * dy, rz - s * dz
        reach = p[k, 17] + around
        if gx * gx + gy * gy + gz * gz < reach * reach:
            out[count] = k
            count += 1
    return count


@compiled
def _openness(
    cam: Float32,
    view: Float32,
    focal: float,
    depth: Float32,
    i: int,
    j: int,
    here: Float32,
    turn: int,
    compass: Float32,
    reach: float,
) -> float:
    """Ambient occlusion from what rises nearby in the picture; ``here`` is the point and its normal."""
    height, width = depth.shape
    radius = max(1.5, reach * focal / depth[i, j])  # in pixels
    shut = 0.0
    for n in range(8):
        far = radius * (0.35 if n & 1 else 1.0)
        m = 2 * n + turn
        ii, jj = int(i + far * compass[m, 0]), int(j + far * compass[m, 1])
        if 0 <= ii < height and 0 <= jj < width:
            x = (jj + 0.5 - 0.5 * width) / focal
            y = (0.5 * height - ii - 0.5) / focal
            s = depth[ii, jj]
            vx = cam[0] + s * (view[0, 0] * x + view[0, 1] * y + view[0, 2]) - here[0]
            vy = cam[1] + s * (view[1, 0] * x + view[1, 1] * y + view[1, 2]) - here[1]
            vz = cam[2] + s * (view[2, 0] * x + view[2, 1] * y + view[2, 2]) - here[2]
            d2 = vx * vx + vy * vy + vz * vz + 1e-6
            rise = (vx * here[3] + vy * here[4] + vz * here[5]) / math.sqrt(d2)
            if rise > 0.1:
                shut += rise / (1.0 + 12.0 * d2)
    return max(0.12, 1.0 - 0.26 * shut)


@compiled
def soft_shadows(
    p: Float32,
    casters: Int16,
    cam: Float32,
    view: Float32,
    focal: float,
    depth: Float32,
    surface: Int16,
    lights: Float32,
    step: int,
    reach: float,
    spin: float,
) -> tuple[Float32, Float32]:
    """Light let through and openness (ambient occlusion), one value per ``step`` x ``step`` pixels.

    Blocks are taken in tiles, and a tile first looks which casters can matter to it at all.
    """
    height, width = depth.shape
    rows, columns = (height + step - 1) // step, (width + step - 1) // step
    through = np.ones((rows, columns, lights.shape[0]), np.float32)
    openness = np.ones((rows, columns), np.float32)
    half = step // 2
    tile = 6
    points = np.empty((tile * tile, 6), np.float32)
    matter = np.empty((lights.shape[0], casters.shape[0]), np.int16)
    counts = np.zeros(lights.shape[0], np.int32)
    low, high = np.empty(3, np.float32), np.empty(3, np.float32)
    compass = np.empty((16, 2), np.float32)
    for n in range(16):
        compass[n, 0], compass[n, 1] = math.sin(0.3927 * n + spin), math.cos(0.3927 * n + spin)
    for ti in range(0, rows, tile):
        for tj in range(0, columns, tile):
            low[:] = 1e9
            high[:] = -1e9
            for bi in range(ti, min(rows, ti + tile)):
                i = min(height - 1, bi * step + half)
                y = (0.5 * height - i - 0.5) / focal
                for bj in range(tj, min(columns, tj + tile)):
                    j = min(width - 1, bj * step + half)
                    sid = surface[i, j]
                    if sid < 0:
                        continue
                    x = (j + 0.5 - 0.5 * width) / focal
                    t = depth[i, j]
                    here = points[(bi - ti) * tile + bj - tj]
                    for c in range(3):
                        here[c] = cam[c] + t * (view[c, 0] * x + view[c, 1] * y + view[c, 2])
                        low[c] = min(low[c], here[c])
                        high[c] = max(high[c], here[c])
                    nx, ny, nz, _, _, _, _ = surface_at(p, sid, here[0], here[1], here[2], 1.0)
                    here[3], here[4], here[5] = nx, ny, nz
            if low[0] > high[0]:
                continue
            for q in range(lights.shape[0]):
                counts[q] = _between(p, casters, lights[q], low, high, matter[q]) if lights[q, 7] > 0.0 else 0
            for bi in range(ti, min(rows, ti + tile)):
                i = min(height - 1, bi * step + half)
                for bj in range(tj, min(columns, tj + tile)):
                    j = min(width - 1, bj * step + half)
                    if surface[i, j] < 0:
                        continue
                    here = points[(bi - ti) * tile + bj - tj]
                    # Four places on each lamp in turn; the shader averages neighbours, which softens shadows.
                    turn = (bi & 1) * 2 + (bj & 1)
                    jx = 0.7 if turn == 0 else (-0.7 if turn == 3 else 0.0)
                    jz = 0.7 if turn == 1 else (-0.7 if turn == 2 else 0.0)
                    ox, oy, oz = (
                        here[0] + here[3] * 0.012,
                        here[1] + here[4] * 0.012,
                        here[2] + here[5] * 0.012,
                    )
                    for q in range(lights.shape[0]):
                        if counts[q] == 0:
                            continue
                        dx = lights[q, 0] + jx * lights[q, 6] - ox
                        dy = lights[q, 1] - oy
                        dz = lights[q, 2] + jz * lights[q, 6] - oz
                        if dx * here[3] + dy * here[4] + dz * here[5] > 0.0 and hidden(
                            p, matter, q, counts[q], ox, oy, oz, dx, dy, dz
                        ):
                            through[bi, bj, q] = 1.0 - lights[q, 7]
                    openness[bi, bj] = _openness(
                        cam, view, focal, depth, i, j, here, turn & 1, compass, reach
                    )
    return through, openness
