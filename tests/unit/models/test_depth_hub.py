"""Fetching from a hub: a local server that speaks the little that is needed of its protocol."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mdeas import MdeasError
from mdeas.models.depth_hub import hub_weights, is_repository, local_weights

hub = pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"the same once more"}


class Hub(http.server.BaseHTTPRequestHandler):
    """Repositories ``open/net`` (MIT) and ``closed/net`` (no commercial use)."""

    protocol_version = "HTTP/1.1"

    def files(self) -> dict[str, bytes]:
        licence = "mit" if "open/net" in self.path else "cc-by-nc-4.0"
        return {**FILES, "README.md": f"---\nlicense: {licence}\n---\n# A card\n".encode()}

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        files = self.files()
        if parts[:2] == ["api", "models"] and parts[4:5] == ["tree"]:  # newer libraries ask for it
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ]
            self.answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif parts[:2] == ["api", "models"] and parts[2] in ("open", "closed"):
            licence = "mit" if parts[2] == "open" else "cc-by-nc-4.0"
            about = {
                "id": "/".join(parts[2:4]), "sha": COMMIT, "tags": [f"license:{licence}"],
                "cardData": {"license": licence}, "siblings": [{"rfilename": name} for name in files],
            }  # fmt: skip
            self.answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif "resolve" in parts and parts[-1] in files:
            data = files[parts[-1]]
            etag = hashlib.sha256(data).hexdigest()
            self.answer(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A hub on this machine, and an empty cache."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    use(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path / "cache")
    yield server
    server.shutdown()
    server.server_close()


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str, cache: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    # What HF_HUB_CACHE sets, which is read when the library is imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))


def test_weights_are_fetched_once_and_then_used_offline(
    server: http.server.ThreadingHTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    weights = hub_weights("open/net", accept_licence=False)
    assert "licence mit" in caplog.text
    assert {path.name for path in weights.folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert (weights.licence, weights.source) == ("mit", f"huggingface.co/open/net@{COMMIT}")
    assert weights.sha256 == hashlib.sha256(b"weights").hexdigest()
    server.shutdown()
    server.server_close()
    caplog.clear()
    assert hub_weights("open/net", accept_licence=False) == weights
    assert hub_weights(f"open/net@{COMMIT}", accept_licence=False) == weights
    assert not caplog.text  # the licence is shown before a download only


def test_a_licence_without_commercial_use_is_for_the_user_to_accept(
    server: http.server.ThreadingHTTPServer,
) -> None:
    with pytest.raises(MdeasError, match=r"licence of closed/net: cc-by-nc-4\.0.*--accept-licence"):
        hub_weights("closed/net", accept_licence=False)
    assert hub_weights("closed/net", accept_licence=True).licence == "cc-by-nc-4.0"


def test_what_is_not_there_is_said(server: http.server.ThreadingHTTPServer) -> None:
    with pytest.raises(MdeasError, match=r"cannot fetch nobody/nothing@main: no such repository"):
        hub_weights("nobody/nothing", accept_licence=True)


def test_offline_is_one_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    start = time.monotonic()
    with pytest.raises(
        MdeasError, match=r"not in the local cache.*Depth-Anything-V2-Small-hf@main.*--model FOLDER"
    ) as caught:
        hub_weights("depth-anything-v2-small", accept_licence=False)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 20  # the library itself would try for longer


def test_names() -> None:
    assert is_repository("depth-anything-v2-small")
    assert is_repository("Intel/dpt-large@0123abc")
    for name in ("bundeld", "/abs/path", "a/b/c", "../net", "owner/", "onnx:a/b.onnx"):
        assert not is_repository(name), name


def test_a_card_may_name_another_licence(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert local_weights(tmp_path).licence == "not stated"
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: apple-amlr\n---\n")
    assert local_weights(tmp_path).licence == "apple-amlr"
