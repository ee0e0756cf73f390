"""Where a hand-held camera stands and looks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .scene import Scene
from .tracer import Float32, Int16, blocked, see

_TRIES = 60
_ODD_REFUSED, _ODD_TREND = 0.72, -0.5
_PROBE_HEIGHT, _PROBE_WIDTH = 12, 16


class View(NamedTuple):
    """A pinhole camera: position, axes (right, up, forward as columns), focal length in picture widths."""

    position: Float32
    axes: Float32
    focal: float


def aim(position: tuple[float, float, float], yaw: float, pitch: float, roll: float, focal: float) -> View:
    """A view by angles: yaw 0 looks along +z, positive pitch looks up."""
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    forward = np.array([sy * cp, sp, cy * cp])
    right = np.array([cy, 0.0, -sy])
    up = np.cross(forward, right)
    cr, sr = math.cos(roll), math.sin(roll)
    axes = np.stack([cr * right + sr * up, cr * up - sr * right, forward], 1)
    return View(np.array(position, np.float32), np.ascontiguousarray(axes, np.float32), focal)


def _candidate(scene: Scene) -> tuple[View, bool]:
    """A random view, and whether it is a close-up."""
    dice = scene.dice
    x0, x1, _, top, z0, z1 = scene.limits
    roll = dice.normal(0, 0.07) if dice.chance(0.85) else dice.normal(0, 0.25)
    focal = 0.5 / math.tan(math.radians(dice.uniform(45, 82)) / 2)
    target = dice.choice(scene.focus) if scene.focus else (dice.uniform(x0, x1), 1.0, dice.uniform(z0, z1))
    mode = dice.unit()
    if mode < 0.6:  # near a thing: from where a standing or sitting person holds a camera, or closer
        far = dice.log_uniform(0.5, 3.2)
        yaw = dice.uniform(-math.pi, math.pi)
        y = min(
            top - 0.3, dice.normal(1.35, 0.22) if dice.chance(0.8) else target[1] + dice.uniform(0.1, 0.8)
        )
        level = max(0.35, math.sqrt(max(0.0, far * far - (y - target[1]) ** 2)))
        x, z = target[0] - math.sin(yaw) * level, target[2] - math.cos(yaw) * level
        yaw += dice.normal(0, 0.22)
        pitch = math.atan2(target[1] - y, level) + dice.normal(0.05, 0.13)
        return aim((x, y, z), yaw, max(-1.15, min(0.3, pitch)), roll, focal), True
    x, z = dice.uniform(x0 + 0.2, x1 - 0.2), dice.uniform(z0 + 0.2, z1 - 0.2)
    y = min(top - 0.3, dice.normal(1.45, 0.18) if dice.chance(0.85) else dice.uniform(0.4, 2.2))
    if mode < 0.85:  # look at a thing from anywhere
        dx, dz = target[0] - x, target[2] - z
        yaw = math.atan2(dx, dz) + dice.normal(0, 0.2)
        pitch = math.atan2(0.8 * target[1] - y, max(0.6, math.hypot(dx, dz))) + dice.normal(0, 0.13)
        return aim((x, y, z), yaw, max(-1.1, min(0.3, pitch)), roll, focal), False
    pitch = dice.normal(-0.28, 0.2) if dice.chance(0.85) else dice.uniform(-1.0, 0.3)
    return aim((x, y, z), dice.uniform(-math.pi, math.pi), pitch, roll, focal), False


def choose_view(scene: Scene, primitives: Float32, room: Float32) -> View:
    """A view from a free place that sees neither too near nor nothing."""
    dice = scene.dice
    x0, x1, y0, y1, z0, z1 = scene.limits
    depth = np.empty((_PROBE_HEIGHT, _PROBE_WIDTH), np.float32)
    surface: Int16 = np.empty((_PROBE_HEIGHT, _PROBE_WIDTH), np.int16)
    view = aim((0.5 * (x0 + x1), min(1.4, y1 - 0.3), 0.5 * (z0 + z1)), 0.0, -0.2, 0.0, 0.8)
    for _ in range(_TRIES):
        view, close = _candidate(scene)
        x, y, z = (float(v) for v in view.position)
        if not (x0 + 0.12 < x < x1 - 0.12 and y0 + 0.15 < y < y1 - 0.1 and z0 + 0.12 < z < z1 - 0.12):
            continue
        if blocked(primitives, x, y, z, 0.08):
            continue
        see(primitives, room, view.position, view.axes, view.focal * _PROBE_WIDTH, depth, surface)
        low, middle = np.partition(depth.ravel(), (9, 96))[[9, 96]]
        if low < 0.25 or middle < (0.55 if close else 0.8):
            continue
        kinds = len(np.unique(surface))
        if kinds < 8 and dice.chance(0.85 if kinds < 5 else 0.6):
            continue
        # In photos taken by hand what is lower is nearly always nearer; near side walls are rare.
        if dice.chance(_ODD_REFUSED) and _row_trend(depth) > _ODD_TREND:
            continue
        return view
    return view


def _row_trend(depth: Float32) -> float:
    """Correlation of log depth with the image row: -1 where depth falls steadily from top to bottom."""
    log = np.log(depth)
    rows = np.linspace(-1.0, 1.0, depth.shape[0])[:, None]
    spread = float(log.std()) * float(np.sqrt(np.mean(rows * rows)))
    return float(np.mean((log - log.mean()) * rows)) / max(spread, 1e-6)
