"""Numba kernels: light, texture and shadow on what the tracer saw, and smooth edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .textures import SIDE
from .tracer import CONE, ELLIPSOID, FAR, Float32, Int16, enter, hidden, leave_room

_MIRRORS = 0.25  # gloss above which surfaces reflect


@compiled
def _surface(
    p: Float32, sid: int, x: float, y: float, z: float, grain: float
) -> tuple[float, float, float, float, float, float, float]:
    """Normal, texture place (metres) and the face's half extents (0 where nothing can be fitted) at a point of a surface.

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
    x0, y0 = int(math.floor(x)), int(math.floor(y))
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
) -> float:
    """Ambient occlusion from what rises nearby in the picture; ``here`` is the point and its normal."""
    height, width = depth.shape
    reach = max(1.5, 0.22 * focal / depth[i, j])  # pixels that 0.22 m spans here
    shut = 0.0
    for n in range(8):
        far = reach * (0.35 if n & 1 else 1.0)
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
    room: Float32,
    cam: Float32,
    view: Float32,
    focal: float,
    depth: Float32,
    surface: Int16,
    lights: Float32,
    step: int,
) -> tuple[Float32, Float32]:
    """Light let through (blocks, lights) and openness (ambient occlusion), one value per ``step`` x ``step`` pixels.

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
        compass[n, 0], compass[n, 1] = math.sin(0.3927 * n), math.cos(0.3927 * n)
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
                    nx, ny, nz, _, _, _, _ = _surface(p, sid, here[0], here[1], here[2], 1.0)
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
                    # Four places on each lamp in turn: neighbouring blocks are averaged later, which softens the shadow.
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
                    openness[bi, bj] = _openness(cam, view, focal, depth, i, j, here, turn & 1, compass)
    return through, openness


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
            nx, ny, nz, u, v, eu, ev = _surface(p, sid, wx, wy, wz, t / focal)
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


@compiled
def smooth_edges(
    p: Float32,
    room: Float32,
    cam: Float32,
    view: Float32,
    focal: float,
    surface: Int16,
    image: Float32,
    out: Float32,
) -> None:
    """Anti-aliasing: where surfaces meet, every pixel is the mean of four subpixels.

    A subpixel takes the colour of the nearest neighbour with the surface that it sees among its neighbours' surfaces.
    """
    height, width = surface.shape
    seen = np.empty(9, np.int32)
    at = np.empty(9, np.int32)
    for i in range(height):
        for j in range(width):
            count = 0
            for n in range(9):  # the pixel itself first, so that its own colour wins
                a = (n + 4) % 9
                ii, jj = i + a // 3 - 1, j + a % 3 - 1
                if ii < 0 or jj < 0 or ii >= height or jj >= width:
                    continue
                sid = surface[ii, jj]
                known = False
                for m in range(count):
                    if seen[m] == sid:
                        known = True
                if not known:
                    seen[count], at[count] = sid, ii * width + jj
                    count += 1
            if count == 1:
                for c in range(3):
                    out[i, j, c] = image[i, j, c]
                continue
            for c in range(3):
                out[i, j, c] = 0.0
            for s in range(4):
                x = (j + 0.25 + 0.5 * (s & 1) - 0.5 * width) / focal
                y = (0.5 * height - i - 0.25 - 0.5 * (s >> 1)) / focal
                dx = view[0, 0] * x + view[0, 1] * y + view[0, 2]
                dy = view[1, 0] * x + view[1, 1] * y + view[1, 2]
                dz = view[2, 0] * x + view[2, 1] * y + view[2, 2]
                best, who = 2.0 * FAR, at[0]
                for m in range(count):
                    sid = seen[m]
                    t = FAR
                    if sid >= 6:
                        t = enter(p, sid - 6, cam[0], cam[1], cam[2], dx, dy, dz)
                        if t >= FAR:
                            continue
                    elif sid >= 0:
                        t = _face_depth(room, sid, cam, dx, dy, dz)
                    if t < best:
                        best, who = t, at[m]
                for c in range(3):
                    out[i, j, c] += 0.25 * min(image[who // width, who % width, c], 4.0)


@compiled
def _face_depth(room: Float32, sid: int, cam: Float32, dx: float, dy: float, dz: float) -> float:
    """Where the ray crosses the plane of a face of the room (a little less than far when it runs away from it)."""
    axis = sid // 2
    d = dx if axis == 0 else (dy if axis == 1 else dz)
    gap = room[sid] - cam[axis]
    if d * gap <= 1e-12:
        return 0.9 * FAR
    return gap / d
