"""Hosts of the public internet, and connections to no other: what data name must not reach a private network."""

from __future__ import annotations

import ipaddress
import socket
import urllib.error
import urllib.request
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from typing import IO, Any
from urllib.parse import urlsplit

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for an IPv4 one in their last 32 bits (RFC 6052)."""
LOCAL_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
"""Ends of names that are never of the public internet."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Private(OSError):
    """A host that is not of the public internet, where only such may be asked."""


def is_public(address: Address) -> bool:
    """Whether ``address`` is of the public internet, also where IPv6 carries an IPv4 address in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def require_public(host: str, port: int | None) -> list[str]:
    """The addresses of ``host``, all of them public; Private if one is not. Raises OSError where it has none.

    Whatever stands for an address is looked at as the system reads it: ``2130706433`` and ``0x7f.1`` are 127.0.0.1.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if hidden := next((each for each in addresses if not is_public(ipaddress.ip_address(each))), None):
        raise Private(f"{host} is {hidden}, which is not of the public internet; such hosts are not asked")
    return addresses


def _public_connection(address: tuple[str, int], *how: Any, **more: Any) -> socket.socket:
    """As ``socket.create_connection``, to the address that was looked at: a name may stand for another one next."""
    return socket.create_connection((require_public(*address)[0], address[1]), *how, **more)


class _PublicHTTP(HTTPConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = _public_connection


class _PublicHTTPS(HTTPSConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = _public_connection


class _HTTP(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(HTTPConnection if request.has_proxy() else _PublicHTTP, request)


class _HTTPS(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(HTTPSConnection if request.has_proxy() else _PublicHTTPS, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to public hosts; a proxy would ask any for us."""

    def redirect_request(
        self, request: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        check_url(newurl)
        return super().redirect_request(request, fp, code, msg, headers, newurl)


def check_url(url: str) -> None:
    """Raise Private unless ``url`` is of http or https and its host, where the name is known here, is public."""
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise Private(f"{url}: only http and https are asked")
    try:
        require_public(split.hostname, split.port)
    except socket.gaierror:  # known to a proxy alone, or to nobody, who says so
        if split.hostname.endswith(LOCAL_NAMES):
            raise Private(f"{split.hostname} is a name of a private network; such hosts are not asked") from None


def opener(*, public: bool) -> urllib.request.OpenerDirector:
    """What opens http and https URLs and nothing else (no files); with ``public`` of public hosts only."""
    director = urllib.request.OpenerDirector()
    kinds: list[Any] = [urllib.request.ProxyHandler, urllib.request.HTTPDefaultErrorHandler]
    kinds += [urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler]
    kinds += [_HTTP, _HTTPS, _Redirects] if public else [
        urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.HTTPRedirectHandler,
    ]  # fmt: skip
    for kind in kinds:
        director.add_handler(kind())
    return director
