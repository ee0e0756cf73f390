"""Where pictures are looked for: one small class a source, all of one shape.

Another source is one file with such a class and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from .base import Source
from .bing import Bing
from .openverse import Openverse
from .urls import UrlList

SOURCES: dict[str, Callable[[], Source]] = {
    Openverse.name: Openverse,
    Bing.name: Bing,
    UrlList.name: UrlList,
}
