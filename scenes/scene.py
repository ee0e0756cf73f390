"""A scene being built: primitives and their materials, in frames that stand on the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .dice import Dice
from .materials import MATERIAL_WIDTH, Colour, Material
from .tracer import BOX, CONE, ELLIPSOID, PRIMITIVE_WIDTH, Float32


@dataclass(frozen=True)
class Frame:
    """A place to put things: its origin and which way it faces (yaw; local +z is the front, y is up)."""

    x: float
    y: float
    z: float
    yaw: float

    def world(self, x: float, z: float) -> tuple[float, float]:
        """World x and z of a local place."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * x + s * z, self.z - s * x + c * z

    def moved(self, x: float, y: float, z: float, yaw: float = 0.0) -> Frame:
        """A frame given in this one's coordinates."""
        wx, wz = self.world(x, z)
        return Frame(wx, self.y + y, wz, self.yaw + yaw)


@dataclass(frozen=True)
class Light:
    """A lamp: where, its colour with power, its size, how dark its shadows are and how fast it falls off."""

    x: float
    y: float
    z: float
    colour: Colour
    extent: float
    shadow: float
    falloff: float


class Scene:
    """Collects what ``draw`` needs. Limits are ``x0, x1, y0, y1, z0, z1`` of the room's inside."""

    def __init__(self, dice: Dice, limits: tuple[float, float, float, float, float, float]) -> None:
        self.dice = dice
        self.limits = limits
        self.primitives: list[tuple[float, ...]] = []
        self.materials: list[Material] = []
        self.faces: list[Material] = []
        self.lights: list[Light] = []
        self.focus: list[tuple[float, float, float]] = []  # things worth looking at
        self.taken: list[tuple[float, float, float]] = []  # floor places in use: x, z, radius

    def _add(
        self,
        kind: int,
        frame: Frame,
        place: tuple[float, float, float],
        half: tuple[float, float, float],
        look: Material,
        turn: tuple[float, float, float],
        bevel: float,
    ) -> None:
        c, s = math.cos(frame.yaw), math.sin(frame.yaw)
        x, y, z = place
        yaw, pitch, roll = turn
        if yaw:
            c, s = math.cos(frame.yaw + yaw), math.sin(frame.yaw + yaw)
        rotation = (c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c)
        if pitch or roll:
            cp, sp, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
            rotation = (
                c * cr + s * sp * sr,
                -c * sr + s * sp * cr,
                s * cp,
                cp * sr,
                cp * cr,
                -sp,
                -s * cr + c * sp * sr,
                s * sr + c * sp * cr,
                c * cp,
            )
        wx, wz = frame.world(x, z)
        wide = max(half[0], half[2]) if kind == CONE else 0.0
        if kind == ELLIPSOID:
            radius = max(half)
        elif kind == CONE:
            radius = math.hypot(wide, half[1])
        else:
            radius = math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
        casts = 1.0 if radius > 0.05 and not look[8] > 0 else 0.0
        self.primitives.append(
            (kind, wx, frame.y + y, wz, *rotation, *half, min(bevel, 0.5 * min(half)), radius, casts, 0.0)
        )
        self.materials.append(look)

    def box(
        self,
        frame: Frame,
        place: tuple[float, float, float],
        half: tuple[float, float, float],
        look: Material,
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        bevel: float = 0.004,
    ) -> None:
        """A box about its centre; ``turn`` is yaw, pitch, roll; ``bevel`` (metres) rounds its edges."""
        self._add(BOX, frame, place, half, look, turn, bevel)

    def ball(
        self,
        frame: Frame,
        place: tuple[float, float, float],
        half: tuple[float, float, float],
        look: Material,
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """An ellipsoid."""
        self._add(ELLIPSOID, frame, place, half, look, turn, 0.0)

    def cone(
        self,
        frame: Frame,
        place: tuple[float, float, float],
        bottom: float,
        half_height: float,
        top: float,
        look: Material,
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """A truncated cone about its middle (a cylinder when both radii are the same)."""
        self._add(CONE, frame, place, (bottom, half_height, top), look, turn, 0.0)

    def limb(
        self,
        frame: Frame,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
        r0: float,
        r1: float,
        look: Material,
    ) -> None:
        """A truncated cone from start (radius r0) to end (radius r1), with a ball at either end."""
        dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        yaw = math.atan2(dx, dz)
        pitch = math.acos(max(-1.0, min(1.0, dy / max(length, 1e-6))))
        middle = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]), 0.5 * (start[2] + end[2]))
        self.cone(frame, middle, r0, 0.5 * length, r1, look, (yaw, pitch, 0.0))
        self.ball(frame, start, (r0, r0, r0), look)
        self.ball(frame, end, (r1, r1, r1), look)

    def light(self, x: float, y: float, z: float, colour: Colour, extent: float, falloff: float) -> None:
        """A lamp with shadows of a random darkness."""
        self.lights.append(Light(x, y, z, colour, extent, self.dice.uniform(0.4, 1.0), falloff))

    def look_at(self, frame: Frame, y: float) -> None:
        """Marks a thing worth looking at."""
        self.focus.append((frame.x, y, frame.z))

    def take(self, x: float, z: float, radius: float, slack: float = 0.8) -> bool:
        """Takes a floor place if nothing else stands there."""
        for ox, oz, other in self.taken:
            reach = slack * (radius + other)
            if (x - ox) ** 2 + (z - oz) ** 2 < reach * reach:
                return False
        self.taken.append((x, z, radius))
        return True

    def arrays(self) -> tuple[Float32, Float32, Float32]:
        """Primitives, materials (the six faces first) and the room's limits for the kernels."""
        primitives = np.array(self.primitives, np.float32).reshape(-1, PRIMITIVE_WIDTH)
        materials = np.array(self.faces + self.materials, np.float32).reshape(-1, MATERIAL_WIDTH)
        return primitives, materials, np.array(self.limits, np.float32)
