"""Plain pages as an aiohttp application: one route each, GET and HEAD alone."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from chatredirect.http.pages import Page, Pages

_METHODS = "GET, HEAD"


def plain_application(pages: Pages) -> web.Application:
    """An application that serves pages, and says of everything else what there is."""
    there = "not found; there is " + ", ".join(pages)

    @web.middleware
    async def refusals(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _response(Page.text(404, there))
        except web.HTTPMethodNotAllowed:
            response = _response(Page.text(405, "GET or HEAD"))
            response.headers["Allow"] = _METHODS
            return response

    app = web.Application(middlewares=[refusals])
    for path, make in pages.items():
        app.router.add_get(path, _handler(make))
    return app


def _handler(
    make: Callable[[], Awaitable[Page]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return _response(await make())

    return serve


def _response(page: Page) -> web.Response:
    headers = {"Content-Type": page.content_type}
    return web.Response(status=page.status, body=page.body, headers=headers)
