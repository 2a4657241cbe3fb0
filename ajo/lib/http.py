"""The way out over HTTP: one request, one answer, and exact words about what became of it.

Nothing is tried again and no redirect is followed. As long as no byte of the request was handed to the system it is
`NotSent`; afterwards, without a whole answer, it is `Lost`: whoever was called may have acted on it.

`guarded_client` is for addresses that people authored. It speaks to public addresses only: a name is looked up once and
the connection goes to the address that was checked, so that a second answer of the name server changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECT_SECONDS: Final = 5.0
BODY_LIMIT: Final = 256 * 1024
PUBLIC_PORTS: Final = frozenset({80, 443, 8443})
_CONNECTIONS: Final = 16
# An IPv4 address in the old clothes of an IPv6 one, which the library's own list leaves out.
_IPV4_COMPATIBLE: Final = ipaddress.ip_network("::/96")


class NotSent(Exception):
    """Nothing of the request reached anybody."""


class Forbidden(NotSent):
    """The address must not be called."""


class Lost(Exception):
    """The request went out, and no whole answer came back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Of a body longer than the limit, only the beginning is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds, when the header has them as a number."""
        value = self.headers.get("Retry-After", "").strip()
        return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else None


class Client:
    """Keeps connections between requests; for several threads at once. The address is the operator's word."""

    def __init__(self, *, body_limit: int = BODY_LIMIT) -> None:
        self._body_limit = body_limit
        self._session = self._make_session()

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 15.0,
    ) -> Answer:
        """The answer, of whatever status; `timeout` is for everything but the name server. Raises NotSent or Lost."""
        self.check(url)
        _call.has_begun = False
        _call.ends_at = time.monotonic() + timeout
        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                timeout=(min(CONNECT_SECONDS, timeout), timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                return Answer(response.status_code, response.headers, self._read(response))
        # The library's own sentences repeat the address, which may hold a secret.
        except InvalidIPAddress:
            raise Forbidden(f"{urlsplit(url).hostname} is not a public address.") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            host = urlsplit(url).hostname
            if _call.has_begun:
                raise Lost(f"No whole answer came from {host} ({type(error).__name__}).") from None
            raise NotSent(f"{host} cannot be reached ({type(error).__name__}).") from None

    def check(self, url: str) -> None:
        """Raise Forbidden, with the reason, when the address cannot be called whatever its name server says."""
        parts = _split(url)
        if parts.username is not None or parts.password is not None:
            raise Forbidden("An address must not hold a user name or a password: put them into a header.")

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def _make_session(self) -> requests.Session:
        session = _Session()
        session.mount("http://", _Adapter(pool_maxsize=_CONNECTIONS))
        session.mount("https://", _Adapter(pool_maxsize=_CONNECTIONS))
        return session

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        while len(body) <= self._body_limit:
            if time.monotonic() >= _call.ends_at:
                raise TimeoutError
            piece = response.raw.read1(self._body_limit + 1 - len(body), decode_content=False)
            if not piece:
                return bytes(body)
            body += piece
        return bytes(body[: self._body_limit])


class _GuardedClient(Client):
    def __init__(self, allowed: Collection[str], *, body_limit: int) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        super().__init__(body_limit=body_limit)

    def check(self, url: str) -> None:
        super().check(url)
        parts = _split(url)
        if _is_allowed(parts, self._allowed):
            return
        if _port(parts) not in PUBLIC_PORTS:
            ports = ", ".join(map(str, sorted(PUBLIC_PORTS)))
            raise Forbidden(f"The port {_port(parts)} must not be called. Use one of {ports}.")
        try:
            address = ipaddress.ip_address((parts.hostname or "").partition("%")[0])
        except ValueError:
            return
        if not _is_public(address):
            raise Forbidden(f"{address} is not a public address.")

    def _make_session(self) -> requests.Session:
        session = _GuardedSession(self._allowed)
        session.mount("http://", _PublicAdapter(is_https_proto=False))  # type: ignore[call-arg]
        session.mount("https://", _PublicAdapter(is_https_proto=True))  # type: ignore[call-arg]
        return session


def guarded_client(*, allowed: Collection[str] = (), body_limit: int = BODY_LIMIT) -> Client:
    """A client for authored addresses. `allowed` are the operator's exceptions: names, each with a port or without."""
    return _GuardedClient(allowed, body_limit=body_limit)


def _split(url: str) -> SplitResult:
    """The parts of an http address with a name. Raises Forbidden."""
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise Forbidden("An address has no spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Forbidden(f"This is not an address: {error}.") from None
    if parts.scheme not in {"http", "https"} or not name:
        raise Forbidden("An address begins with https:// or http:// and has a host.")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _is_allowed(parts: SplitResult, allowed: frozenset[str]) -> bool:
    return not allowed.isdisjoint({parts.hostname or "", f"{parts.hostname}:{_port(parts)}"})


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _IPV4_COMPATIBLE


# --- below requests ------------------------------------------------------------------------------------------


class _Call(threading.local):
    """The request of this thread: whether a byte of it went out, and until when its answer may take."""

    has_begun = False
    ends_at = 0.0


_call = _Call()


class _Exact:
    """A connection that notes its first byte, and whose answer cannot drip in for ever."""

    sock: Any

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        _call.has_begun = True
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        # The socket's own time-out begins anew with each byte.
        watchdog = threading.Timer(_call.ends_at - time.monotonic(), _hang_up, [self.sock])
        watchdog.daemon = True
        watchdog.start()
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            watchdog.cancel()


def _hang_up(sock: Any) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already


class _Connection(_Exact, HTTPConnection):
    pass


class _TlsConnection(_Exact, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _PublicAdapter(IPFilterAdapter, _Adapter):  # type: ignore[misc]
    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if not _is_public(ipaddress.ip_address(host["host"].strip("[]"))):
            raise InvalidIPAddress
        return host, options


class _Session(requests.Session):
    """Without cookies, and without what the environment may say: neither proxies nor the passwords of .netrc."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))


class _GuardedSession(_Session):
    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self._allowed = allowed
        self._inside = _Adapter(pool_maxsize=_CONNECTIONS)

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        address = url.decode() if isinstance(url, bytes) else url
        return self._inside if _is_allowed(_split(address), self._allowed) else super().get_adapter(address)
