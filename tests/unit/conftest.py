"""A web server on this machine that behaves in every way that servers do; weights of a small depth net."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from mdeas.pipeline import safe_connection
from mdeas.pipeline.http_client import Client, Limits
from PIL import Image

# Waits between requests are short; the limits of time are not, so that a busy machine fails no test.
FAST = Limits(
    connect_s=10,
    read_s=10,
    total_s=20,
    max_bytes=100_000,
    redirects=3,
    tries=3,
    backoff_s=0.01,
    longest_wait_s=2,
    pause_s=0,
)

Answer = tuple[int, dict[str, str], bytes]
Route = Answer | Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by the routes of its web; routes are whole answers or functions that write one."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.web.hits.append((path, {key.lower(): value for key, value in self.headers.items()}))
        route = self.web.routes.get(path, (404, {}, b"nothing here"))
        try:
            if callable(route):
                route(self)
            else:
                self.answer(*route)
        except OSError:  # the client has had enough
            self.close_connection = True

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            for part in value.split("\n"):
                self.send_header(name, part)
        self.end_headers()
        self.wfile.write(body)

    def fields(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    def trickle(self, piece: bytes, pause_s: float) -> None:
        """Send the same piece for ever."""
        while not self.web.closing.is_set():
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(pause_s)

    def log_message(self, *_: object) -> None:
        pass


class Web:
    """The server: its routes and what was asked of it."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.hits: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        handler = type("BoundHandler", (Handler,), {"web": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        """What was asked for, without robots.txt."""
        return [path for path, _ in self.hits if path != "/robots.txt"]

    def picture(self, path: str, seed: int, kind: str = "PNG", size: tuple[int, int] = (96, 80)) -> bytes:
        data = draw(seed, kind, size)
        self.routes[path] = (200, {"Content-Type": f"image/{kind.lower()}"}, data)
        return data


def draw(seed: int, kind: str = "PNG", size: tuple[int, int] = (96, 80)) -> bytes:
    """A small picture of the format ``kind``, another one for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(file, kind)
    return file.getvalue()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    thread = threading.Thread(target=web.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield web
    web.closing.set()
    web.server.shutdown()
    web.server.server_close()
    thread.join()


@pytest.fixture
def client() -> Client:
    """May reach the server, which lives on a private address."""
    return Client(FAST, allow_private=True)


@pytest.fixture
def pretend_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 passes for an address of the internet; every other one is judged as it is."""
    judge = safe_connection.is_public
    monkeypatch.setattr(safe_connection, "is_public", lambda a: a == "127.0.0.1" or judge(a))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled depth network's shape with random weights that answer with more than a constant."""
    import torch
    from mdeas.models.depth_net import DepthNet, save_weights

    torch.manual_seed(0)
    network = DepthNet()
    torch.nn.init.normal_(network.head.weight, std=0.3)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):  # equal tensors break the export
            torch.nn.init.normal_(norm.weight, mean=1, std=0.02)
            torch.nn.init.normal_(norm.bias, std=0.02)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(network, path, {"steps": "0"})
    return path
