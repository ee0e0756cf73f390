"""Connections that reach only the public internet, and that end in time whatever the other side does.

A name is resolved once, every address is checked, and the connection goes to the address that was checked: a
name server that answers otherwise a moment later (DNS rebinding) changes nothing. The name itself still goes
into the ``Host`` header and the TLS certificate check.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# From a host name and a port to its addresses, as text; raises OSError where there are none.
Resolver = Callable[[str, int], list[str]]

# IPv6 addresses of these networks stand for the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(Exception):
    """The address is not one of the public internet."""


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a host as the operating system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; of an IPv6 one that carries an IPv4 one, that.

    Private, loopback, link-local, shared (carrier-grade NAT), multicast, reserved and unspecified do not.
    """
    ip = ipaddress.ip_address(address)
    return all(
        part.is_global
        and not (part.is_multicast or part.is_reserved or part.is_link_local or part.is_unspecified)
        and not (isinstance(part, ipaddress.IPv6Address) and part.is_site_local)
        for part in _parts(ip)
    )


def _parts(ip: IPAddress) -> list[IPAddress]:
    """The IPv4 addresses that an IPv6 one carries, or the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    if ip.sixtofour:
        return [ip.sixtofour]
    return [*ip.teredo] if ip.teredo else [ip]


class SafeBackend(httpcore2.NetworkBackend):
    """Opens connections for one request, all of it to be done within ``total_s`` seconds.

    Args:
        resolve: From host and port to addresses.
        allow_private: Whether addresses outside the public internet may be reached.
        total_s: Time from now to the last byte.
    """

    def __init__(self, resolve: Resolver, allow_private: bool, total_s: float) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._deadline = time.monotonic() + total_s
        self._socket: Any = None
        self._is_cut = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first checked address of ``host`` that answers.

        Raises:
            PrivateAddressError: If none of its addresses may be reached.
        """
        addresses = self._checked(host, port)
        error: Exception | None = None
        for address in addresses:
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    address, port, self.left(timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as problem:
                error = problem
                continue
            return self.watch(stream)
        raise error or httpcore2.ConnectError(f"no address for {host}")

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"no address for {host}") from error
        allowed = [a for a in addresses if self._allow_private or is_public(a)]
        if addresses and not allowed:
            raise PrivateAddressError(f"{host} is {addresses[0]}")
        return allowed

    def watch(self, stream: httpcore2.NetworkStream) -> httpcore2.NetworkStream:
        """The stream with the deadline on everything it does."""
        self._socket = stream.get_extra_info("socket")
        if self._is_cut:
            self.cut()
        return _DeadlineStream(stream, self)

    def left(self, timeout: float | None) -> float:
        """Seconds that one operation may take.

        Raises:
            httpcore2.ReadTimeout: If the time of the whole request is over.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("took too long in all")
        return left if timeout is None else min(left, timeout)

    def cut(self) -> None:
        """End the connection from another thread: what waits for it gets an error at once."""
        self._is_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)


class _DeadlineStream(httpcore2.NetworkStream):
    """A stream of which no operation goes past the deadline of its backend."""

    def __init__(self, stream: httpcore2.NetworkStream, backend: SafeBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        # An address in brackets is a host in a URL; the certificate names it without them.
        name = server_hostname.strip("[]") if server_hostname else None
        return self._backend.watch(self._stream.start_tls(ssl_context, name, self._backend.left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
