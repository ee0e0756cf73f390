"""The HTTP client against a real server that misbehaves in every way that servers do."""

from __future__ import annotations

import dataclasses
import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdeas import __version__
from mdeas.pipeline.http_client import Client, FetchError, Limits, Stopped, request_url
from mdeas.pipeline.robots import forbids_ai
from mdeas.pipeline.safe_connection import is_public

LIMITS = Limits(10, 10, 20, 100_000, 3, 3, 0.01, 2, 0)


def reason(client: Client, url: str, **options: Any) -> str:
    with pytest.raises(FetchError) as caught:
        client.get(url, **options)
    return caught.value.reason


def test_it_names_itself(web: Any) -> None:
    web.routes["/a"] = (200, {"Content-Type": "image/png"}, b"body")
    found = Client(LIMITS, allow_private=True, contact="me@example.org").get(web.url("/a"), "image/png")
    assert (found.data, found.robots) == (b"body", "none")
    _, headers = web.hits[-1]
    assert (
        headers["user-agent"].startswith(f"mdeas/{__version__} (")
        and "; me@example.org)" in headers["user-agent"]
    )
    assert headers["accept"] == "image/png" and headers["host"] == f"127.0.0.1:{web.port}"


# --- addresses ---


INNER = """
    127.0.0.1 127.8.8.8 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    100.127.255.254 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1
    255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12:3456::1 fec0::1 ff02::1 2001:db8::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
    2002:7f00:1:: 2002:a00:1::1 2001:0:4136:e378:8000:63bf:80ff:fffe 100::1
"""
OUTER = "8.8.8.8 93.184.216.34 172.32.0.1 100.128.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"


@pytest.mark.parametrize("address", INNER.split())
def test_inner_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTER.split())
def test_outer_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"],
)
def test_nothing_inside_is_asked(web: Any, host: str) -> None:
    assert reason(Client(LIMITS), web.url("/secret", host)) == "private address"
    assert web.hits == []


@pytest.mark.usefixtures("pretend_public")
@pytest.mark.parametrize(
    "host", ["127.0.0.2", "169.254.169.254", "[::1]", "10.0.0.1", "inner.test", "[fe80::1]"]
)
def test_no_redirect_leads_inside(web: Any, host: str) -> None:
    addresses = {"inner.test": "192.168.7.7"}
    client = Client(LIMITS, resolve=lambda name, port: [addresses.get(name, name)])
    web.routes["/away"] = (302, {"Location": f"http://{host}:{web.port}/secret"}, b"")
    assert reason(client, web.url("/away")) == "private address"
    assert web.paths() == ["/away"]


@pytest.mark.usefixtures("pretend_public")
def test_a_changed_answer_of_the_name_server_changes_nothing(web: Any) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked: list[str] = []

    def resolve(name: str, port: int) -> list[str]:
        asked.append(name)
        return answers[min(len(asked), 2) - 1]

    web.routes["/a"] = (200, {}, b"outside")
    client = Client(LIMITS, resolve=resolve, ignore_robots=True)
    assert client.get(web.url("/a", "rebind.test")).data == b"outside"
    assert asked == ["rebind.test"]  # the connection went to the address that was checked
    assert web.hits[-1][1]["host"] == f"rebind.test:{web.port}"
    assert reason(client, web.url("/a", "rebind.test")) == "private address"
    assert len(web.hits) == 1


@pytest.mark.usefixtures("pretend_public")
def test_of_mixed_answers_only_the_public_one_is_used(web: Any) -> None:
    web.routes["/a"] = (200, {}, b"outside")
    client = Client(LIMITS, resolve=lambda name, port: ["10.0.0.1", "127.0.0.1", "::1"])
    assert client.get(web.url("/a", "mixed.test")).data == b"outside"


def test_an_unknown_host(client: Client) -> None:
    def resolve(name: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert reason(Client(LIMITS, resolve=resolve), "http://nowhere.test/a") == "no connection"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/a",
        "data:image/png;base64,AAAA",
        "//host/a",
        "http://",
        "http:///a",
        "a.png",
        "http://[::1/a",
        "http://host:99999/a",
        "http://a..b/",
        f"http://{'a' * 64}.test/",
        "http://ho st/a",
        "http://x/\ud800",
        "",
    ],
)
def test_what_is_no_address(client: Client, url: str) -> None:
    assert reason(client, url) == "not an address"


def test_how_an_address_goes_over_the_wire() -> None:
    url = request_url("HTTPS://user:secret@B\u00fccher.example/a b/\u00fc%20?q=\u00e9&r=1#part")
    assert url.host == b"xn--bcher-kva.example"
    assert url.target == b"/a%20b/%C3%BC%20?q=%C3%A9&r=1"
    assert b"\r" not in request_url("http://host/a\r\nX-Evil: 1").target


@settings(max_examples=200)
@given(st.text(), st.sampled_from(["", "http://", "https://h/", "http://h?", "http://[", "//"]))
def test_any_text_is_an_address_or_none(text: str, start: str) -> None:
    try:
        url = request_url(start + text)
    except FetchError as error:
        assert error.reason == "not an address"
    else:
        wire = url.host + url.target
        assert wire.isascii() and not any(byte <= 32 or byte == 127 for byte in wire)


# --- redirects, statuses, retries ---


def test_redirects_are_followed_to_the_end(web: Any, client: Client) -> None:
    web.routes["/a"] = (301, {"Location": "sub/b"}, b"")
    web.routes["/sub/b"] = (307, {"Location": web.url("/c")}, b"")
    web.routes["/c"] = (200, {}, b"there")
    found = client.get(web.url("/a"))
    assert (found.data, found.url) == (b"there", web.url("/c"))


def test_redirects_in_a_circle(web: Any, client: Client) -> None:
    web.routes["/a"] = (302, {"Location": "/b"}, b"")
    web.routes["/b"] = (302, {"Location": "/a"}, b"")
    assert reason(client, web.url("/a")) == "too many redirects"
    assert len(web.paths()) == LIMITS.redirects + 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[::1", "gopher://host/"])
def test_redirects_out_of_the_web(web: Any, client: Client, location: str) -> None:
    web.routes["/a"] = (302, {"Location": location}, b"")
    assert reason(client, web.url("/a")) == "not an address"


@pytest.mark.parametrize(
    ("status", "tries"), [(404, 1), (403, 1), (410, 1), (302, 1), (204, 1), (500, 3), (503, 3), (429, 3)]
)
def test_only_what_may_pass_is_tried_again(web: Any, client: Client, status: int, tries: int) -> None:
    web.routes["/a"] = (status, {}, b"")
    assert reason(client, web.url("/a")) == f"HTTP {status}"
    assert len(web.paths()) == tries


def test_retry_after_is_kept_to(web: Any, client: Client) -> None:
    times: list[float] = []

    def busy_once(handler: Any) -> None:
        times.append(time.monotonic())
        handler.answer(*((200, {}, b"now") if len(times) > 1 else (429, {"Retry-After": "1"}, b"")))

    web.routes["/a"] = busy_once
    assert client.get(web.url("/a"), robots=False).data == b"now"
    assert times[1] - times[0] >= 0.95


@pytest.mark.parametrize("after", ["7200", formatdate(time.time() + 9000, usegmt=True)])
def test_a_server_that_wants_hours_is_left_alone(web: Any, client: Client, after: str) -> None:
    web.routes["/a"] = (429, {"Retry-After": after}, b"")
    with pytest.raises(FetchError, match=r"asked to wait [78]\d\d\d s"):
        client.get(web.url("/a"), robots=False)
    assert reason(client, web.url("/b"), robots=False) == "asked to wait"  # without being asked again
    assert len(web.hits) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "²", "Mon, 99 Foo", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_nonsense_in_retry_after(web: Any, client: Client, value: str) -> None:
    web.routes["/a"] = (503, {"Retry-After": value.encode().decode("latin-1")}, b"")
    assert reason(client, web.url("/a"), robots=False) == "HTTP 503"


# --- limits of time and size ---


def once(client: Client) -> Client:
    client.limits = dataclasses.replace(client.limits, tries=1)
    return client


def hasty(client: Client) -> Client:
    """A client that waits for nothing."""
    client.limits = dataclasses.replace(client.limits, tries=1, read_s=0.4, total_s=0.7)
    return client


def test_a_server_that_falls_silent(web: Any, client: Client) -> None:
    web.routes["/a"] = lambda handler: web.closing.wait(5)
    assert reason(hasty(client), web.url("/a"), robots=False) == "timeout"


def test_a_body_that_drips(web: Any, client: Client) -> None:
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        handler.trickle(b"x", 0.05)

    web.routes["/a"] = drip
    start = time.monotonic()
    assert reason(hasty(client), web.url("/a"), robots=False) == "timeout"
    assert time.monotonic() - start < 60  # not the 250 s that it would take


def test_headers_that_drip(web: Any, client: Client) -> None:
    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        handler.trickle(b"x", 0.05)

    web.routes["/a"] = drip
    assert reason(hasty(client), web.url("/a"), robots=False) == "timeout"


def test_headers_without_end(web: Any, client: Client) -> None:
    def flood(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        handler.trickle(b"X-More: " + b"x" * 8000 + b"\r\n", 0)

    web.routes["/a"] = flood
    assert reason(once(client), web.url("/a")) == "broken answer"


def test_a_body_that_says_it_is_huge(web: Any, client: Client) -> None:
    web.routes["/a"] = (200, {"Content-Length": "999999999999"}, b"x")
    with pytest.raises(FetchError, match="999,999,999,999 bytes"):
        client.get(web.url("/a"))


def test_a_body_without_end(web: Any, client: Client) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.trickle(b"x" * 10_000, 0)

    web.routes["/a"] = endless
    assert reason(client, web.url("/a")) == "too large"


def test_a_body_that_breaks_off(web: Any, client: Client) -> None:
    def cut(handler: Any) -> None:
        handler.answer(200, {"Content-Length": "5000"}, b"x" * 100)
        handler.close_connection = True

    web.routes["/a"] = cut
    assert reason(client, web.url("/a")) == "broken answer"
    assert len(web.paths()) == 3


def test_no_http_at_all(web: Any, client: Client) -> None:
    def talk(handler: Any) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n")
        handler.close_connection = True

    web.routes["/a"] = talk
    assert reason(client, web.url("/a")) == "broken answer"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_what_is_packed_unasked_is_unpacked(web: Any, client: Client, pack: Any) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    web.routes["/a"] = (200, {"Content-Encoding": encoding}, pack(b"text " * 1000))
    assert client.get(web.url("/a")).data == b"text " * 1000
    web.routes["/bomb"] = (200, {"Content-Encoding": encoding}, pack(bytes(5_000_000)))
    assert reason(client, web.url("/bomb")) == "too large"
    web.routes["/not"] = (200, {"Content-Encoding": encoding}, b"not packed")
    assert reason(client, web.url("/not")) == "broken answer"
    web.routes["/other"] = (200, {"Content-Encoding": "br"}, b"??")
    assert reason(client, web.url("/other")) == "broken answer"


def test_a_pause_between_two_requests_to_a_host(web: Any) -> None:
    times: list[float] = []
    web.routes["/a"] = lambda handler: (times.append(time.monotonic()), handler.answer(200, {}, b"x"))
    client = Client(dataclasses.replace(LIMITS, pause_s=0.15), allow_private=True, ignore_robots=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client.get, [web.url("/a")] * 4))
    assert times[-1] - times[0] >= 0.4


def test_stop_ends_what_is_under_way(web: Any) -> None:
    begun = threading.Event()

    def silent(handler: Any) -> None:
        begun.set()
        web.closing.wait(5)

    web.routes["/a"] = silent
    client = Client(
        dataclasses.replace(LIMITS, read_s=30, total_s=60), allow_private=True, ignore_robots=True
    )
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(client.get, web.url("/a"))
        assert begun.wait(5)
        client.stop()
        with pytest.raises(Stopped):
            download.result(5)
    with pytest.raises(Stopped):
        client.get(web.url("/a"))


# --- robots.txt and noai ---


def test_robots_txt_is_kept_to_and_read_once(web: Any, client: Client) -> None:
    rules = b"User-agent: *\nDisallow: /private/\nDisallow: /*.gif$\nAllow: /private/open\n"
    web.routes["/robots.txt"] = (200, {}, rules)
    for path in ("/a.png", "/private/open/b.png"):
        web.routes[path] = (200, {}, b"x")
        assert client.get(web.url(path)).robots == "allowed"
    for path in ("/private/c.png", "/anim.gif"):
        assert reason(client, web.url(path)) == "robots.txt"
    assert web.paths() == ["/a.png", "/private/open/b.png"]
    assert [path for path, _ in web.hits].count("/robots.txt") == 1


def test_rules_for_us_by_name(web: Any, client: Client) -> None:
    web.routes["/robots.txt"] = (200, {}, b"User-agent: mdeas\nDisallow: /\n\nUser-agent: *\nAllow: /\n")
    assert reason(client, web.url("/a.png")) == "robots.txt"


def test_rules_hold_behind_a_redirect(web: Any, client: Client) -> None:
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /inner\n")
    web.routes["/a"] = (302, {"Location": "/inner/b"}, b"")
    assert reason(client, web.url("/a")) == "robots.txt"
    assert web.paths() == ["/a"]


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (500, False), (503, False), (429, False)]
)
def test_without_a_readable_robots_txt(web: Any, client: Client, status: int, allowed: bool) -> None:
    web.routes["/robots.txt"] = (status, {}, b"")
    web.routes["/a"] = (200, {}, b"x")
    if allowed:
        assert client.get(web.url("/a")).robots == "none"
    else:
        assert reason(client, web.url("/a")) == "robots.txt"
        assert web.paths() == []


def test_a_crawl_delay_is_kept(web: Any, client: Client) -> None:
    times: list[float] = []
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 0.3\n")
    web.routes["/a"] = lambda handler: (times.append(time.monotonic()), handler.answer(200, {}, b"x"))
    for _ in range(2):
        client.get(web.url("/a"))
    assert times[1] - times[0] >= 0.25


@pytest.mark.parametrize(
    ("tag", "forbids"),
    [
        ("noai", True), ("NoImageAI", True), ("noindex, noimageai", True), ("mdeas: noai", True),
        ("*: noai", True), ("noindex\nnoai", True), ("noindex, nofollow", False), ("noairlines", False),
        ("otherbot: noai, noimageai", False),
    ],
)  # fmt: skip
def test_noai(web: Any, client: Client, tag: str, forbids: bool) -> None:
    assert forbids_ai(tag.split("\n")) is forbids
    web.routes["/a"] = (200, {"X-Robots-Tag": tag}, b"x")
    if forbids:
        assert reason(client, web.url("/a")) == "noai"
    else:
        assert client.get(web.url("/a")).data == b"x"


def test_rules_can_be_passed_over(web: Any) -> None:
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /\n")
    web.routes["/a"] = (200, {"X-Robots-Tag": "noai"}, b"x")
    assert Client(LIMITS, allow_private=True, ignore_robots=True).get(web.url("/a")).robots == "ignored"
    assert web.paths() == ["/a"] and len(web.hits) == 1


# --- TLS ---


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with the openssl command")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=pictures.test"]
    command += ["-addext", "subjectAltName=DNS:pictures.test"]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


def test_the_certificate_is_checked_for_the_name(
    web: Any, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, trusted = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    web.routes["/a"] = (200, {}, b"safe")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    client = once(Client(LIMITS, allow_private=True, resolve=lambda name, port: ["127.0.0.1"]))
    assert client.get(f"https://pictures.test:{web.port}/a").data == b"safe"
    assert set(names) == {"pictures.test"}
    assert reason(client, f"https://other.test:{web.port}/a") == "no connection"
    monkeypatch.delenv("SSL_CERT_FILE")
    stranger = once(Client(LIMITS, allow_private=True, resolve=lambda name, port: ["127.0.0.1"]))
    assert reason(stranger, f"https://pictures.test:{web.port}/a") == "no connection"


def test_the_library_has_what_we_lean_on() -> None:
    assert issubclass(httpcore2.ConnectTimeout, httpcore2.TimeoutException)
    assert issubclass(httpcore2.ReadError, httpcore2.NetworkError)
