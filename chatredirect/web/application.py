"""The routes of the page and of its API, and what every request must pass first."""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias
from urllib.parse import parse_qsl, quote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from chatredirect.control.protocol import ControlRefusal
from chatredirect.http.http_server import HttpBounds
from chatredirect.http.token_file import TokenFault
from chatredirect.page import views
from chatredirect.web.access import Access, TooManyAttempts
from chatredirect.web.api import Api
from chatredirect.web.event_stream import STREAMS, NoRoom
from chatredirect.web.responses import html_response, json_error
from chatredirect.web.sources import Sources

CONNECTIONS = 128
"""Open connections to the page; one more is closed at once."""
OCTETS = 16_384
"""What a client may send in all."""
SECONDS = 15.0
"""From a connection's first moment to its last, unless it is a stream of events."""
FORM = 4096
"""Octets of a login."""
_FIELDS = 8
_LONGEST = 300  # characters of what is searched, and of a SIP address
_STATIC = "/static/{name}"
_OPEN = ("/login", _STATIC)  # routes for who hasn't shown the token: they tell nothing
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_SENTENCES = {
    404: "there is no such page",
    405: "this can only be read",
    413: f"a form has at most {FORM} octets",
}

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page_bounds() -> HttpBounds:
    """The limits of the page's listener."""
    return HttpBounds(CONNECTIONS, SECONDS, OCTETS, STREAMS)


def page_application(sources: Sources, access: Access) -> web.Application:
    """The application."""
    page = _Page(sources, access)
    app = web.Application(middlewares=[_told, _middleware_of(access)], client_max_size=FORM)
    app.on_response_prepare.append(_protect)
    app.router.add_get("/", page.overview)
    app.router.add_get("/endpoint", page.endpoint)
    app.router.add_get("/search", page.search)
    app.router.add_get("/trace", page.trace)
    app.router.add_get("/login", page.login)
    app.router.add_post("/login", page.log_in)
    app.router.add_post("/logout", page.log_out)
    app.router.add_get(_STATIC, _StaticFiles.of_package().serve)
    Api(sources, access).add_to(app.router)
    return app


async def _protect(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in words what can't be done: as JSON below /api/, else as a page."""
    status, what, headers = 500, "", dict[str, str]()
    try:
        return await handler(request)
    except TokenFault as fault:
        status, what = 503, f"nobody can log in: {fault}"
    except TooManyAttempts as error:
        status, what, headers = 429, str(error), {"Retry-After": str(error.seconds)}
    except NoRoom as error:
        status, what, headers = 503, str(error), {"Retry-After": "10"}
    except ControlRefusal as refusal:
        status, what = 400, str(refusal)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        status, what = error.status, _SENTENCES.get(error.status, error.reason)
        if error.text not in (None, f"{status}: {error.reason}"):  # one of ours
            what = error.text
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    if request.path.startswith("/api/"):
        response = json_error(status, what)
    else:
        response = await html_response(views.problem_page(status, what), status)
    response.headers.update(headers)
    return response


def _middleware_of(access: Access) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let through who asks for this server and has shown the token."""
        if not access.asks_for_us(request):
            raise web.HTTPMisdirectedRequest(
                text="this server isn't called so: add the name to http.page_names"
            )
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in _OPEN:
            return await handler(request)
        if await access.lets_in(request):
            return await handler(request)
        if request.path.startswith("/api/") or request.method not in ("GET", "HEAD"):
            response = json_error(401, "no token, or a wrong one: send Authorization: Bearer TOKEN")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        raise web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='')}")

    return guard


@dataclass(frozen=True, slots=True)
class _Page:
    """The handlers that answer with HTML."""

    sources: Sources
    access: Access

    async def overview(self, request: web.Request) -> web.StreamResponse:
        found = await self.sources.everything()
        endpoints, usage = await self.sources.endpoints(), await self.sources.usage_by_day()
        html = views.overview(found.status, endpoints, found.pools, usage)
        return await html_response(html)

    async def endpoint(self, request: web.Request) -> web.StreamResponse:
        name = _asked(request, "sip_address")
        found = await self.sources.everything()
        endpoint = await self.sources.endpoint(name)
        if endpoint is None:
            raise web.HTTPNotFound(text=f"no endpoint {name} is served")
        usage = await self.sources.callers(name, None)
        return await html_response(views.endpoint_page(found.status, endpoint, usage))

    async def search(self, request: web.Request) -> web.StreamResponse:
        found = await self.sources.everything()
        usage = await self.sources.callers(None, _asked(request, "caller"))
        return await html_response(views.search_page(found.status, usage))

    async def trace(self, request: web.Request) -> web.StreamResponse:
        found = await self.sources.everything()
        asked = {name: value[:_LONGEST] for name, value in request.query.items()}
        return await html_response(views.trace_page(found.status, asked))

    async def login(self, request: web.Request) -> web.StreamResponse:
        following = _path(request.query.get("next", ""))
        return await html_response(views.login_page("", following))

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        form = await _form_of(request)
        following, token = _path(form.get("next", "")), form.get("token", "")
        cookie = await self.access.log_in(request, token)
        if cookie is None:
            html = views.login_page("this isn't the token", following)
            return await html_response(html, 403)
        response = web.HTTPSeeOther(following)
        self.access.set_cookie(response, cookie)
        raise response

    async def log_out(self, _request: web.Request) -> web.StreamResponse:
        response = web.HTTPSeeOther("/login")
        self.access.set_cookie(response, "")
        raise response


async def _form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form, the last of each name. No other type is read, nor a file."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="send it as application/x-www-form-urlencoded")
    try:
        body = await request.read()
        return dict(parse_qsl(body.decode("ascii", "replace"), max_num_fields=_FIELDS))
    except (HttpProcessingError, web.RequestPayloadError, ValueError):
        raise web.HTTPBadRequest(text="this form can't be read") from None


def _asked(request: web.Request, name: str) -> str:
    value = request.query.get(name, "").strip()
    if not value or len(value) > _LONGEST:
        raise web.HTTPBadRequest(text=f"{name} is to be a text of 1 to {_LONGEST} characters")
    return value


def _path(text: str) -> str:
    """A path of ours to go to; / for anything else, which might lead to another server."""
    fine = text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()
    return text if fine and len(text) <= 2048 else "/"


@dataclass(frozen=True, slots=True)
class _StaticFiles:
    """The package's style sheets, scripts and pictures, read once."""

    by_name: Mapping[str, tuple[bytes, str, str]]  # content, type, entity tag

    @classmethod
    def of_package(cls) -> "_StaticFiles":
        found = {}
        for each in files("chatredirect.page").joinpath("static").iterdir():
            kind, _ = mimetypes.guess_type(each.name)
            if each.is_file() and kind is not None and not each.name.startswith("."):
                content = each.read_bytes()
                found[each.name] = (content, kind, hashlib.sha256(content).hexdigest()[:32])
        return cls(found)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        found = self.by_name.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="there is no such file")
        content, kind, tag = found
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Content-Type": kind}
        known = request.if_none_match or ()
        if any(each.value == tag for each in known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, headers=headers)
