"""Who may see the page: whoever has the token, in a form, a cookie or a header field.

A cookie is signed with the token and has an end, so the server keeps no sessions, and a new token
ends all of them. The token's file is read for each request: what is wrong with it keeps everybody
out, at once.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

import structlog
from aiohttp import web

from chatredirect.config.http_section import HttpSettings
from chatredirect.http.token_file import read_token
from chatredirect.net.addresses import is_address
from chatredirect.runtime.rate_limiter import RepeatLimiter, TokenBucket
from chatredirect.runtime.regular_file import in_thread

SESSION = 12 * 3600
"""Seconds that a cookie is good for."""
ATTEMPTS = 5.0
"""Wrong tokens in a row from one address."""
ATTEMPT_RATE = 0.1
"""A second, that are allowed again."""
ADDRESSES = 1024
"""Whose wrong tokens are counted; one more replaces the oldest."""
_LABEL = b"chatredirect page "  # what is signed is no other program's
_COOKIE = "chatredirect"
_QUIET = 10.0  # seconds between two log lines about one address

log = structlog.get_logger()


class TooManyAttempts(Exception):
    """Too many wrong tokens came from there; `seconds` until the next one is looked at."""

    def __init__(self, seconds: int) -> None:
        """Say how long to wait."""
        super().__init__(f"too many wrong tokens came from your address: wait {seconds} s")
        self.seconds = seconds


@dataclass(slots=True)
class Access:
    """Decides who may see the page.

    Attributes:
        settings: gives those in force.
        state_directory: where the token is unless they say otherwise; None if there is none.
    """

    settings: Callable[[], HttpSettings]
    state_directory: str | None
    clock: Callable[[], float] = time.time
    _wrong: OrderedDict[str, TokenBucket] = field(default_factory=OrderedDict)
    _repeats: RepeatLimiter = field(default_factory=lambda: RepeatLimiter(_QUIET, time.monotonic))

    def asks_for_us(self, request: web.Request) -> bool:
        """Whether Host names this server: another name may be one that was made to lead here."""
        told = request.headers.getall("Host", [])
        name = _host_of(told[0]).lower().removesuffix(".") if len(told) == 1 else ""
        if not name:  # RFC 9112 §3.2: none, or more than one, is no valid request
            return False
        if name == "localhost" or name in self.settings().page_names:
            return True
        return is_address(name)  # no DNS record made it lead here

    def client_of(self, request: web.Request) -> str:
        """The client's address; behind a proxy the one that the proxy has added."""
        if self.settings().behind_proxy:
            told = request.headers.getall("X-Forwarded-For", [""])[-1].rpartition(",")[2].strip()
            try:
                return str(ip_address(told.strip("[]")))
            except ValueError:
                pass  # the proxy says nothing: its own address will do
        return request.remote or "unknown"

    async def lets_in(self, request: web.Request) -> bool:
        """Whether a request shows a valid cookie, or the token.

        Raises:
            TokenFault: the token can't be used, so nobody gets in.
            TooManyAttempts: the token isn't even looked at.
        """
        token = await self._token()
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_right(shown.strip(), token, self.client_of(request))
        cookie = request.cookies.get(self._cookie_name, "")
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) < 12):
            return False
        if not 0 < int(until) - self.clock() <= SESSION:
            return False
        return hmac.compare_digest(signature.encode(), _signature(until, token).encode())

    async def log_in(self, request: web.Request, shown: str) -> str | None:
        """The value of a cookie for who shows the token; None for a wrong one. Raises as above."""
        token = await self._token()
        client = self.client_of(request)
        if not self._is_right(shown.strip(), token, client):
            return None
        log.info("page_login", client=client)
        until = str(int(self.clock()) + SESSION)
        return f"{until}.{_signature(until, token)}"

    def set_cookie(self, response: web.StreamResponse, value: str) -> None:
        """Set the cookie; an empty value takes it away."""
        response.set_cookie(
            self._cookie_name,
            value,
            max_age=SESSION if value else 0,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )

    @property
    def _secure(self) -> bool:
        settings = self.settings()
        page = settings.page_listen
        return settings.behind_proxy or (page is not None and page.tls)

    @property
    def _cookie_name(self) -> str:
        # RFC 6265bis §4.1.3.2: no other host, path or plain connection can have set it
        return f"__Host-{_COOKIE}" if self._secure else _COOKIE

    async def _token(self) -> str:
        path = self.settings().token_path(self.state_directory)
        return await in_thread(partial(read_token, path))

    def _is_right(self, shown: str, token: str, client: str) -> bool:
        key, now = _network(client), self.clock()
        bucket = self._wrong.get(key)
        if bucket is not None:
            left = bucket.fill(ATTEMPT_RATE, ATTEMPTS, now)
            if left < 1:
                raise TooManyAttempts(int((1 - left) / ATTEMPT_RATE) + 1)
        if hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode()):
            return True
        if bucket is None:
            bucket = self._wrong[key] = TokenBucket(ATTEMPTS, now)
            if len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)
        bucket.take(ATTEMPT_RATE, ATTEMPTS, now)
        suppressed = self._repeats.hit(key)
        if suppressed is not None:
            log.warning("page_login_refused", client=client, suppressed=suppressed)
        return False


def _signature(until: str, token: str) -> str:
    return hmac.digest(token.encode(), _LABEL + until.encode(), "sha256").hex()


def _host_of(field_value: str) -> str:
    """The host of a Host field (RFC 9110 §7.2), IPv6 without brackets."""
    if field_value.startswith("["):
        return field_value[1:].partition("]")[0]
    return field_value.partition(":")[0]


def _network(client: str) -> str:
    """Whose attempts count together: a host has a whole /64 of IPv6."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else address.exploded[:19]
