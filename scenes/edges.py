"""Numba kernels: smooth edges."""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .tracer import FAR, Float32, Int16, enter


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

    A subpixel takes the colour of a pixel nearby that shows the same surface; only the surfaces of the nine
    pixels around are tried.
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
    """Where the ray crosses a face of the room (a little less than far when it runs away from it)."""
    axis = sid // 2
    d = dx if axis == 0 else (dy if axis == 1 else dz)
    gap = room[sid] - cam[axis]
    if d * gap <= 1e-12:
        return 0.9 * FAR
    return float(gap / d)
