"""A polite HTTP client for strangers' servers: robots.txt, a pace a host, retries, limits on everything."""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import functools
import itertools
import logging
import random
import re
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

import httpcore2

from .. import __version__
from .robots import AGENT, RobotsRules, forbids_ai
from .safe_connection import PrivateAddressError, Resolver, SafeBackend, system_resolver

USER_AGENT = f"{AGENT}/{__version__} (collects pictures for image data sets)"

# Answers that another try may change: too many requests, and servers that are ill for the moment.
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
# RFC 9309 asks to read at least this much of a robots.txt.
ROBOTS_BYTES = 500 * 1024

# What may stand in the path and in the query of an address as it is; everything else is percent-encoded.
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE = _PATH_SAFE + "?[]{}|"

# A name, or an IP address; IPv6 ones may name the interface behind a percent sign.
_HOST = re.compile(r"[a-z0-9._:%-]+", re.IGNORECASE)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How long, how much, how often."""

    connect_s: float = 10
    read_s: float = 15  # between two pieces of an answer
    total_s: float = 60  # one request from its first to its last byte
    max_bytes: int = 32 << 20
    redirects: int = 5
    tries: int = 3
    backoff_s: float = 1  # before the second try; doubled before each further one
    longest_wait_s: float = 60  # a server that wants us to wait longer is left alone
    pause_s: float = 1  # between two requests to one host


class FetchError(Exception):
    """A request that brought nothing: ``reason`` from a short list for counting, ``detail`` in words."""

    def __init__(self, reason: str, detail: str = "", retry: bool = False, wait_s: float = 0) -> None:
        super().__init__(reason, detail, retry, wait_s)
        self.reason = reason
        self.detail = detail
        self.retry = retry
        self.wait_s = wait_s

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class Stopped(Exception):  # noqa: N818 - it is no error
    """The client was told to stop."""


@dataclass(frozen=True)
class Fetched:
    """An answer: the address it came from in the end, its bytes, and what robots.txt said."""

    url: str
    data: bytes
    robots: str


@dataclass(frozen=True)
class _Wanted:
    """What goes with every request of one ``get``."""

    accept: str
    max_bytes: int
    robots: bool
    pause_s: float


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    data: bytes

    def all(self, name: str) -> list[str]:
        """The values of all headers of this name (lower case)."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """The first header of this name, or an empty text."""
        return next(iter(self.all(name)), "")


def request_url(url: str) -> httpcore2.URL:
    """An address as it goes over the wire: ASCII only, without fragment and user name.

    Raises:
        FetchError: If it is no http or https address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
        target = quote(parts.path, safe=_PATH_SAFE) or "/"
        target += "?" + quote(parts.query, safe=_QUERY_SAFE) if parts.query else ""
    except ValueError as error:  # of which UnicodeError is one
        raise FetchError("not an address", str(error)) from error
    if parts.scheme not in {"http", "https"} or not host or not _HOST.fullmatch(host):
        raise FetchError("not an address", "only http:// and https:// with a host can be fetched")
    # In a Host header an IPv6 address stands in brackets.
    host = f"[{host}]" if ":" in host else host
    return httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=target)


class Client:
    """Fetches addresses, from several threads at once.

    Args:
        limits: How long, how much, how often.
        allow_private: Whether hosts outside the public internet may be asked.
        ignore_robots: Whether robots.txt and ``X-Robots-Tag: noai`` are passed over.
        contact: An address that tells a server's keeper whom to write to; goes into the User-Agent.
        resolve: From a host to its addresses.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        allow_private: bool = False,
        ignore_robots: bool = False,
        contact: str = "",
        resolve: Resolver = system_resolver,
    ) -> None:
        self.limits = limits or Limits()
        self._allow_private = allow_private
        self._ignore_robots = ignore_robots
        self._user_agent = f"{USER_AGENT[:-1]}; {contact})" if contact else USER_AGENT
        self._resolve = resolve
        self._lock = threading.Lock()
        self._next_request: dict[str, float] = {}  # host to the time from which it may be asked again
        self._robots: dict[str, RobotsRules | FetchError] = {}
        self._robots_locks: dict[str, threading.Lock] = {}
        self._stop = threading.Event()
        self._open: set[SafeBackend] = set()

    def get(
        self,
        url: str,
        accept: str = "*/*",
        max_bytes: int | None = None,
        robots: bool = True,
        pause_s: float | None = None,
    ) -> Fetched:
        """Fetch an address, following redirects and trying again where that may help.

        Args:
            url: The address.
            accept: The ``Accept`` header.
            max_bytes: Most bytes of the answer; None is the limit of this client.
            robots: Whether robots.txt counts: not for interfaces that are published for programs.
            pause_s: Seconds between two requests to this host; None is the limit of this client.

        Raises:
            FetchError: If it brought no answer of status 200.
            Stopped: If ``stop`` was called.
        """
        limits = self.limits
        wanted = _Wanted(
            accept,
            limits.max_bytes if max_bytes is None else max_bytes,
            robots,
            limits.pause_s if pause_s is None else pause_s,
        )
        for attempt in itertools.count(1):
            try:
                return self._follow(url, wanted)
            except FetchError as error:
                if not error.retry or attempt >= limits.tries or error.wait_s > limits.longest_wait_s:
                    raise
                _logger.debug("%s: %s; trying again", url, error)
                backoff_s = limits.backoff_s * 2 ** (attempt - 1)
                # Some spread, so that several downloads do not come back in step.
                self._sleep(max(error.wait_s, backoff_s * random.uniform(0.75, 1.25)))
        raise AssertionError("the last attempt returns or raises")

    def stop(self) -> None:
        """End all requests, from any thread: those under way raise ``Stopped`` at once, as do later ones."""
        self._stop.set()
        with self._lock:
            for backend in self._open:
                backend.cut()

    def _follow(self, url: str, wanted: _Wanted) -> Fetched:
        """One try: the request and the redirects it leads to, each checked like the first."""
        for _ in range(self.limits.redirects + 1):
            rules = self._robots_rules(url) if wanted.robots else None
            delay_s = min(rules.delay_s, self.limits.longest_wait_s) if rules else 0
            answer = self._request(url, wanted, max(wanted.pause_s, delay_s))
            if answer.status == 200:
                return Fetched(url, answer.data, rules.verdict if rules else "not asked")
            if answer.status not in REDIRECT_STATUS or not answer.header("location"):
                raise _status_error(answer)
            try:
                url = urljoin(url, answer.header("location"))
            except ValueError as error:
                raise FetchError("not an address", "the server redirects to nonsense") from error
        raise FetchError("too many redirects", f"more than {self.limits.redirects}")

    def _request(self, url: str, wanted: _Wanted, pause_s: float) -> _Answer:
        """One request, without redirects; the body is read only of an answer that is wanted."""
        target = request_url(url)
        host = target.host.decode()
        self._wait_for_turn(host, pause_s)
        headers: dict[bytes | str, bytes | str] = {
            "User-Agent": self._user_agent,
            "Accept": wanted.accept,
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        tls = self._tls if target.scheme == b"https" else None
        times = {"connect": self.limits.connect_s, "read": self.limits.read_s, "write": self.limits.read_s}
        with (
            self._backend() as backend,
            self._errors_explained(),
            httpcore2.ConnectionPool(tls, network_backend=backend) as pool,
            pool.stream("GET", target, headers=headers, extensions={"timeout": times}) as response,
        ):
            answer = _Answer(response.status, [_text(header) for header in response.headers], b"")
            if answer.status != 200:
                self._postpone(host, _retry_after(answer))
                return answer
            if wanted.robots and not self._ignore_robots and forbids_ai(answer.all("x-robots-tag")):
                raise FetchError("noai", "the server forbids use for AI in X-Robots-Tag")
            length = answer.header("content-length")
            if length.isascii() and length.isdigit() and int(length) > wanted.max_bytes:
                raise FetchError("too large", f"{int(length):,} bytes")
            data = _decode(response.iter_stream(), answer.header("content-encoding"), wanted.max_bytes)
        if self._stop.is_set():  # a body without a length ends like this one when it is cut
            raise Stopped
        return dataclasses.replace(answer, data=data)

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        """What checks certificates; made when it is needed, since it reads all that the system trusts."""
        return httpcore2.default_ssl_context()

    @contextlib.contextmanager
    def _backend(self) -> Iterator[SafeBackend]:
        """A connection that ``stop`` can cut."""
        backend = SafeBackend(self._resolve, self._allow_private, self.limits.total_s)
        with self._lock:
            self._open.add(backend)
        try:
            if self._stop.is_set():
                raise Stopped
            yield backend
        finally:
            with self._lock:
                self._open.discard(backend)

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a ``FetchError``."""
        try:
            yield
        except PrivateAddressError as error:
            raise FetchError("private address", f"{error}; --allow-private would fetch it") from error
        except httpcore2.TimeoutException as error:
            raise self._stopped_or(FetchError("timeout", str(error), retry=True)) from error
        except httpcore2.ConnectError as error:
            raise self._stopped_or(FetchError("no connection", str(error), retry=True)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise self._stopped_or(FetchError("broken answer", str(error), retry=True)) from error

    def _stopped_or(self, error: FetchError) -> Exception:
        return Stopped() if self._stop.is_set() else error

    def _wait_for_turn(self, host: str, pause_s: float) -> None:
        """Wait until this host may be asked again, and take the turn.

        Raises:
            FetchError: If the host has asked us to stay away for longer than we wait.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                turn = self._next_request.get(host, now)
                if turn <= now:
                    self._next_request[host] = now + pause_s
                    return
            if turn - now > max(self.limits.longest_wait_s, pause_s):
                raise FetchError("asked to wait", f"{turn - now:.0f} s")
            self._sleep(turn - now)

    def _postpone(self, host: str, wait_s: float) -> None:
        """Leave a host alone for a while, all downloads of it."""
        if wait_s > 0:
            with self._lock:
                turn = time.monotonic() + wait_s
                self._next_request[host] = max(turn, self._next_request.get(host, turn))

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped

    def _robots_rules(self, url: str) -> RobotsRules:
        """The rules of an address's host, which are asked for once.

        Raises:
            FetchError: If they forbid the address, or the host cannot say because it is ill.
        """
        if self._ignore_robots:
            return RobotsRules(None, "ignored")
        target = request_url(url)
        origin = f"{target.scheme.decode()}://{target.host.decode()}" + (
            f":{target.port}" if target.port else ""
        )
        with self._lock:
            lock = self._robots_locks.setdefault(origin, threading.Lock())
        with lock:
            rules = self._robots.get(origin)
            if rules is None:
                rules = self._robots[origin] = self._read_robots(origin)
        if isinstance(rules, FetchError):
            raise rules
        if not rules.allows(origin + target.target.decode()):
            raise FetchError("robots.txt", f"{origin}/robots.txt forbids this address")
        return rules

    def _read_robots(self, origin: str) -> RobotsRules | FetchError:
        """The rules of a host, or the error that keeps us away from it (RFC 9309, 2.3.1)."""
        try:
            found = self.get(f"{origin}/robots.txt", "text/plain", ROBOTS_BYTES, robots=False)
        except FetchError as error:
            if error.reason.startswith("HTTP 4") and error.reason != "HTTP 429":
                return RobotsRules(None, "none")
            if error.reason in {"too many redirects", "too large", "not an address"}:
                return RobotsRules(None, "none")
            if error.reason.startswith("HTTP"):
                return FetchError("robots.txt", f"{origin}/robots.txt: {error}")
            return error  # the host cannot be reached at all
        return RobotsRules(found.data.decode("utf-8", "replace"), "allowed")


def _text(header: tuple[bytes, bytes]) -> tuple[str, str]:
    """Name, in lower case, and value of a header."""
    return header[0].decode("latin-1").lower(), header[1].decode("utf-8", "replace")


def _status_error(answer: _Answer) -> FetchError:
    wait_s = _retry_after(answer)
    detail = f"asked to wait {wait_s:.0f} s" if wait_s else ""
    return FetchError(f"HTTP {answer.status}", detail, retry=answer.status in RETRY_STATUS, wait_s=wait_s)


def _retry_after(answer: _Answer) -> float:
    """Seconds that the server wants us to wait: ``Retry-After`` as a number or as a date; 0 without."""
    value = answer.header("retry-after").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time()) if value else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _decode(chunks: Iterable[bytes], encoding: str, limit: int) -> bytes:
    """The whole body, unpacked where the server packed it unasked; never more than ``limit`` bytes.

    Raises:
        FetchError: If there are more, or it is packed in a way that was not asked for.
    """
    encoding = encoding.strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise FetchError("broken answer", f"packed with {encoding[:20]}")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding not in {"", "identity"} else None
    data = bytearray()
    for chunk in chunks:
        try:
            data += unpacker.decompress(chunk, limit + 1 - len(data)) if unpacker else chunk
        except zlib.error as error:
            raise FetchError("broken answer", f"not {encoding} after all") from error
        if len(data) > limit:
            raise FetchError("too large", f"more than {limit:,} bytes")
    return bytes(data)
