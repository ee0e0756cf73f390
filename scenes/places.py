"""All kinds of places, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable

from .dice import Dice
from .halls import classroom, corridor, hall, lounge, office, shop, stairwell, storage
from .homes import bathroom, bedroom, kitchen, library, living_room, two_rooms
from .outdoors import street
from .scene import Scene

PLACES: tuple[tuple[Callable[[Dice], Scene], float], ...] = (
    (living_room, 1.3),
    (bedroom, 1.2),
    (office, 2.0),
    (kitchen, 1.6),
    (bathroom, 0.8),
    (corridor, 1.1),
    (hall, 0.8),
    (shop, 0.5),
    (classroom, 0.9),
    (lounge, 0.9),
    (stairwell, 0.6),
    (storage, 0.6),
    (library, 0.7),
    (two_rooms, 1.0),
    (street, 0.4),
)
